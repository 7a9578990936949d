"""What reg, sc and vssadmin print, as values. The German and French samples are made by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import HostError
from auditor.facts import Service, Unseen, Writer
from auditor.probe.windows.network import blocks_wire_server, firewall, proxies, winhttp_settings
from auditor.probe.windows.registry import Sections, sections
from auditor.probe.windows.system import architecture, os_name, os_version, pending_reboot
from auditor.probe.windows.writers import SOME_ERROR, writers
from auditor.simulator.windows.state import winhttp_proxy

NONE = "ERROR: The system was unable to find the specified registry key or value."
KEIN = "FEHLER: Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden."
DENIED = "ERROR: Access is denied."
FOUND = "HKEY_LOCAL_MACHINE\\SOFTWARE\\X"


def made(**parts: str) -> Sections:
    """Sections by name; an underscore stands for a blank, `none` is there unless it is given."""
    lines = {"none": NONE, **parts}
    text = "".join(f"#@ {name.replace('_', ' ')} \r\n{body}\r\n" for name, body in lines.items())
    return sections(f"#@ script registry 1\r\n{text}#@ end \r\n".encode())


def value(name: str, data: str, kind: str = "REG_SZ") -> str:
    return f"\r\n{FOUND}\r\n    {name}    {kind}    {data}\r\n"


# ---- reg -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (value("VmId", "abc"), "abc"),
        (value("vmid", "abc"), "abc"),
        (value("VmId", ""), ""),
        (value("VmId", "C:\\Program Files\\a    b"), "C:\\Program Files\\a    b"),
        (f"\r\n{FOUND}\r\n\tVmId\tREG_SZ\tabc\r\n", "abc"),
        (
            f"{FOUND}\r\n    (Standard)    REG_SZ    x\r\n    VmId    REG_DWORD    0x7b\r\n{FOUND}\\Below",
            "0x7b",
        ),
        (NONE, None),
        (f"\r\n{NONE}\r\n\r\n", None),
        (value("Other", "x"), None),
        (DENIED, Unseen("reg said: ERROR: Access is denied.")),
        ("", Unseen("reg said nothing")),
        (KEIN, Unseen(f"reg said: {KEIN}")),
    ],
)
def test_a_registry_value(body: str, expected: object) -> None:
    assert made(vm=body).value("vm", "VmId") == expected


def test_nothing_is_nothing_in_any_language() -> None:
    assert made(none=KEIN, vm=KEIN).value("vm", "VmId") is None
    assert made(none="Fehler A\r\nFehler B", vm="Fehler B").value("vm", "VmId") is None
    assert made().value("vm", "VmId") == Unseen("the probe did not report it")


@pytest.mark.parametrize(
    ("data", "expected"),
    [("0x81191", 528785), ("0x0", 0), ("81191", None), ("0x123456789", None), ("", None)],
)
def test_a_number(data: str, expected: object) -> None:
    assert made(dotnet=value("Release", data, "REG_DWORD")).number("dotnet", "Release") == expected


@pytest.mark.parametrize(
    "output", [b"", b"Access is denied.\r\n", b"#@ script registry 1\r\n#@ none\r\n", b"#@ end\r\n"]
)
def test_output_that_is_not_whole(output: bytes) -> None:
    with pytest.raises(HostError, match="did not answer the probe"):
        sections(output)


# ---- sc ------------------------------------------------------------------------------------------

ENGLISH = """
SERVICE_NAME: RdAgent
        TYPE               : 10  WIN32_OWN_PROCESS
        STATE              : 4  RUNNING
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)
        WIN32_EXIT_CODE    : 0  (0x0)
        SERVICE_EXIT_CODE  : 0  (0x0)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
"""
GERMAN = """
SERVICE_NAME: RdAgent
        TYP                : 110  WIN32_OWN_PROCESS  (interactive)
        STATUS             : 3  STOP_PENDING
                                (NOT_STOPPABLE, NOT_PAUSABLE, IGNORES_SHUTDOWN)
        WIN32_EXITCODE     : 0  (0x0)
"""
FRENCH = """
SERVICE_NAME: RdAgent
        TYPE               : 20  WIN32_SHARE_PROCESS
        ÉTAT               : 1  STOPPED
"""
ABSENT = "[SC] EnumQueryServicesStatus:OpenService {} 1060:\r\n\r\nThe specified service does not exist.\r\n"
REFUSED = "[SC] EnumQueryServicesStatus:OpenService FAILED 5:\r\n\r\nAccess is denied.\r\n"
SETUP = (
    f"\r\n{FOUND}\r\n    Start    REG_DWORD    0x2\r\n    DelayedAutostart    REG_DWORD    0x1\r\n"
    "    ImagePath    REG_EXPAND_SZ    C:\\A\\WaAppAgent.exe\r\n"
)
STATELESS = Service("RdAgent", None, "delayed", "C:\\A\\WaAppAgent.exe")


@pytest.mark.parametrize(
    ("state", "setup", "expected"),
    [
        (ENGLISH, SETUP, Service("RdAgent", "running", "delayed", "C:\\A\\WaAppAgent.exe")),
        (GERMAN, SETUP, Service("RdAgent", "stop-pending", "delayed", "C:\\A\\WaAppAgent.exe")),
        (FRENCH, SETUP, Service("RdAgent", "stopped", "delayed", "C:\\A\\WaAppAgent.exe")),
        (ENGLISH, value("Start", "0x3", "REG_DWORD"), Service("RdAgent", "running", "manual")),
        (ENGLISH, value("Start", "0x4", "REG_DWORD"), Service("RdAgent", "running", "disabled")),
        (ENGLISH, value("Start", "nonsense"), Service("RdAgent", "running")),
        (ENGLISH, DENIED, Service("RdAgent", "running")),
        (ENGLISH.replace(": 4  RUN", ": 9  RUN"), SETUP, STATELESS),
        (REFUSED, SETUP, STATELESS),
        (REFUSED, DENIED, Unseen(f"sc said: {' '.join(REFUSED.split())}")),
        (ABSENT.format("FAILED"), SETUP, None),
        (ABSENT.format("FEHLER"), DENIED, None),
        ("", NONE, None),
        ("", "", Unseen("sc said nothing")),
    ],
)  # fmt: skip
def test_a_service(state: str, setup: str, expected: object) -> None:
    assert made(state_RdAgent=state, setup_RdAgent=setup).service("RdAgent") == expected


# ---- Windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "product", "name", "version"),
    [
        ("Microsoft Windows [Version 10.0.20348.2700]", "Windows Server 2022 Datacenter",
         "Windows Server 2022 Datacenter", "10.0.20348.2700"),
        ("Microsoft Windows [版本 10.0.22631.1]", "Windows 10 Pro", "Windows 11 Pro", "10.0.22631.1"),
        ("Microsoft Windows [Version 10.0.19045.1]", "Windows 10 Pro", "Windows 10 Pro", "10.0.19045.1"),
        ("Microsoft Windows 6.1.7601", "Microsoft Windows 7", "Microsoft Windows 7", "6.1.7601"),
        ("", "", None, None),
    ],
)  # fmt: skip
def test_name_and_version(shown: str, product: str, name: str | None, version: str | None) -> None:
    found = made(version=shown, product=value("ProductName", product))
    assert (os_name(found), os_version(found)) == (name, version)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("AMD64", ("AMD64", 64)), ("ARM64", ("ARM64", 64)), ("x86", ("x86", 32)), ("IA64", ("IA64", None))],
)
def test_architecture(word: str, expected: tuple[str, int | None]) -> None:
    assert architecture(made(machine=value("PROCESSOR_ARCHITECTURE", word))) == expected


NO_MARKS = {
    "reboot_component servicing": NONE,
    "reboot_Windows Update": NONE,
    "reboot_file renames": NONE,
    "name_now": value("ComputerName", "WEB1"),
    "name_next": value("ComputerName", "web1"),
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"reboot_component servicing": f"\r\n{FOUND}\r\n"}, ("component servicing",)),
        ({"reboot_file renames": value("PendingFileRenameOperations", "\\??\\C:\\a\\0\\0", "REG_MULTI_SZ")},
         ("file renames",)),
        ({"name_next": value("ComputerName", "WEB2")}, ("computer name",)),
        ({"reboot_Windows Update": DENIED}, Unseen("reg said: ERROR: Access is denied.")),
        ({"reboot_Windows Update": DENIED, "name_next": value("ComputerName", "WEB2")}, ("computer name",)),
    ],
)  # fmt: skip
def test_pending_reboot(changes: dict[str, str], expected: object) -> None:
    assert pending_reboot(made(**{**NO_MARKS, **changes})) == expected


# ---- proxies and firewall ------------------------------------------------------------------------

NO_PROXY = {
    "winhttp": value("WinHttpSettings", "28000000000000000100000000000000" + "00" * 8, "REG_BINARY"),
    "internet_machine": value("ProxyEnable", "0x0", "REG_DWORD"),
    "internet_LocalSystem": NONE,
    "environment": NONE * 1,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"winhttp": value("WinHttpSettings", winhttp_proxy("p:3128", "10.*;<local>")[1], "REG_BINARY")},
         (("WinHTTP proxy", "p:3128"), ("WinHTTP no_proxy", "10.*;<local>"))),
        ({"internet_LocalSystem": value("ProxyEnable", "0x1", "REG_DWORD") + value("ProxyServer", "p:80")},
         (("IE-LocalSystem proxy", "p:80"),)),
        ({"internet_machine": value("ProxyServer", "p:80")}, ()),
        ({"internet_machine": value("AutoConfigURL", "http://p/wpad.dat")},
         (("IE-machine AutoConfigURL", "http://p/wpad.dat"),)),
        ({"environment": value("HTTP_PROXY", "http://ann:s3cret@p:80") + value("no_proxy", "a,b")},
         (("environment http_proxy", "http://***@p:80"), ("environment no_proxy", "a,b"))),
        ({"winhttp": DENIED}, Unseen("reg said: ERROR: Access is denied.")),
    ],
)  # fmt: skip
def test_proxies(changes: dict[str, str], expected: object) -> None:
    assert proxies(made(**{**NO_PROXY, **changes})) == expected


@given(st.text(max_size=80) | st.binary(max_size=80).map(bytes.hex))
def test_any_winhttp_settings(text: str) -> None:
    server, bypass = winhttp_settings(text)
    assert isinstance(server, str)
    assert server or not bypass


@given(st.text("abc.:;*<>", min_size=1, max_size=30), st.text("abc.:;*<>", max_size=30))
def test_winhttp_settings_come_back(server: str, bypass: str) -> None:
    assert winhttp_settings(winhttp_proxy(server, bypass)[1]) == (server, bypass)


RULE = "v2.31|Action=Block|Active=TRUE|Dir=Out|Name=Deny|"


@pytest.mark.parametrize(
    ("rule", "blocks"),
    [
        (RULE, True),
        (RULE + "RA4=168.63.129.16|", True),
        (RULE + "RA4=10.0.0.0/255.0.0.0|RA4=168.63.129.0/255.255.255.0|", True),
        (RULE + "RA4=168.0.0.0-168.255.255.255|", True),
        (RULE + "RA4=10.0.0.1|", False),
        (RULE + "RA4=LocalSubnet|", False),
        (RULE + "RA4=9.9.9.9-1.1.1.1|", False),
        (RULE + "RA6=fe80::/10|", False),
        (RULE + "Protocol=6|RPort=80|", True),
        (RULE + "Protocol=6|RPort2_10=32000-33000|", True),
        (RULE + "Protocol=6|RPort=443|", False),
        (RULE + "Protocol=17|", False),
        (RULE + "App=C:\\x.exe|", False),
        (RULE + "Svc=wuauserv|", False),
        (RULE.replace("Dir=Out", "Dir=In"), False),
        (RULE.replace("Block", "Allow"), False),
        (RULE.replace("TRUE", "FALSE"), False),
        ("", False),
    ],
)
def test_a_firewall_rule(rule: str, blocks: bool) -> None:
    assert blocks_wire_server(rule) is blocks


def profiles(*switches: int) -> str:
    return "".join(value("EnableFirewall", f"{switch:#x}", "REG_DWORD") for switch in switches)


def test_the_firewall_counts_where_it_is_on() -> None:
    line = f"    {{7C8D}}    REG_SZ    {RULE}\r\n    x    REG_SZ    {RULE}Svc=a|"
    assert firewall(made(firewall=line, profiles=profiles(0, 1, 0))) == ("outbound rule Deny",)
    assert firewall(made(firewall=line, profiles=profiles(0, 0, 0))) == ()
    assert firewall(made(firewall=line, profiles=NONE)) == ("outbound rule Deny",)
    assert firewall(made(firewall="", profiles=profiles(1, 1, 1))) == ()
    assert firewall(made(profiles=profiles(1, 1, 1))) == Unseen("the probe did not report it")


# ---- vssadmin ------------------------------------------------------------------------------------

HEAD = (
    "vssadmin 1.1 - Volume Shadow Copy Service administrative command-line tool\r\n"
    "(C) Copyright 2001-2013 Microsoft Corp.\r\n\r\n"
)


def block(name: str, state: str, error: str, language: str = "en") -> str:
    """One writer as vssadmin prints it."""
    labels = {
        "en": ("Writer name: '{}'", "Writer Id", "State", "Last error"),
        "de": ('Verfassername: "{}"', "Verfasserkennung", "Status", "Letzter Fehler"),
        "fr": ("Nom du rédacteur : «{}»", "ID du rédacteur ", "État ", "Dernière erreur "),
    }
    title, ident, status, last = labels[language]
    return (
        f"{title.format(name)}\r\n   {ident}: {{d61d61c8-d73a-4eee-8cdd-f6f9786b7124}}\r\n"
        f"   {status}: {state}\r\n   {last}: {error}\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (block("System Writer", "[1] Stable", "No error"), [Writer("System Writer", 1, 0)]),
        (block("A", "[8] Failed", "Retryable error"), [Writer("A", 8, 0x800423F3)]),
        (block("A", "[1] Stable", "Non-retryable error"), [Writer("A", 1, 0x800423F4)]),
        (block("A", "[5] Waiting for completion", "0x800423f2"), [Writer("A", 5, 0x800423F2)]),
        (block("A", "[1] Stabil", "Kein Fehler", "de"), [Writer("A", 1, 0)]),
        (block("A", "[1] Stable", "Pas d'erreur", "fr"), [Writer("A", 1, None)]),
        (
            "".join(block(name, "[1] Stable", "Pas d'erreur", "fr") for name in "ABC")
            + block("D", "[1] Stable", "Erreur renouvelable", "fr"),
            [Writer("A", 1, 0), Writer("B", 1, 0), Writer("C", 1, 0), Writer("D", 1, SOME_ERROR)],
        ),
        (block("A", "[1] Stable", "No error") + "Writer name: 'B'\r\n", [Writer("A", 1, 0)]),
    ],
)
def test_writers(text: str, expected: list[Writer]) -> None:
    assert writers(HEAD + text) == tuple(expected)


def test_no_writer_is_said_with_the_reason() -> None:
    refused = "Error: You don't have the correct permissions to run this command."
    assert writers(HEAD + refused) == Unseen(f"vssadmin listed no writer; it said: {refused}")
    assert writers("") == Unseen("vssadmin listed no writer; it said: nothing")


@given(
    st.lists(
        st.sampled_from([block("A", "[1] Stable", "No error"), "Writer name: 'x'\n", " : [9]\n", "\n", "?"])
    )
)
def test_any_lines_are_writers_or_a_reason(parts: list[str]) -> None:
    found = writers("".join(parts))
    if isinstance(found, tuple):
        assert found
        assert all(writer.name.isprintable() for writer in found)
    else:
        assert found.reason.startswith("vssadmin listed no writer")
