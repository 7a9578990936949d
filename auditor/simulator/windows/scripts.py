"""The PowerShell scripts on a simulated guest: the JSON that each prints, made from the guest's state.

This is a model of what the scripts say, by their names and versions; it does not run PowerShell and proves
nothing about it.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from auditor.simulator.windows.state import WindowsState

DAY = 86_400
_WIRE = ("http://168.63.129.16/?comp=versions", "168.63.129.16:32526")
_IMDS = "http://169.254.169.254/metadata/instance"
_PROGRAMS = ("RdAgent", "WindowsAzureGuestAgent", "VSS", "MSDTC", "msiserver")
_VSSADMIN = {
    "en": ("Writer name: '{}'", "Writer Id", "Writer Instance Id", "State", "Last error", "Stable", "Failed"),
    "de": ('Verfassername: "{}"', "Verfasserkennung", "Verfasserinstanzkennung", "Status", "Letzter Fehler",
           "Stabil", "Fehlgeschlagen"),
}  # fmt: skip

Document = dict[str, Any]


def _attempt(target: str, stage: str, detail: str = "HTTP 200") -> Document:
    return {"target": target, "stage": stage, "detail": detail if stage == "ok" else "Timeout", "ms": 14}


def _machine(state: WindowsState, _stdin: bytes) -> Document:
    adapter = {
        "name": "Microsoft Hyper-V Network Adapter",
        "dhcp": state.dhcp,
        "addresses": [*state.addresses],
    }
    return {
        "elevated": state.elevated,
        "disk": {"path": "C:\\", "free": state.free, "total": state.total},
        "interfaces": [adapter],
        "asset_tag": state.asset_tag,
        "board_id": state.vm_id.upper(),
        "std_reg_prov": state.std_reg_prov,
    }


def _agent(state: WindowsState, _stdin: bytes) -> Document:
    certificate = None
    if state.certificate:
        begin, end = (int(time.time()) + days * DAY for days in state.certificate)
        subject = "DC=Windows Azure CRP Certificate Generator"
        certificate = {"subject": subject, "not_before": begin, "not_after": end}
    return {"programs": {name: _program(state, name) for name in _PROGRAMS}, "certificate": certificate}


def _program(state: WindowsState, name: str) -> Document:
    service = state.services.get(name)
    if service is None:
        return {"unseen": f"Cannot find path 'HKLM:\\SYSTEM\\CurrentControlSet\\Services\\{name}'."}
    path = service.image.replace("%SystemRoot%", "C:\\Windows").replace("%systemroot%", "C:\\Windows")
    path = path[: path.lower().index(".exe") + 4].replace("\\system32\\", "\\System32\\")
    return {"path": path, "present": path in state.files, "version": state.files.get(path)}


def _azure(state: WindowsState, _stdin: bytes) -> Document:
    return {
        "wire_server": [_attempt(target, state.wire) for target in _WIRE],
        "imds": _attempt(_IMDS, state.imds),
        "vm_id": state.vm_id if state.imds == "ok" else None,
    }


def _endpoints(state: WindowsState, stdin: bytes) -> Document:
    asked = json.loads(stdin)["endpoints"]
    return {"endpoints": [_attempt(place["target"], state.internet, "Tls12") for place in asked]}


def _backup(state: WindowsState, _stdin: bytes) -> Document:
    return {"log": state.log, "writers": {"code": 0, "text": vssadmin(state)}}


def vssadmin(state: WindowsState) -> str:
    """`vssadmin list writers` in the guest's language; the German texts are by hand."""
    name, writer, instance, label, error, stable, failed = _VSSADMIN[state.language]
    lines = ["vssadmin 1.1 - Volume Shadow Copy Service administrative command-line tool",
             "(C) Copyright 2001-2013 Microsoft Corp.", ""]  # fmt: skip
    for known, (number, said) in state.writers.items():
        lines += [
            name.format(known),
            f"   {writer}: {{d61d61c8-d73a-4eee-8cdd-f6f9786b7124}}",
            f"   {instance}: {{1bddd48e-5052-49db-9b07-b96f99a0c9dd}}",
            f"   {label}: [{number}] {stable if number == 1 else failed}",
            f"   {error}: {said}",
            "",
        ]
    return "\r\n".join(lines)


MODELS: Mapping[tuple[str, int], Callable[[WindowsState, bytes], Document]] = {
    ("machine", 1): _machine,
    ("agent", 1): _agent,
    ("azure", 1): _azure,
    ("endpoints", 1): _endpoints,
    ("backup", 1): _backup,
}


def answer(name: str, version: int, state: WindowsState, stdin: bytes) -> bytes:
    """What a PowerShell script prints; raises `KeyError` for a version that no model knows."""
    said = MODELS[name, version](state, stdin)
    body = json.dumps({**said, "clock": round(time.time() + state.clock_skew)}).encode("ascii")
    return b"AUDITOR-PROBE-BEGIN " + body + b" AUDITOR-PROBE-END\r\n"
