"""The texts of the Windows scripts: their versions, their grammar, the words that may stand in them.

None of this runs PowerShell. Two grammars accept the scripts, and a list holds every command, parameter, type
and member: a smoke test that finds typing errors, not a proof.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tree_sitter_powershell
import tree_sitter_pwsh
from tree_sitter import Language, Node, Parser

from auditor.errors import RuleSetError
from auditor.hosts import CMD_LIMIT, POWERSHELL_LIMIT, Shell
from auditor.hosts.commands import command_line
from auditor.probe import windows_probe
from auditor.probe.windows import Piece, pieces
from auditor.rules import Endpoint, load_rules

RECORDED = json.loads(Path(__file__).with_name("windows_scripts.json").read_text())
PARSERS = [Parser(Language(module.language())) for module in (tree_sitter_powershell, tree_sitter_pwsh)]
POWERSHELL = [piece for piece in pieces() if piece.shell is Shell.POWERSHELL]
NAMES = [piece.name for piece in POWERSHELL]

COMMANDS = {
    "ConvertFrom-Json": {"-InputObject"},
    "ConvertTo-Json": {"-InputObject", "-Depth", "-Compress"},
    "ForEach-Object": set(),
    "Get-ChildItem": {"-LiteralPath", "-Recurse", "-Filter"},
    "Get-CimInstance": {"-ClassName", "-Filter", "-OperationTimeoutSec"},
    "Get-ItemProperty": {"-LiteralPath"},
    "Invoke-CimMethod": {"-ClassName", "-MethodName", "-Arguments", "-OperationTimeoutSec"},
    "New-Object": set(),
    "Out-String": set(),
    "Select-Object": {"-First", "-Last"},
    "Sort-Object": {"-Property", "-Descending"},
    "Test-Path": {"-LiteralPath", "-PathType"},
    "Where-Object": set(),
}
TYPES = {
    "char", "int", "int64", "Console", "DateTime", "Environment", "Math", "Regex",
    "Diagnostics.FileVersionInfo", "Diagnostics.Process", "Diagnostics.ProcessStartInfo",
    "Diagnostics.Stopwatch", "IO.DriveInfo", "IO.File",
    "IO.StreamReader", "Net.Dns", "Net.Security.SslStream", "Net.Sockets.TcpClient", "Net.WebProxy",
    "Net.WebRequest", "Security.Authentication.SslProtocols", "Security.Principal.WindowsBuiltInRole",
    "Security.Principal.WindowsIdentity", "Security.Principal.WindowsPrincipal",
}  # fmt: skip
MEMBERS = {
    # System, System.Diagnostics, System.IO, System.Text.RegularExpressions
    "Arguments", "Close", "Description", "ElapsedMilliseconds", "Exception", "ExitCode",
    "ExpandEnvironmentVariables", "FileName", "FullName", "GetBaseException", "GetType", "GetVersionInfo",
    "InnerException", "Kill", "LastWriteTimeUtc", "Length", "Match", "Max", "Message", "Name", "Open", "Out",
    "PadRight", "Position", "ProductVersion", "ReadToEnd", "ReadToEndAsync", "RedirectStandardOutput",
    "Replace", "Result", "Split", "StandardOutput", "Start", "StartNew", "StartsWith", "Status", "Substring",
    "ToString", "ToUniversalTime", "TotalFreeSpace", "TotalSeconds", "TotalSize", "Trim", "UseShellExecute",
    "UtcNow", "Value", "WaitForExit", "WriteLine",
    # System.Net, System.Threading, System.Security
    "Add", "Administrator", "AsyncWaitHandle", "AuthenticateAsClient", "BeginConnect",
    "BeginGetHostAddresses", "Create", "EndConnect", "EndGetHostAddresses", "FriendlyName", "GetCurrent",
    "GetResponse", "GetResponseStream", "GetStream", "Headers", "IsInRole", "NotAfter", "NotBefore", "Proxy",
    "ReadWriteTimeout", "ReceiveTimeout", "SocketErrorCode", "SslProtocol", "StatusCode", "Subject",
    "Timeout", "Tls12", "WaitOne",
    # WMI and the registry
    "DHCPEnabled", "IPAddress", "ImagePath", "NativeErrorCode", "ReturnValue", "SMBIOSAssetTag", "UUID",
    # our own
    "answer", "attempt", "body", "client", "clock", "connect", "endpoints", "host", "lookup", "place", "port",
    "present", "target", "tls", "version", "vmId",
}  # fmt: skip
AUTOMATIC = {
    "$_", "$args", "$input", "$true", "$false", "$null", "$env:SystemDrive", "$env:SystemRoot",
    "$ErrorActionPreference", "$ProgressPreference",
}  # fmt: skip
NOT_IN_5_1 = re.compile(r"\?|&&|\|\|")
"""Also the short word for Where-Object: no question mark has any business outside a text."""

OPERATORS = {"-contains", "-eq", "-gt", "-match"}


# ---- what was recorded of them -------------------------------------------------------------------


def test_a_changed_script_has_a_new_version() -> None:
    latest = {row["name"]: row for row in RECORDED}
    for piece in pieces():
        assert latest[piece.name] == {
            "name": piece.name,
            "version": piece.version,
            "sha256": piece.sha256,
            "length": len(piece.text),
            "keys": [*piece.keys],
        }
    assert f"script registry {pieces()[0].version}" in pieces()[0].text


def test_no_version_was_given_twice() -> None:
    assert len({(row["name"], row["version"]) for row in RECORDED}) == len(RECORDED)
    assert len({row["sha256"] for row in RECORDED}) == len(RECORDED)


def test_every_script_fits_its_command_line() -> None:
    for script in windows_probe(load_rules().endpoints).scripts:
        limit = CMD_LIMIT if script.shell is Shell.CMD else POWERSHELL_LIMIT
        assert len(script.text) <= limit
        assert len(command_line(script)) <= 8191
        assert script.text.isascii()


def test_endpoints_are_data_for_one_script() -> None:
    endpoints = [Endpoint("a.example", 443, True, ""), Endpoint("2001:db8::1", 80, False, "")]
    scripts = windows_probe(endpoints).scripts
    assert [script.text for script in scripts] == [piece.text for piece in pieces()]
    data = {piece.name: script.data for piece, script in zip(pieces(), scripts, strict=True) if script.data}
    assert list(data) == ["endpoints"]
    assert json.loads(data["endpoints"]) == {
        "endpoints": [
            {"target": "a.example:443", "host": "a.example", "port": 443, "tls": True},
            {"target": "[2001:db8::1]:80", "host": "2001:db8::1", "port": 80, "tls": False},
        ]
    }


@pytest.mark.parametrize("endpoint", [Endpoint("a b", 443, True, ""), Endpoint("a", 0, True, "")])
def test_an_endpoint_that_is_none(endpoint: Endpoint) -> None:
    with pytest.raises(RuleSetError, match="no host name and port"):
        windows_probe([endpoint])


# ---- the command line of cmd.exe -----------------------------------------------------------------

QUESTION = re.compile(
    r'reg query ("HK[^"%]+"|HK[^\s"%]+)( /s)?( /v [\w-]+)? /reg:64 2>&1'
    r'( \| find "[A-Za-z =]+")*'
    r"|cd /d %SystemRoot%\\System32|sc query \w+ 2>&1|ver|ver>nul|echo #@ [\w ]+"
    r'|dir /ad /b "%SystemDrive%\\[\w.\\-]+" 2>&1'
    r'|dir /s /b "%SystemDrive%\\[\w.\\]+" "%SystemDrive%\\[\w.\\]+" 2>nul'
)


def test_the_command_line_holds_questions_only() -> None:
    commands = pieces()[0].text.split(" & ")
    assert [command for command in commands if not QUESTION.fullmatch(command)] == []
    assert sum(command.startswith("reg query") for command in commands) > 30


@pytest.mark.parametrize(
    "command",
    [
        "reg add HKLM\\SOFTWARE\\X /v Y /reg:64 2>&1",
        "reg query HKLM\\SOFTWARE\\X 2>&1",
        "sc stop RdAgent 2>&1",
        'reg query "HKLM\\SOFTWARE\\%USERNAME%" /reg:64 2>&1',
        'del "%SystemDrive%\\x"',
        "echo #@ a > b",
    ],
)
def test_a_command_that_is_no_question_is_noticed(command: str) -> None:
    assert not QUESTION.fullmatch(command)


# ---- the grammar of PowerShell -------------------------------------------------------------------


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def parse(text: str) -> list[Node]:
    return [node for parser in PARSERS for node in nodes(parser.parse(text.encode()).root_node)]


def words(node: Node, kind: str) -> Iterator[str]:
    return (found.text.decode() for found in nodes(node) if found.type == kind and found.text)


def faults(text: str) -> Iterator[str]:
    """What no script may have: errors of grammar, and words that are on no list."""
    for node in parse(text):
        shown = (node.text or b"").decode()
        if node.is_error or node.is_missing:
            yield f"no grammar for {shown[:60]!r}"
        elif check := _CHECKS.get(node.type):
            yield from check(node, shown, text)
    if match := NOT_IN_5_1.search(_code(text)):
        yield f"not in PowerShell 5.1: {match[0]}"


def _code(text: str) -> str:
    return re.sub(r"'[^']*'", "''", text)


def _command(node: Node, _shown: str, text: str) -> Iterator[str]:
    name = next(words(node, "command_name"), None)
    own = set(re.findall(r"^function ([A-Z][\w-]+)\(", text, re.MULTILINE))
    if name is None:
        return
    if name not in COMMANDS and name not in own:
        yield f"unknown command {name}"
    if name == "New-Object":
        yield from (
            f"unknown type {kind}" for kind in list(words(node, "generic_token"))[:1] if kind not in TYPES
        )
    elements = [child for child in node.children if child.type == "command_elements"]
    given = {
        str((part.text or b"").decode())
        for element in elements
        for part in element.children
        if part.type == "command_parameter"
    }
    yield from (f"{name} has no {parameter}" for parameter in given - COMMANDS.get(name, set()))


def _type(_node: Node, shown: str, _text: str) -> Iterator[str]:
    if shown.strip("[]") not in TYPES:
        yield f"unknown type {shown}"


def _member(_node: Node, shown: str, _text: str) -> Iterator[str]:
    if shown not in MEMBERS:
        yield f"unknown member {shown}"


def _variable(_node: Node, shown: str, text: str) -> Iterator[str]:
    born = rf"{re.escape(shown)} = |[(,] ?{re.escape(shown)}[,)]|foreach \({re.escape(shown)} in"
    if shown not in AUTOMATIC and not re.search(born, text):
        yield f"{shown} is never given a value"


def _operator(_node: Node, shown: str, _text: str) -> Iterator[str]:
    if shown not in OPERATORS:
        yield f"unknown operator {shown}"


_CHECKS: dict[str, Callable[[Node, str, str], Iterator[str]]] = {
    "command": _command,
    "type_literal": _type,
    "member_name": _member,
    "variable": _variable,
    "comparison_operator": _operator,
}


@pytest.mark.parametrize("piece", POWERSHELL, ids=NAMES)
def test_only_known_words_stand_in_a_script(piece: Piece) -> None:
    assert list(faults(piece.text)) == []


@pytest.mark.parametrize("piece", POWERSHELL, ids=NAMES)
def test_a_script_prints_the_keys_that_it_is_said_to(piece: Piece) -> None:
    for parser in PARSERS:
        root = parser.parse(piece.text.encode()).root_node
        (answer,) = (
            node
            for node in nodes(root)
            if node.type == "command" and next(words(node, "command_name"), "") == "Write-Answer"
        )
        table = next(node for node in nodes(answer) if node.type == "hash_literal_body")
        entries = [child for child in table.children if child.type == "hash_entry"]
        assert tuple(next(words(entry, "key_expression")) for entry in entries) == piece.keys


@pytest.mark.parametrize("piece", POWERSHELL, ids=NAMES)
def test_a_script_begins_alike_and_ends_with_its_answer(piece: Piece) -> None:
    first = POWERSHELL[0].text.splitlines()
    start = next(place for place, line in enumerate(first) if line == "}" and "WriteLine" in first[place - 1])
    assert piece.text.splitlines()[: start + 1] == first[: start + 1]
    assert piece.text.count("Write-Answer") == 2
    assert piece.text.endswith("}")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("Get-Servce", "unknown command Get-Servce"),
        ("Get-ChildItem -LitralPath 'C:'", "Get-ChildItem has no -LitralPath"),
        ("New-Object Net.Sockets.TcpKlient", "unknown type Net.Sockets.TcpKlient"),
        ("[Net.Dns]::BeginGetHostAdresses('a')", "unknown member BeginGetHostAdresses"),
        ("[Nett.Dns]::Open('a')", "unknown type [Nett.Dns]"),
        ("$Facst", "$Facst is never given a value"),
        ("if ($x -kontains 2) { 3 }", "no grammar for"),
        ("if ($x -in 2) { 3 }", "unknown operator -in"),
        ("$x = 1 ?? 2", "not in PowerShell 5.1: ?"),
        ("$x = $true ? 1 : 2", "not in PowerShell 5.1"),
        ("Out-String && Out-String", "not in PowerShell 5.1: &&"),
        ("if (1) { 2", "no grammar for"),
        ("Invoke-Expression 'x'", "unknown command Invoke-Expression"),
    ],
)
def test_a_slip_is_noticed(line: str, fault: str) -> None:
    assert [found for found in faults(f"$x = 1\n{line}\n") if fault in found]
