"""Run Command inside a simulated guest: it knows the tool's own Linux probe and runs nothing."""

import base64
import gzip
import shlex
from collections.abc import Sequence

from auditor.hosts import Script
from auditor.probe import linux_script
from auditor.probe.bundle import BEGIN, END, LIMIT, bundle
from auditor.rules import Endpoint
from auditor.simulator.guests import GUESTS, GuestState, probe_answer
from auditor.simulator.vms import Vm


def script_output(vm: Vm, command: str, lines: Sequence[str]) -> str:
    """What the script prints, cut where Azure cuts it; for a script that is not known, what was sent."""
    endpoints = _endpoints(lines) if command == "RunShellScript" else None
    if endpoints is None:
        return f"simulated: {len(lines)} script lines on {vm.name}"
    healthy = GUESTS[0]
    facts = {**healthy.changes, "hostname": vm.name, "vm_id": vm.model["properties"]["vmId"]}
    state = GuestState(vm.name, healthy.verdict, {}, facts)
    packed = base64.b64encode(gzip.compress(probe_answer(state, endpoints))).decode()
    return f"{BEGIN}{packed}{END}"[-LIMIT:]


def _endpoints(lines: Sequence[str]) -> list[str] | None:
    """What the probe is asked to reach, or None for any other script."""
    first = next((line for line in lines if line.startswith("set -- ")), "")
    try:
        places = [word.split("/", 2) for word in shlex.split(first)[2:]]
        endpoints = [Endpoint(host, int(port), kind == "tls", "") for kind, port, host in places]
    except ValueError:
        return None
    if "\n".join(lines).rstrip() != bundle((Script(linux_script(endpoints)),)).rstrip():
        return None
    return [f"{endpoint.host}:{endpoint.port}" for endpoint in endpoints]
