"""A plan for bash: each step's own script over ssh, as a here-document, byte for byte."""

import shlex
from collections.abc import Callable, Iterable, Iterator

from auditor.hosts import Script, Shell
from auditor.hosts.commands import command_line
from auditor.model import WINRM, Connection
from auditor.remedy import Command, MachinePlan, Plan
from auditor.repair.export import Part, about, heading, mark, parts, said
from auditor.repair.work import push

_HEAD = r"""
set -u
failed=
# at the beginning of a line: what a step's work printed stands behind bars
running=$'(^|\n)AUDITOR-STEP-BEGIN running '
ended=$'(^|\n)AUDITOR-STEP-BEGIN (done (0|11|12)|refused 11)($|[^0-9])'

# Sends standard input through the given ssh command until the guest says that the step has ended.
send() {
  step=$1; shift
  script=$(cat; printf .)
  while :; do
    answer=$(printf '%s' "${script%.}" | "$@" | tr -d '\r')
    printf '%s\n' "$answer"
    [[ $answer =~ $running ]] || break
    sleep 2
  done
  [[ $answer =~ $ended ]] && return 0
  echo "step $step did not succeed" >&2
  return 1
}
"""
LATER = r"""
# AUDITOR_LATER=yes or no answers for every stage.
later() {
  reply=${AUDITOR_LATER-}
  [ -n "$reply" ] || { printf '%s - still needed? [y/N] ' "$1" >&2; read -r reply </dev/tty || return 1; }
  case $reply in y* | Y*) return 0 ;; *) return 1 ;; esac
}
"""
TAIL = """
[ -z "$failed" ] || { echo "not done on: $failed" >&2; exit 30; }
"""


def as_bash(plan: Plan) -> str:
    """The plan as a script for bash; raises `PlanError` for a file that is to be pushed and is not there."""
    return bash_script(plan, _HEAD + LATER, _machine)


def bash_script(plan: Plan, head: str, machine: Callable[[str, MachinePlan], Iterable[str]]) -> str:
    """A script for bash: its heading, a function for each machine by its name there, and the calls of all."""
    lines = ["#!/usr/bin/env bash", *(f"# {line}" for line in heading(plan)), head]
    for place, one in enumerate(plan.touched, 1):
        lines += machine(f"machine_{place}", one)
    return "\n".join((*lines, TAIL))


def _machine(name: str, machine: MachinePlan) -> Iterator[str]:
    yield f"# ---- {said(machine.machine.name)} ({said(machine.machine.id)})"
    yield f"{name}() {{"
    if machine.machine.connection is not None and machine.machine.connection.sudo_password:
        yield "# sudo asks for a password here, which ssh cannot give: sign in as root, or allow it without"
    for part in parts(machine):
        yield from (f"# {line}" for line in about(part))
        if part.again and part.first:
            yield asked(part)
        yield from _step(part)
    yield "return 0"
    yield "}"
    yield f'{name} || failed="$failed "{shlex.quote(said(machine.machine.name))}\n'


def asked(part: Part) -> str:
    """The line that asks before a stage which an earlier one may have made needless."""
    words = f"{said(part.machine.machine.name)}: {part.stage.remediation}"
    return f"later {shlex.quote(words)} || return 0"


def _step(part: Part) -> Iterator[str]:
    step = part.step
    if step.work is None:
        yield "# this step is a write to Azure: see the export for az"
    elif step.channel == WINRM:
        yield "# this step goes through WinRM: see the export for PowerShell"
    else:
        sent = [command for command in step.commands if command.shell]
        pieces = [Command(one.text, one.shell, one.data.decode()) for one in push(step.id, step.work)]
        for command in (*pieces, *sent):
            yield from _sent(step.id, part.way, command)


def _sent(step: str, way: Connection, command: Command) -> Iterator[str]:
    script = Script(command.text, Shell(command.shell), command.data.encode())
    ssh = shlex.join(("send", step, *ssh_command(way), command_line(script)))
    given = command.text if script.shell is Shell.SH else command.data
    if not given.endswith("\n"):
        yield f"printf '%s' {shlex.quote(given)} | {ssh} || return 1"
        return
    end = mark("AUDITOR-EXPORT-END", given)
    yield f"{ssh} <<'{end}' || return 1"
    yield f"{given}{end}"


def ssh_command(way: Connection) -> tuple[str, ...]:
    """The words of an ssh command to a guest; what would be an option stands behind "--"."""
    words = ["ssh", "-o", "BatchMode=yes"]
    if way.port is not None:
        words += ["-p", str(way.port)]
    if way.key is not None:
        words += ["-i", way.key]
    if way.jump:
        words += ["-J", ",".join(way.jump)]
    if way.user is not None:
        words += ["-l", way.user]
    return (*words, "--", way.address)
