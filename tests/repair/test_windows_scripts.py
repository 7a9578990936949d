"""The texts that repairs bring into Windows guests: their versions, their grammar, the words in them.

None of this runs PowerShell. Two grammars accept the scripts, and a list holds every command, parameter, type
and member: a smoke test that finds typing errors, not a proof. The batches are run by Wine's cmd elsewhere.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import tree_sitter_powershell
import tree_sitter_pwsh
from tree_sitter import Language, Node, Parser

from auditor.hosts import POWERSHELL_LIMIT, Script, Shell
from auditor.hosts.commands import command_line
from auditor.repair.windows import digest, files, pieces
from auditor.repair.windows.scripts import runner
from auditor.simulator.windows.works import EFFECTS
from remediations.windows_guest import work

RECORDED = json.loads(Path(__file__).with_name("windows_scripts.json").read_text())
PARSERS = [Parser(Language(module.language())) for module in (tree_sitter_powershell, tree_sitter_pwsh)]
AGENT = files(work("windows_agent", scripts=("windows_agent",), limit=1))
RESTART = files(work("windows_restart", limit=1))
BATCHES = {"windows-agent": AGENT["work.cmd"], "windows-restart": RESTART["work.cmd"], "run": runner()}
POWERSHELL = {**{piece.name: piece.text for piece in pieces()}, "agent": AGENT["windows_agent.ps1"]}

COMMANDS = {
    "ConvertFrom-Json": {"-InputObject"},
    "ForEach-Object": set(),
    "Get-AuthenticodeSignature": {"-LiteralPath"},
    "Get-ChildItem": {"-LiteralPath", "-Filter"},
    "Get-ItemProperty": {"-LiteralPath", "-ErrorAction"},
    "Invoke-CimMethod": {"-ClassName", "-MethodName", "-Arguments", "-OperationTimeoutSec"},
    "New-Object": {"-ComObject"},
    "Select-Object": {"-First"},
    "Start-Sleep": {"-Milliseconds"},
    "Test-Path": {"-LiteralPath"},
}
TYPES = {
    "int", "string", "void", "char", "BitConverter", "Console", "Convert", "DateTime", "Environment", "Math",
    "Regex", "Version", "Diagnostics.FileVersionInfo", "Diagnostics.Process", "Diagnostics.ProcessStartInfo",
    "IO.Directory", "IO.DriveInfo", "IO.File", "IO.StreamReader", "Net.CredentialCache",
    "Net.SecurityProtocolType", "Net.ServicePointManager", "Net.WebClient", "Net.WebProxy", "Net.WebRequest",
    "Security.AccessControl.DirectorySecurity", "Security.Cryptography.SHA256CryptoServiceProvider",
    "Security.Principal.SecurityIdentifier", "Text.Encoding",
}  # fmt: skip
MEMBERS = {
    # System, System.Diagnostics, System.IO, System.Text
    "ASCII", "AddSeconds", "Arguments", "Attributes", "AvailableFreeSpace", "Close", "ComputeHash", "Copy",
    "CreateDirectory", "CurrentDirectory", "Delete", "Exception", "ExpandEnvironmentVariables", "FileName",
    "Floor", "FromBase64String", "GetBaseException", "GetBytes", "GetEncoding", "GetString", "GetType",
    "GetVersionInfo", "Groups", "InvokeMember", "Kill", "Length", "Match", "Max", "Message", "Move", "Name",
    "Open", "OpenRead", "OpenStandardOutput", "Out", "Position", "ProductVersion", "ReadToEnd",
    "ReadToEndAsync", "RedirectStandardOutput", "Replace", "Result", "SetLength", "Split", "StandardOutput",
    "Start", "StartsWith", "Substring", "ToInt32", "ToLower", "ToString", "UTF8", "UseShellExecute", "UtcNow",
    "Value", "WaitForExit", "Write", "WriteAllText", "WriteLine",
    # System.Net, System.Security
    "Credentials", "DefaultNetworkCredentials", "DefaultWebProxy", "DownloadFile", "GetAccessControl",
    "GetNameInfo", "GetOwner", "Proxy", "SecurityProtocol", "SetAccessControl",
    "SetSecurityDescriptorSddlForm", "SignerCertificate", "Status",
    # Schedule.Service (the task's Settings, Path and Arguments), WMI, the registry
    "Actions", "Connect", "Create", "DeleteTask", "DisallowStartIfOnBatteries", "ExecutionTimeLimit",
    "GetFolder", "GetTask", "ImagePath", "NewTask", "OEMCP", "Path", "RegisterTaskDefinition", "ReturnValue",
    "Run", "Settings", "State", "WinHttpSettings",
    # our own
    "data", "files", "id", "name", "offset", "patience", "sha256", "size", "text",
}  # fmt: skip
AUTOMATIC = {
    "$_", "$input", "$true", "$false", "$null", "$ErrorActionPreference", "$ProgressPreference",
    "$env:ComSpec", "$env:NEEDED", "$env:PAYLOAD", "$env:PROCESSOR_ARCHITECTURE", "$env:PUBLISHER",
    "$env:ProgramData", "$env:SHA256", "$env:SOURCE", "$env:SystemDrive", "$env:SystemRoot",
}  # fmt: skip
OPERATORS = {
    "-band", "-cne", "-contains", "-eq", "-gt", "-join", "-lt", "-match", "-ne", "-notcontains", "-split",
}  # fmt: skip
NOT_IN_5_1 = re.compile(r"\?|&&|\|\|")


# ---- what was recorded of them -------------------------------------------------------------------


def rows() -> list[dict[str, object]]:
    """Every text with its version, as the manifest holds it."""
    versions = {piece.name: piece.version for piece in pieces()}
    texts = {**POWERSHELL, **BATCHES}
    return [
        {
            "name": name,
            "version": versions.get(name, 1),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "length": len(text),
        }
        for name, text in texts.items()
    ]


def test_a_changed_text_has_a_new_row_and_version() -> None:
    latest = {row["name"]: row for row in RECORDED}
    assert rows() == [latest[row["name"]] for row in rows()]
    assert len({(row["name"], row["version"]) for row in RECORDED}) == len(RECORDED)


def test_every_work_has_a_model() -> None:
    assert {digest(AGENT), digest(RESTART)} == set(EFFECTS)


def test_every_script_fits_its_command_line() -> None:
    for piece in pieces():
        assert len(piece.text) < POWERSHELL_LIMIT
        assert len(command_line(Script(piece.text, Shell.POWERSHELL))) <= 8191
        assert piece.text.isascii()


# ---- the grammar of PowerShell -------------------------------------------------------------------


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def words(node: Node, kind: str) -> Iterator[str]:
    return (found.text.decode() for found in nodes(node) if found.type == kind and found.text)


def faults(text: str) -> Iterator[str]:
    """What no script may have: errors of grammar, and words that are on no list."""
    for parser in PARSERS:
        for node in nodes(parser.parse(text.encode()).root_node):
            shown = (node.text or b"").decode()
            if node.is_error or node.is_missing:
                yield f"no grammar for {shown[:60]!r}"
            else:
                yield from _word(node, shown, text)
    if match := NOT_IN_5_1.search(re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "''", text)):
        yield f"not in PowerShell 5.1: {match[0]}"


def _word(node: Node, shown: str, text: str) -> Iterator[str]:
    if node.type == "command":
        yield from _command(node, text)
    elif node.type == "type_literal" and shown.strip("[]") not in TYPES:
        yield f"unknown type {shown}"
    elif node.type == "member_name" and shown not in MEMBERS:
        yield f"unknown member {shown}"
    elif node.type == "comparison_operator" and shown not in OPERATORS:
        yield f"unknown operator {shown}"
    elif node.type == "variable" and shown not in AUTOMATIC and not _born(shown, text):
        yield f"{shown} is never given a value"


def _born(variable: str, text: str) -> bool:
    name = re.escape(variable)
    return bool(re.search(rf"{name} = |[(,] ?{name}[,)]|foreach \({name} in", text))


def _command(node: Node, text: str) -> Iterator[str]:
    name = next(words(node, "command_name"), None)
    own = set(re.findall(r"^function ([A-Z][\w-]+)", text, re.MULTILINE))
    if name is None:
        return
    if name not in COMMANDS and name not in own:
        yield f"unknown command {name}"
    given = set(words(node, "command_parameter")) if name in COMMANDS else set()
    inner = {word for child in _inner(node) for word in words(child, "command_parameter")}
    if name == "New-Object" and "-ComObject" not in given:
        kind = next(words(node, "generic_token"), "")
        if kind not in TYPES:
            yield f"unknown type {kind}"
    yield from (f"{name} has no {one}" for one in given - inner - COMMANDS.get(name, set()))


def _inner(node: Node) -> Iterator[Node]:
    """The commands within a command's arguments."""
    return (found for found in nodes(node) if found.type == "command" and found.id != node.id)


@pytest.mark.parametrize("name", POWERSHELL)
def test_only_known_words_stand_in_a_script(name: str) -> None:
    assert sorted(set(faults(POWERSHELL[name]))) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("Get-Servce", "unknown command Get-Servce"),
        ("Get-ChildItem -LitralPath 'C:'", "Get-ChildItem has no -LitralPath"),
        ("New-Object Net.WebKlient", "unknown type Net.WebKlient"),
        ("[IO.File]::Delet('a')", "unknown member Delet"),
        ("[Nett.Dns]::Open('a')", "unknown type [Nett.Dns]"),
        ("$Askd", "$Askd is never given a value"),
        ("if ($x -notlike 2) { 3 }", "unknown operator -notlike"),
        ("$x = 1 ?? 2", "not in PowerShell 5.1: ?"),
        ("if (1) { 2", "no grammar for"),
        ("Remove-Item 'x'", "unknown command Remove-Item"),
        ("Invoke-Expression 'x'", "unknown command Invoke-Expression"),
    ],
)
def test_a_slip_is_noticed(line: str, fault: str) -> None:
    assert [found for found in faults(f"$x = 1\n{line}\n") if fault in found]


@pytest.mark.parametrize("text", [*POWERSHELL.values(), *BATCHES.values()], ids=[*POWERSHELL, *BATCHES])
def test_no_account_goes_by_its_name(text: str) -> None:
    """Names of SYSTEM and of the groups differ with the language; SIDs and SDDL do not."""
    assert not re.search(r"""['"\\](SYSTEM|Administrators|Users|Everyone)['"]""", text)


def test_a_step_is_begun_by_one_of_those_who_ask_for_it() -> None:
    """File.Create shares its file with nobody, and nothing closes it before the script ends."""
    text = POWERSHELL["step"]
    alone = text.partition('try { $Lock = [IO.File]::Create("$Place\\lock") } catch { }\nif ($Lock) {\n')[2]
    for call in ("::WriteAllText(", ".RegisterTaskDefinition(", ".Run($null)"):
        assert text.count(call) == 1
        assert call in alone.partition("}\n}\n} catch {\n")[0]
    assert not re.search(r"\$Lock\b", alone)


@pytest.mark.parametrize(
    ("image", "program"),
    [
        (r"C:\WindowsAzure\Packages\WaAppAgent.exe", r"C:\WindowsAzure\Packages\WaAppAgent.exe"),
        (r'"C:\Windows Azure\WaAppAgent.exe" -service', r"C:\Windows Azure\WaAppAgent.exe"),
        (r"\??\c:\windowsazure\packages\WAAPPAGENT.EXE", r"c:\windowsazure\packages\WAAPPAGENT.EXE"),
    ],
)
def test_the_program_whose_version_is_compared(image: str, program: str) -> None:
    """What cannot be read from the service's ImagePath is no newer agent: it takes every spelling."""
    found = re.search(r"Match\(\$Line, '([^']+)'(, 'IgnoreCase')?\)", POWERSHELL["agent"])
    assert found
    match = re.match(found[1], image, re.IGNORECASE if found[2] else 0)
    assert match
    assert match[1] == program


# ---- the grammar of cmd, as far as it goes -------------------------------------------------------

PROGRAMS = {
    "@echo", "call", "cd", "cmd", "del", "echo", "exit", "find", "for", "goto", "if", "mkdir", "move",
    "msiexec", "ping", "reg", "rem", "ren", "sc", "set", "shutdown", "start", "type", ")",
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_holds_known_programs_and_no_dead_label(name: str) -> None:
    lines = [line.strip() for line in BATCHES[name].splitlines() if line.strip()]
    named = [line[1:] for line in lines if line.startswith(":")]
    labels = set(named)
    assert len(named) == len(labels)
    wanted = set(re.findall(r"(?:goto|call) :?([a-z]+)\b(?!\.)", "\n".join(lines))) - {"powershell"}
    assert wanted <= labels | {"eof"}
    # the services' part is shared: either batch leaves some of it unused
    assert labels - wanted <= {"fetch", "install", "pause", "halted", "halting", "running", "start", "stop"}
    starts = {re.split(r"[\s(]", line.lstrip("@"))[0].lower() for line in lines if line[0] not in ":>"}
    assert starts - {word.lstrip("@") for word in PROGRAMS} == set()


@pytest.mark.parametrize("name", ["windows-agent", "windows-restart"])
def test_a_batch_names_its_version(name: str) -> None:
    assert BATCHES[name].splitlines()[1] == f"rem script {name} 1"


@pytest.mark.parametrize("name", ["windows-agent", "windows-restart"])
def test_a_batch_ends_only_where_it_says_so(name: str) -> None:
    """No line falls from one part into the next: before each label that is called stands an end."""
    lines = [
        line.strip() for line in BATCHES[name].splitlines() if line.strip() and not line.startswith("rem")
    ]
    called = set(re.findall(r"call :([a-z]+)", BATCHES[name]))
    for before, line in pairwise(lines):
        if line.startswith(":") and line[1:] in called:
            assert before.startswith(("exit /b", "goto ")), line


def test_no_service_is_deleted_before_both_have_stopped_and_their_keys_are_kept() -> None:
    """One that does not stop is only marked for its deletion, and no installer can bring it back."""
    lines = [line.strip() for line in BATCHES["windows-agent"].splitlines()]
    deleted = [place for place, line in enumerate(lines) if line.startswith("sc delete")]
    clean = lines[lines.index(":clean") : deleted[0]]
    for service in ("RdAgent", "WindowsAzureGuestAgent"):
        for call in ("halted", "keep"):
            place = clean.index(f"call :{call} {service}")
            assert clean[place + 1] == "if errorlevel 1 exit /b 1"
    # RdAgent may start the other one for as long as it runs itself
    kept = next(place for place, line in enumerate(clean) if line.startswith("call :keep"))
    halted = [line for line in clean[:kept] if line.startswith("call :halted")]
    assert halted[-1] == "call :halted WindowsAzureGuestAgent"
    assert [lines[place] for place in deleted] == ["sc delete RdAgent", "sc delete WindowsAzureGuestAgent"]
    after = lines[lines.index("call :clean") + 1]
    assert after == "if errorlevel 1 goto hangs"
