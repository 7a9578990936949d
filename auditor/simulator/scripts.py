"""Run Command inside a simulated guest: it knows the tool's own probes and runs nothing."""

import base64
import gzip
import json
import shlex
import threading
from collections.abc import Sequence

from auditor.hosts import Script
from auditor.hosts.commands import command_line
from auditor.model import Platform
from auditor.probe import Probe, linux_probe, windows_probe
from auditor.probe.bundle import BEGIN, END, LIMIT, bundle
from auditor.rules import Endpoint
from auditor.simulator.guest_states import GUESTS, GuestState, probe_answer
from auditor.simulator.vms import Vm
from auditor.simulator.windows import WindowsGuest, healthy
from auditor.simulator.wsman import CODEPAGE

_UTF8 = {CODEPAGE: "65001"}


def script_output(vm: Vm, command: str, lines: Sequence[str]) -> str:
    """What the script prints, cut where Azure cuts it; for a script that is not known, what was sent."""
    shell = command == "RunShellScript"
    endpoints = _asked_by_shell(lines) if shell else _asked_by_powershell(lines)
    probe = linux_probe(endpoints) if shell else windows_probe(endpoints)
    known = "\n".join(lines).rstrip() == bundle(probe.scripts).rstrip()
    if not known or shell is not (vm.platform is Platform.LINUX):
        return f"simulated: {len(lines)} script lines on {vm.name}"
    told = _linux(vm, endpoints) if shell else _windows(vm, probe)
    return f"{BEGIN}{base64.b64encode(gzip.compress(told)).decode()}{END}"[-LIMIT:]


def _asked_by_shell(lines: Sequence[str]) -> list[Endpoint]:
    """What the Linux probe is asked to reach."""
    first = next((line for line in lines if line.startswith("set -- ")), "")
    try:
        places = [word.split("/", 2) for word in shlex.split(first)[2:]]
        return [Endpoint(host, int(port), kind == "tls", "") for kind, port, host in places]
    except ValueError:
        return []


def _asked_by_powershell(lines: Sequence[str]) -> list[Endpoint]:
    """What the Windows probe is asked to reach."""
    data = next((line for line in lines if line.startswith('{"endpoints"')), '{"endpoints": []}')
    try:
        places = json.loads(data)["endpoints"]
        return [Endpoint(place["host"], place["port"], place["tls"], "") for place in places]
    except (ValueError, KeyError, TypeError):
        return []


def _linux(vm: Vm, endpoints: Sequence[Endpoint]) -> bytes:
    facts = {"hostname": vm.name, "vm_id": _vm_id(vm), "firmware_id": _vm_id(vm)}
    state = GuestState(vm.name, GUESTS[0].verdict, {}, facts)
    return probe_answer(state, [f"{endpoint.host}:{endpoint.port}" for endpoint in endpoints])


def _windows(vm: Vm, probe: Probe) -> bytes:
    guest, stop = WindowsGuest(healthy(vm.name, _vm_id(vm))), threading.Event()
    lines = [(command_line(Script(one.text, one.shell)), one.data) for one in probe.scripts]
    said = [guest.run(line, data, _UTF8, "SYSTEM", stop).stdout.decode() for line, data in lines]
    return json.dumps(said).encode()


def _vm_id(vm: Vm) -> str:
    return str(vm.model["properties"]["vmId"])
