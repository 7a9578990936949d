"""A plan for PowerShell: each step's own script through Invoke-Command, its text and data in here-strings."""

import re
from collections.abc import Iterator

from auditor.hosts import Shell
from auditor.model import WINRM, Connection
from auditor.remedy import Command, MachinePlan, Plan
from auditor.repair.export import Part, about, heading, in_posix_guest, parts, said
from auditor.repair.work import push

# PowerShell takes the typographic quotes for the plain one
_QUOTES = "'\u2018\u2019\u201a\u201b"
_QUOTE = re.compile(f"[{_QUOTES}]")
_ENDS = re.compile(rf"(?:\A|\n)[{_QUOTES}]@")

# without it Windows PowerShell takes UTF-8 for the system's code page, where bytes of letters are quotes
_MARK = "\ufeff"

_KINDS = {"kerberos": "Kerberos", "basic": "Basic", "ntlm": "Negotiate"}

_HEAD = r"""
$ErrorActionPreference = 'Stop'
$credential = Get-Credential -Message 'An administrator of the Windows guests'
$failed = @()

# Runs a script in a guest with data on its standard input, until the guest says that the step has ended.
function Send-Step($Id, $Target, $Shell, $Text, $Data) {
  $run = {
    param($Shell, $Text, $Data)
    $OutputEncoding = New-Object Text.UTF8Encoding $false
    if ($Shell -eq 'cmd') { $Data | & cmd.exe /d /s /c $Text; return }
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($Text))
    $how = '-NoLogo', '-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass', '-EncodedCommand'
    $Data | & powershell.exe @how $encoded
  }
  do {
    $sent = @{ ScriptBlock = $run; ArgumentList = $Shell, $Text, $Data; Credential = $credential }
    if ($Target.HostName) { $sent.Remove('Credential') }
    $answer = (Invoke-Command @Target @sent) -join "`n"
    Write-Output $answer
    $running = $answer -match '(?m)^AUDITOR-STEP-BEGIN running '
    if ($running) { Start-Sleep -Seconds 2 }
  } while ($running)
  $ended = '(?m)^AUDITOR-STEP-BEGIN (done (0|11|12)|refused 11)\b'
  if ($answer -notmatch $ended) { throw "step $Id did not succeed" }
}

# $env:AUDITOR_LATER = 'yes' or 'no' answers for every stage.
function Test-Later($Words) {
  $reply = $env:AUDITOR_LATER
  if (-not $reply) { $reply = Read-Host "$Words - still needed? [y/N]" }
  $reply -match '^[yY]'
}
"""
_TAIL = """
if ($failed) { Write-Warning ('not done on: ' + ($failed -join ', ')); exit 30 }
"""


def as_powershell(plan: Plan) -> str:
    """The plan as a PowerShell script; raises `PlanError` for a file to be pushed that is not there."""
    lines = [*(f"# {line}" for line in heading(plan)), _HEAD]
    for machine in plan.touched:
        lines += _machine(machine)
    return _MARK + "\n".join((*lines, _TAIL))


def _machine(machine: MachinePlan) -> Iterator[str]:
    name = quoted(said(machine.machine.name))
    yield f"# ---- {said(machine.machine.name)} ({said(machine.machine.id)})"
    yield "try {"
    depth = 0
    for part in parts(machine):
        yield from (f"# {line}" for line in about(part))
        if part.again and part.first:
            words = quoted(f"{said(machine.machine.name)}: {part.stage.remediation}")
            yield f"if (Test-Later {words}) {{"
            depth += 1
        yield from _step(part)
    yield "}" * (depth + 1) + f" catch {{ Write-Warning ({name} + ': ' + $_); $failed += {name} }}\n"


def _step(part: Part) -> Iterator[str]:
    step = part.step
    if step.work is None:
        yield "# this step is a write to Azure: see the export for az"
    elif in_posix_guest(step):
        yield "# this step is for a POSIX shell: see the export for bash"
    else:
        pieces = [Command(one.text, one.shell, one.data.decode()) for one in push(step.id, step.work)]
        for command in (*pieces, *(one for one in step.commands if one.shell)):
            yield from _sent(step.id, part.way, command)


def _sent(step: str, way: Connection, command: Command) -> Iterator[str]:
    yield f"$text = {literal(command.text)}"
    yield f"$data = {literal(command.data)}"
    shell = quoted(Shell(command.shell).value)
    yield f"$target = {_target(way)}"
    yield f"Send-Step {quoted(step)} $target {shell} $text $data"


def _target(way: Connection) -> str:
    if way.transport != WINRM:
        return f"@{{ HostName = {quoted(way.address)} }}"
    fields = [f"ComputerName = {quoted(way.address)}"]
    if way.port is not None:
        fields.append(f"Port = {way.port}")
    if not way.plain_http:
        fields.append("UseSSL = $true")
    fields.append(f"Authentication = {quoted(_KINDS.get(way.auth or 'ntlm', 'Negotiate'))}")
    return f"@{{ {'; '.join(fields)} }}"


def quoted(text: str) -> str:
    """A text as one PowerShell string in which nothing is special."""
    return "'" + _QUOTE.sub(lambda found: found[0] * 2, text) + "'"


def literal(text: str) -> str:
    """A text of several lines as a here-string; as a plain string where a line of it would end one."""
    return quoted(text) if _ENDS.search(text) or not text else f"@'\n{text}\n'@"
