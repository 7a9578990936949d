"""A plan for Ansible: a playbook of raw tasks; every text from outside is marked as no template."""

import math
from collections.abc import Iterator
from typing import Any

import yaml

from auditor.hosts import Shell
from auditor.model import Connection
from auditor.remedy import MachinePlan, Plan
from auditor.repair.export import Part, about, heading, in_posix_guest, in_windows_guest, parts, said
from auditor.repair.work import PATIENCE, push

PIECE = 64 * 1024
"""Bytes of a file that one task carries: raw sends its text as one argument, of 128 KiB at most."""
_ENDED = r"(?m)^AUDITOR-STEP-BEGIN (done (0|11|12)|refused 11)\\b"


class Unsafe(str):
    """A text that Ansible takes as it stands."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes `Unsafe` texts with the tag that Ansible has for them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's own signature
        """Every text stands where it is used."""
        return True


def _unsafe(dumper: yaml.SafeDumper, text: Unsafe) -> yaml.Node:
    style = "|" if "\n" in text else '"'
    return dumper.represent_scalar("!unsafe", str(text), style=style)


_Dumper.add_representer(Unsafe, _unsafe)


def as_ansible(plan: Plan) -> str:
    """The plan as a playbook; raises `PlanError` for a file that is to be pushed and is not there."""
    names = [f"machine_{place}" for place in range(1, len(plan.touched) + 1)]
    plays = [_play(name, machine) for name, machine in zip(names, plan.touched, strict=True)]
    inventory = "".join(f"{name}," for name in names)
    head = (*heading(plan), f"Run: ansible-playbook -i '{inventory}' -e later=no THIS-FILE", "")
    body = yaml.dump(plays, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=100_000)
    return "".join(f"# {line}\n" for line in head) + f"---\n{body}"


def _play(name: str, machine: MachinePlan) -> dict[str, Any]:
    way = machine.machine.connection
    return {
        "name": f"Repair {name}",
        "hosts": name,
        "gather_facts": False,
        "vars": {"machine": Unsafe(f"{machine.machine.name} ({machine.machine.id})"), **_way(way)},
        "tasks": [
            {"name": "The machine", "ansible.builtin.debug": {"var": "machine"}},
            *(task for part in parts(machine) for task in _tasks(part)),
        ],
    }


def _way(way: Connection | None) -> dict[str, Any]:
    if way is None:
        return {"ansible_connection": "local"}
    found: dict[str, Any] = {"ansible_connection": "ssh", "ansible_host": Unsafe(way.address)}
    if way.port is not None:
        found["ansible_port"] = way.port
    if way.user is not None:
        found["ansible_user"] = Unsafe(way.user)
    if way.key is not None:
        found["ansible_ssh_private_key_file"] = Unsafe(way.key)
    return found


def _tasks(part: Part) -> Iterator[dict[str, Any]]:
    step = part.step
    words = Unsafe("; ".join(about(part)))
    if step.work is None or not in_posix_guest(step):
        other = "PowerShell" if in_windows_guest(step) else "az"
        yield _debug(f"Step {said(step.id)}: see the export for {other}", words)
        return
    yield _debug(f"Step {said(step.id)}", words)
    for place, script in enumerate(push(step.id, step.work, PIECE)):
        yield _raw(f"Step {said(step.id)}: piece {place + 1} of its file", Unsafe(script.text), part, 3)
    retries = math.ceil(step.work.limit / PATIENCE) + 10
    for command in step.commands:
        if command.shell == Shell.SH:
            yield _raw(f"Step {said(step.id)}: do it", Unsafe(command.text), part, retries)


def _debug(name: str, words: Unsafe) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.debug": {"var": "about"}, "vars": {"about": words}}


def _raw(name: str, text: Unsafe, part: Part, retries: int) -> dict[str, Any]:
    task: dict[str, Any] = {
        "name": name,
        "ansible.builtin.raw": "{{ script }}",
        "vars": {"script": text},
        "register": "answer",
        "until": "answer.stdout is not search('(?m)^AUDITOR-STEP-BEGIN running ')",
        "retries": retries,
        "delay": 2,
        "failed_when": f"answer.stdout is not search('{_ENDED}')",
        "changed_when": "answer.stdout is search('(?m)^AUDITOR-STEP-BEGIN done (0|12)\\\\b')",
    }
    if part.again:
        task["when"] = "later | default(false) | bool"
    return task
