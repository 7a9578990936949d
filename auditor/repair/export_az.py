"""A plan for az: the writes to Azure; steps inside guests are named as comments."""

import json
import shlex
from collections.abc import Iterator, Mapping

from auditor.remedy import MachinePlan, Plan, Request
from auditor.repair.export import about, in_windows_guest, parts, said
from auditor.repair.export_bash import LATER, asked, bash_script

API = "2024-07-01"
"""The version of Microsoft.Compute that a raw request names."""

HEAD = f"\nset -u\nfailed=\n{LATER}"

_VERBS = ("reapply", "restart", "start", "redeploy")


def as_az(plan: Plan) -> str:
    """The plan as a script of az commands."""
    return bash_script(plan, HEAD, _machine)


def _machine(name: str, machine: MachinePlan) -> Iterator[str]:
    yield f"# ---- {said(machine.machine.name)} ({said(machine.machine.id)})"
    yield f"{name}() {{"
    for part in parts(machine):
        yield from (f"# {line}" for line in about(part))
        if part.step.request is None:
            other = "PowerShell" if in_windows_guest(part.step) else "bash"
            yield f"# this step is inside the guest: see the export for {other}"
            continue
        if part.again and part.first:
            yield asked(part)
        yield f"{shlex.join(az_command(part.step.request))} || return 1"
    yield "return 0"
    yield "}"
    yield f'{name} || failed="$failed "{shlex.quote(said(machine.machine.name))}\n'


def az_command(request: Request) -> tuple[str, ...]:
    """The az command for a write: the one made for it where there is one, a raw request otherwise."""
    kind = request.resource.lower().rpartition("/")[0].rpartition("/")[2]
    method = request.method.upper()
    if kind == "virtualmachines" and method == "POST" and request.action in _VERBS and not request.body:
        return ("az", "vm", request.action, "--ids", request.resource)
    if kind == "virtualmachines" and method == "PATCH" and (changes := list(_changes(request.body))):
        return ("az", "vm", "update", "--ids", request.resource, "--set", *changes)
    if kind == "extensions" and method == "DELETE":
        return ("az", "vm", "extension", "delete", "--ids", request.resource)
    return tuple(_raw(request))


def _raw(request: Request) -> Iterator[str]:
    path = request.resource + (f"/{request.action}" if request.action else "")
    yield from ("az", "rest", "--method", request.method.lower(), "--url", f"{path}?api-version={API}")
    if request.body:
        yield from ("--body", json.dumps(request.body, ensure_ascii=True, sort_keys=True))


def _changes(body: Mapping[str, object]) -> Iterator[str]:
    """What `--set` takes; nothing where the body holds more than properties of plain values."""
    properties = body.get("properties")
    if set(body) != {"properties"} or not isinstance(properties, Mapping):
        return
    found = list(_leaves("", properties))
    if all(isinstance(value, bool) and name.replace(".", "").isalnum() for name, value in found):
        yield from (f"{name}={str(value).lower()}" for name, value in found)


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, inner)
    else:
        yield path, value
