"""The answers of the Windows scripts, merged into one `Guest`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from auditor.facts import Attempt, Guest, Interface, Service, Unseen, Vss, WindowsSetup, Writer
from auditor.probe import readers
from auditor.probe.answer import Answer
from auditor.probe.readers import Document, Malformed, fact, many, required
from auditor.probe.windows.agent import agent, certificate, log_tail, snapshot_extension
from auditor.probe.windows.heard import Heard, listen
from auditor.probe.windows.network import firewall, proxies
from auditor.probe.windows.registry import Sections
from auditor.probe.windows.system import architecture, os_name, os_version, pending_reboot
from auditor.probe.windows.writers import writers
from auditor.text import one_line

AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"
SHADOW_SERVICES = ("VSS", "swprv", "EventSystem", "COMSysApp")
SETUP_SERVICES = ("COMSysApp", "MSDTC", "msiserver", "Winmgmt", "KeyIso")


def read(answers: Sequence[Answer], observed_at: datetime, transport: str) -> Guest:
    """The facts in the answers; raises `HostError` where the first script gave none."""
    heard = listen(answers)
    registry, machine, azure = heard.registry, heard.of("machine"), heard.of("azure")
    found_proxies = proxies(registry)
    word, bits = architecture(registry)
    return Guest(
        platform="windows",
        observed_at=observed_at,
        transport=transport,
        privileged=heard.elevated,
        os_name=os_name(registry),
        os_version=os_version(registry),
        hostname=readers.text(registry.value("host", "Hostname")),
        architecture=word,
        bits=bits,
        agent=agent(heard),
        snapshot_extension=snapshot_extension(registry),
        snapshot_log=fact(heard.of("backup"), "log", log_tail),
        wire_server=_wire_server(azure, heard.elevated),
        firewall=firewall(registry),
        imds=required(azure, "imds", readers.attempt),
        vm_id=_vm_id(registry, azure),
        firmware_id=fact(machine, "board_id", readers.word),
        on_azure_host=_on_azure_host(registry, machine),
        endpoints=_endpoints(heard.of("endpoints"), found_proxies),
        disk=required(machine, "disk", readers.disk),
        interfaces=many(machine, "interfaces", _interface),
        proxies=found_proxies,
        clock=_clock(heard),
        python=None,
        freeze=None,
        installable=None,
        vss=_vss(heard),
        windows=_setup(heard),
    )


def _wire_server(azure: Document, elevated: bool) -> tuple[Attempt, ...] | Unseen:
    attempts = many(azure, "wire_server", readers.attempt)
    if elevated or isinstance(attempts, Unseen) or all(attempt.ok for attempt in attempts):
        return attempts
    failed = next(attempt for attempt in attempts if not attempt.ok)
    return Unseen(
        "not tried as an administrator, and Azure may let only administrators through "
        f"({failed.target}: {failed.stage}, {failed.detail})"
    )


def _vm_id(registry: Sections, azure: Document) -> str | Unseen | None:
    """The id by the metadata service; where it is silent, the one that the agent wrote down."""
    shown = fact(azure, "vm_id", readers.word)
    if isinstance(shown, str):
        return shown
    written = registry.value("vm", "VmId")
    if isinstance(written, str) and written:
        return one_line(written, 100)
    imds = required(azure, "imds", readers.attempt)
    if isinstance(imds, Attempt) and not imds.ok:
        return Unseen(f"the instance metadata service gave no answer: {imds.stage}, {imds.detail}")
    return shown


def _on_azure_host(registry: Sections, machine: Document) -> bool | Unseen:
    """Whether the enclosure carries Azure's asset tag; a maker other than Microsoft rules it out as well."""
    tag = fact(machine, "asset_tag", lambda value: value if isinstance(value, str) else "")
    if isinstance(tag, str):
        return tag.strip() == AZURE_ASSET_TAG
    maker = registry.value("board", "SystemManufacturer")
    if isinstance(maker, str) and maker and maker != "Microsoft Corporation":
        return False
    return tag if isinstance(tag, Unseen) else Unseen("the enclosure shows no asset tag")


def _endpoints(
    document: Document, found: tuple[tuple[str, str], ...] | Unseen
) -> tuple[Attempt, ...] | Unseen:
    """The attempts; one that failed past a proxy that the guest has says nothing about the way through it."""
    attempts = many(document, "endpoints", readers.attempt)
    if isinstance(attempts, Unseen) or isinstance(found, Unseen) or all(one.ok for one in attempts):
        return attempts
    places = [place for place, _ in found if not place.endswith("no_proxy")]
    if not places:
        return attempts
    failed = next(one for one in attempts if not one.ok)
    return Unseen(
        f"tried without the proxy that is set ({places[0]}), and {failed.target} was not reached that way"
    )


def _interface(value: Any) -> Interface:
    if not isinstance(value, dict):
        raise Malformed
    dhcp = value.get("dhcp")
    return Interface(
        name=readers.word(value.get("name")),
        dhcp=dhcp if isinstance(dhcp, bool) else None,
        addresses=readers.items(value.get("addresses"), readers.word),
        source="Win32_NetworkAdapterConfiguration",
    )


def _clock(heard: Heard) -> datetime | None:
    """The clock of the last script that told it."""
    told = (readers.instant(document.get("clock")) for document in reversed([*heard.documents.values()]))
    return next((clock for clock in told if clock is not None), None)


def _vss(heard: Heard) -> Vss:
    services = (heard.service(name) for name in SHADOW_SERVICES)
    return Vss(
        services=tuple(service for service in services if isinstance(service, Service)),
        writers=_writers(required(heard.of("backup"), "writers", readers.mapping)),
    )


def _writers(said: Document | Unseen) -> tuple[Writer, ...] | Unseen:
    if isinstance(said, Unseen):
        return said
    text = said.get("text")
    return writers(text if isinstance(text, str) else "")


def _setup(heard: Heard) -> WindowsSetup:
    registry = heard.registry
    crypto = registry.number("crypto", "SchUseStrongCrypto")
    return WindowsSetup(
        dotnet=registry.number("dotnet", "Release"),
        std_reg_prov=required(heard.of("machine"), "std_reg_prov", readers.flag),
        services=_setup_services(heard),
        pending_reboot=pending_reboot(registry),
        certificate=fact(heard.of("agent"), "certificate", certificate),
        strong_crypto=bool(crypto) if isinstance(crypto, int) else crypto,
    )


def _setup_services(heard: Heard) -> tuple[Service, ...] | Unseen:
    found = [heard.service(name) for name in SETUP_SERVICES]
    services = tuple(one for one in found if isinstance(one, Service))
    hidden = next((one for one in found if isinstance(one, Unseen)), None)
    return hidden if hidden is not None and not services else services
