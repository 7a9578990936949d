"""The answers of a Windows guest as facts; the whole ones are the simulator's model, not Windows."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.errors import HostError
from auditor.facts import Guest, GuestAgent, Interface, Service, Unseen, Vss, WindowsSetup, Writer
from auditor.hosts import CommandResult
from auditor.hosts.commands import command_line
from auditor.probe import Answer, windows_probe
from auditor.probe.windows import pieces
from auditor.rules import Endpoint
from auditor.simulator.windows import WINDOWS_GUESTS, WindowsGuest, WindowsState, healthy

NOW = datetime.now(UTC)
ENDPOINTS = (Endpoint("a.example", 443, True, ""), Endpoint("b.example", 443, True, ""))
PROBE = windows_probe(ENDPOINTS)
NAMES = [piece.name for piece in pieces()]
STATE = healthy("web1", "5b1ca0de-0000-4000-8000-00000000a001")
UTF8 = {"WINRS_CODEPAGE": "65001"}


def answers(state: WindowsState = STATE) -> list[Answer]:
    """One answer per script of a guest in this state."""
    guest = WindowsGuest(state)
    runs = (
        guest.run(command_line(script), script.data, UTF8, "ann", threading.Event())
        for script in PROBE.scripts
    )
    return [CommandResult(run.exit_code, run.stdout, run.stderr) for run in runs]


def read(given: list[Answer]) -> Guest:
    return PROBE.read(given, NOW, "winrm")


def changed(name: str, change: Callable[[Any], Any], state: WindowsState = STATE) -> Guest:
    """The guest where one script's document is another."""
    found = answers(state)
    place = NAMES.index(name)
    found[place] = said(change(document(found[place])))
    return read(found)


def document(answer: Answer) -> dict[str, Any]:
    assert isinstance(answer, CommandResult)
    body = answer.stdout.partition(b"AUDITOR-PROBE-BEGIN ")[2].partition(b" AUDITOR-PROBE-END")[0]
    found: dict[str, Any] = json.loads(body)
    return found


def said(content: object) -> CommandResult:
    body = json.dumps(content).encode()
    return CommandResult(0, b"noise\r\nAUDITOR-PROBE-BEGIN " + body + b" AUDITOR-PROBE-END\r\n")


def altered(name: str, old: bytes, new: bytes) -> Guest:
    """The guest where one script's output has other bytes in it."""
    found = answers()
    place = NAMES.index(name)
    answer = found[place]
    assert isinstance(answer, CommandResult)
    assert old in answer.stdout
    found[place] = replace(answer, stdout=answer.stdout.replace(old, new))
    return read(found)


def test_a_whole_guest() -> None:
    before = datetime.now(UTC)
    guest = read(answers())
    assert guest.clock is not None
    assert before - timedelta(minutes=2) < guest.clock < datetime.now(UTC) + timedelta(minutes=2)
    assert isinstance(guest.windows, WindowsSetup)
    assert isinstance(guest.vss, Vss)
    assert (guest.platform, guest.transport, guest.privileged) == ("windows", "winrm", True)
    assert (guest.os_name, guest.os_version) == ("Windows Server 2022 Datacenter", "10.0.20348.2700")
    assert (guest.hostname, guest.architecture, guest.bits) == ("web1", "AMD64", 64)
    folder = "C:\\WindowsAzure\\Packages"
    assert guest.agent == GuestAgent(
        path=f"{folder}\\WaAppAgent.exe",
        daemon_version="2.7.41491.1183",
        goal_state_version="2.7.41491.1183",
        unit="RdAgent",
        active="running",
        enabled="automatic",
        origin="provisioned",
        services=(
            Service("RdAgent", "running", "automatic", f"{folder}\\WaAppAgent.exe", True),
            Service(
                "WindowsAzureGuestAgent", "running", "automatic",
                f"{folder}\\GuestAgent\\WindowsAzureGuestAgent.exe", True,
            ),
        ),
    )  # fmt: skip
    assert guest.snapshot_extension == ("1.0.57.0",)
    assert (guest.snapshot_log, guest.firewall, guest.proxies) == (None, (), ())
    assert (guest.vm_id, guest.firmware_id) == (STATE.vm_id, STATE.vm_id.upper())
    assert guest.on_azure_host is True
    assert guest.interfaces == (
        Interface(
            "Microsoft Hyper-V Network Adapter", True, ("10.0.0.4",), "Win32_NetworkAdapterConfiguration"
        ),
    )
    assert [one.name for one in guest.vss.services] == ["VSS", "swprv", "EventSystem", "COMSysApp"]
    assert isinstance(guest.vss.writers, tuple)
    assert {(one.state, one.error) for one in guest.vss.writers} == {(1, 0)}
    assert (guest.windows.dotnet, guest.windows.std_reg_prov, guest.windows.pending_reboot) == (
        528449,
        True,
        (),
    )
    assert (guest.python, guest.freeze, guest.installable, guest.extensions_enabled) == (None,) * 4


def test_every_language_says_the_same() -> None:
    english, german = (
        replace(read(answers(healthy("web1", STATE.vm_id, one))), clock=None) for one in ("en", "de")
    )
    assert replace(german, windows=None) == replace(english, windows=None)


# ---- what is silent is unseen, with the reason ---------------------------------------------------

FACTS = {
    "machine": ("disk", "interfaces", "firmware_id"),
    "azure": ("wire_server", "imds"),
    "endpoints": ("endpoints",),
    "backup": ("snapshot_log",),
}


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Unseen("the script did not end within 30 s"), "the script did not end within 30 s"),
        (
            CommandResult(97, b"", b"no PowerShell here"),
            "no answer (exit status 97); it said: no PowerShell here",
        ),
        (CommandResult(1, b"Access is denied."), "no answer (exit status 1); it said: Access is denied."),
        (CommandResult(0, b"AUDITOR-PROBE-BEGIN { AUDITOR-PROBE-END"), "is not JSON"),
        (
            CommandResult(
                0, b'AUDITOR-PROBE-BEGIN {"disk":' + b"[" * 900 + b"]" * 900 + b"} AUDITOR-PROBE-END"
            ),
            "nested more than 32 deep",
        ),
        (said([]), "is not a JSON object"),
    ],
)
def test_a_script_without_an_answer(name: str, answer: Answer, reason: str) -> None:
    found = answers()
    found[NAMES.index(name)] = answer
    guest = read(found)
    for fact in FACTS[name]:
        value = getattr(guest, fact)
        assert isinstance(value, Unseen), fact
        assert reason in value.reason
    assert isinstance(guest.agent, GuestAgent)


def test_a_guest_without_powershell_still_shows_its_registry() -> None:
    refused = CommandResult(97, b"", b"this program is a stub")
    guest = read([answers()[0], *[refused] * 5])
    assert isinstance(guest.agent, GuestAgent)
    assert guest.agent.goal_state_version == "2.7.41491.1183"
    assert guest.agent.daemon_version is None
    assert "this program is a stub" in (guest.agent.problem or "")
    assert [one.present for one in guest.agent.services] == [None, None]
    assert not guest.privileged
    assert guest.vm_id == STATE.vm_id
    assert guest.clock is None
    assert isinstance(guest.vss, Vss)
    assert isinstance(guest.vss.writers, Unseen)
    assert isinstance(guest.windows, WindowsSetup)
    assert isinstance(guest.windows.std_reg_prov, Unseen)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Unseen("refused"), "refused"),
        (CommandResult(1, b"'reg' is not recognized"), "it said: 'reg' is not recognized"),
        (CommandResult(0, b""), "it said: nothing"),
    ],
)
def test_the_first_script_decides(first: Answer, reason: str) -> None:
    with pytest.raises(HostError, match=reason):
        read([first, *answers()[1:]])


def test_the_clock_of_the_last_script_that_told_it() -> None:
    found = answers()
    found[NAMES.index("endpoints")] = said({**document(found[NAMES.index("endpoints")]), "clock": 1795342800})
    found[NAMES.index("backup")] = Unseen("too slow")
    assert read(found).clock == datetime.fromtimestamp(1795342800, UTC)


# ---- the agent -----------------------------------------------------------------------------------


def by_name(name: str) -> WindowsState:
    return next(guest.state for guest in WINDOWS_GUESTS if guest.name == name)


def test_no_agent_is_one_that_was_looked_for() -> None:
    state = by_name("win-agent-missing")
    assert read(answers(state)).agent is None
    found = answers(state)
    first = found[0]
    assert isinstance(first, CommandResult)
    hidden = first.stdout.replace(b"FAILED 1060:", b"FAILED 5:").replace(
        b"ERROR: The system", b"ERROR: A system", 99
    )
    told = hidden.replace(b"ERROR: A system", b"ERROR: The system", 2)
    agent = read([replace(first, stdout=told), *found[1:]]).agent
    assert isinstance(agent, Unseen)
    assert "FAILED 5:" in agent.reason
    unsearched = first.stdout.replace(b"#@ files", b"#@ fires")
    assert read([replace(first, stdout=unsearched), *found[1:]]).agent == Unseen(
        "the probe did not report it"
    )


def test_files_without_a_service_are_an_agent_that_is_broken() -> None:
    state = STATE.with_service("RdAgent", None)
    agent = read(answers(state)).agent
    assert isinstance(agent, GuestAgent)
    assert (agent.unit, agent.active, agent.path) == (
        None,
        None,
        "C:\\WindowsAzure\\Packages\\WaAppAgent.exe",
    )
    assert agent.problem == "the service RdAgent does not exist"
    assert [one.name for one in agent.services] == ["WindowsAzureGuestAgent"]


def test_a_service_that_could_not_be_read_is_no_service_that_is_missing() -> None:
    found = answers(STATE)
    first = found[0]
    assert isinstance(first, CommandResult)
    denied = first.stdout
    for section in (rb"state WindowsAzureGuestAgent", rb"setup WindowsAzureGuestAgent"):
        denied, count = re.subn(
            rb"(#@ " + section + rb"[^\n]*\n).*?(?=#@ )",
            rb"\1ERROR: Access is denied.\r\n",
            denied,
            flags=re.DOTALL,
        )
        assert count == 1
    agent = read([replace(first, stdout=denied), *found[1:]]).agent
    assert isinstance(agent, GuestAgent)
    assert agent.services[1] == Service("WindowsAzureGuestAgent")


@pytest.mark.parametrize(
    ("program", "version", "problem", "present"),
    [
        ({"path": "C:\\a.exe", "present": True, "version": "2.7.1"}, "2.7.1", None, True),
        (
            {"path": "C:\\a.exe", "present": True, "version": None},
            None,
            "WaAppAgent.exe shows no version",
            True,
        ),
        ({"path": "C:\\a.exe", "present": False, "version": None}, None, "is missing: C:\\a.exe", False),
        ({"unseen": "denied"}, None, "was not seen: denied", None),
        ("nonsense", None, "WaAppAgent.exe shows no version", None),
    ],
)
def test_the_version_of_the_program(
    program: object, version: str | None, problem: str | None, present: bool | None
) -> None:
    guest = changed("agent", lambda found: {**found, "programs": {**found["programs"], "RdAgent": program}})
    assert isinstance(guest.agent, GuestAgent)
    assert guest.agent.daemon_version == version
    assert (problem is None) == (guest.agent.problem is None)
    assert (problem or "") in (guest.agent.problem or "")
    assert guest.agent.services[0].present is present


def test_an_msi_leaves_its_name() -> None:
    agent = read(answers(by_name("win-german"))).agent
    assert isinstance(agent, GuestAgent)
    assert agent.origin == "msi"


def test_a_folder_that_cannot_be_listed() -> None:
    assert altered(
        "registry", b"#@ snapshot \r\n1.0.57.0", b"#@ snapshot \r\nAccess is denied."
    ).snapshot_extension == Unseen("the folder of the extension could not be listed: Access is denied.")


# ---- network, identity, Windows ------------------------------------------------------------------


def test_what_an_ordinary_user_does_not_reach_is_unseen() -> None:
    guest = read(answers(replace(STATE, elevated=False, wire="tcp")))
    assert isinstance(guest.wire_server, Unseen)
    assert "not tried as an administrator" in guest.wire_server.reason
    guest = read(answers(replace(STATE, elevated=True, wire="tcp")))
    assert isinstance(guest.wire_server, tuple)
    assert {attempt.stage for attempt in guest.wire_server} == {"tcp"}


def test_the_id_that_the_agent_wrote_down_counts_where_the_metadata_service_is_silent() -> None:
    assert read(answers(replace(STATE, imds="tcp"))).vm_id == STATE.vm_id
    bare = replace(by_name("win-agent-missing"), imds="tcp")
    found = read(answers(bare)).vm_id
    assert found == Unseen("the instance metadata service gave no answer: tcp, Timeout")


@pytest.mark.parametrize(
    ("tag", "maker", "expected"),
    [
        ("7783-7084-3265-9085-8269-3286-77", b"Microsoft Corporation", True),
        ("", b"Microsoft Corporation", False),
        ({"unseen": "WMI is slow"}, b"VMware, Inc.", False),
        ({"unseen": "WMI is slow"}, b"Microsoft Corporation", Unseen("WMI is slow")),
        (None, b"Microsoft Corporation", Unseen("the enclosure shows no asset tag")),
    ],
)
def test_whose_board_it_is(tag: object, maker: bytes, expected: object) -> None:
    found = answers()
    first = found[0]
    assert isinstance(first, CommandResult)
    found[0] = replace(first, stdout=first.stdout.replace(b"Microsoft Corporation", maker))
    place = NAMES.index("machine")
    found[place] = said({**document(found[place]), "asset_tag": tag})
    assert read(found).on_azure_host == expected


def test_endpoints_behind_a_proxy_are_unseen() -> None:
    proxied = replace(by_name("win-proxy-set"), internet="tcp")
    assert read(answers(proxied)).endpoints == Unseen(
        "tried without the proxy that is set (WinHTTP proxy), and a.example:443 was not reached that way"
    )
    assert isinstance(read(answers(by_name("win-proxy-set"))).endpoints, tuple)
    assert isinstance(read(answers(replace(STATE, internet="tcp"))).endpoints, tuple)


def test_passwords_of_proxies_are_taken_out() -> None:
    guest = read(answers(by_name("win-proxy-set")))
    assert isinstance(guest.proxies, tuple)
    assert ("environment http_proxy", "http://***@proxy.example:3128") in guest.proxies
    assert "hunter2" not in repr(guest)


def test_lists_as_powershell_writes_some_of_them() -> None:
    def wrapped(found: Any) -> Any:
        adapter = {**found["interfaces"][0], "addresses": {"value": ["10.0.0.4"], "Count": 1}}
        return {**found, "interfaces": {"value": [adapter], "Count": 1}}

    interfaces = changed("machine", wrapped).interfaces
    assert isinstance(interfaces, tuple)
    assert interfaces[0].addresses == ("10.0.0.4",)


def test_what_gave_nothing_as_powershell_writes_it() -> None:
    """A block without output is an empty object in Windows PowerShell (PowerShell issue 9231)."""
    setup = changed("agent", lambda found: {**found, "certificate": {}}).windows
    assert isinstance(setup, WindowsSetup)
    assert setup.certificate is None
    assert changed("backup", lambda found: {**found, "log": {}}).snapshot_log is None
    silent = replace(by_name("win-agent-missing"), imds="tcp")
    found = changed("azure", lambda found: {**found, "vm_id": {}}, silent).vm_id
    assert found == Unseen("the instance metadata service gave no answer: tcp, Timeout")


def test_the_tail_of_the_log() -> None:
    log = {
        "path": "C:\\x.log",
        "changed": 1795342800,
        "lines": ["a failed https://b/?sig=SECRET", "", "\x1b[31m"],
    }
    tail = changed("backup", lambda found: {**found, "log": log}).snapshot_log
    assert tail is not None
    assert not isinstance(tail, Unseen)
    assert tail.lines == ("a failed https://b/?***", "[31m")
    assert tail.changed_at == datetime.fromtimestamp(1795342800, UTC)


def test_a_writer_that_failed() -> None:
    vss = read(answers(by_name("win-vss-writer-failed"))).vss
    assert isinstance(vss, Vss)
    assert Writer("System Writer", 8, 0x800423F3) in (vss.writers if isinstance(vss.writers, tuple) else ())


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"0x1", True), (b"0x0", False)],
)
def test_strong_crypto(value: bytes, expected: bool) -> None:
    key = b"HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\.NETFramework\\v4.0.30319"
    text = b"#@ crypto \r\n" + key + b"\r\n    SchUseStrongCrypto    REG_DWORD    " + value + b"\r\n"
    setup = altered("registry", b"#@ crypto \r\n", text).windows
    assert isinstance(setup, WindowsSetup)
    assert setup.strong_crypto is expected


# ---- anything ------------------------------------------------------------------------------------


@cache
def usual() -> tuple[Answer, ...]:
    return tuple(answers())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


def words(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (word for item in value.values() for word in words(item))
    elif isinstance(value, list | tuple):
        yield from (word for item in value for word in words(item))


KEYS = sorted(
    {key for piece in pieces() for key in piece.keys} | {"clock", "unseen", "text", "value", "Count"}
)
documents = st.dictionaries(
    st.sampled_from(KEYS), values | st.dictionaries(st.sampled_from(KEYS), values, max_size=3), max_size=5
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(NAMES[1:]), documents)
def test_any_json_is_a_guest(name: str, content: dict[str, Any]) -> None:
    found = [*usual()]
    found[NAMES.index(name)] = said(content)
    guest = read(found)
    assert guest.platform == "windows"
    assert all(word.isprintable() for word in words(asdict(guest)))


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 20_000), st.integers(0, 300))
def test_any_bytes_are_a_guest_or_a_reason(inserted: bytes, place: int, dropped: int) -> None:
    first = usual()[0]
    assert isinstance(first, CommandResult)
    place %= len(first.stdout)
    output = first.stdout[:place] + inserted + first.stdout[place + dropped :]
    with pytest.raises(HostError) if _is_cut(output) else nullcontext() as caught:
        guest = read([CommandResult(0, output), *usual()[1:]])
        assert all(word.isprintable() for word in words(asdict(guest)))
    assert caught is None or str(caught.value).isprintable()


def _is_cut(output: bytes) -> bool:
    """Whether the first or the last marker is gone."""
    lines = output.decode("utf-8", "replace").splitlines()
    starts = {line.removeprefix("#@ ").strip() for line in lines if line.startswith("#@ ")}
    return "end" not in starts or not any(start.startswith("script registry ") for start in starts)
