"""Proxies and firewall rules, as Windows keeps them in its registry."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from auditor.facts import Unseen
from auditor.probe.readers import proxy as redacted
from auditor.probe.windows.registry import Sections, dword
from auditor.text import one_line

WIRE_SERVER = IPv4Address("168.63.129.16")
WIRE_PORTS = (80, 32526)
RULES = 32

_ENVIRONMENT = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PROFILES = "enablefirewall"
_NAMED_PROXY = 0x02


def proxies(sections: Sections) -> tuple[tuple[str, str], ...] | Unseen:
    """Where a proxy or an exemption ("no_proxy") is set for the whole machine, without passwords."""
    found: list[tuple[str, str]] = []
    for read in (_winhttp, _internet_settings, _environment):
        rows = read(sections)
        if isinstance(rows, Unseen):
            return rows
        found.extend(rows)
    return tuple(redacted([place, one_line(value, 400)]) for place, value in found if value.strip())


def _winhttp(sections: Sections) -> list[tuple[str, str]] | Unseen:
    text = sections.value("winhttp", "WinHttpSettings")
    if isinstance(text, Unseen):
        return text
    server, bypass = winhttp_settings(text or "")
    return [("WinHTTP proxy", server), ("WinHTTP no_proxy", bypass if server else "")]


def winhttp_settings(text: str) -> tuple[str, str]:
    """Proxy and bypass list in the bytes of WinHttpSettings; empty where none is set.

    After version, counter and flags (4 bytes each, little-endian) come two texts, each led by its length.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return "", ""
    if not int.from_bytes(raw[8:12], "little") & _NAMED_PROXY:
        return "", ""
    server, rest = _counted(raw[12:])
    return server, _counted(rest)[0]


def _counted(raw: bytes) -> tuple[str, bytes]:
    end = 4 + int.from_bytes(raw[:4], "little")
    return raw[4:end].decode("ascii", "replace"), raw[end:]


def _internet_settings(sections: Sections) -> list[tuple[str, str]] | Unseen:
    found: list[tuple[str, str]] = []
    for owner in ("machine", "LocalSystem"):
        values = sections.values(f"internet {owner}")
        if isinstance(values, Unseen):
            return values
        if not values:
            continue
        place = f"IE-{owner}"
        found.append((f"{place} AutoConfigURL", values.get("autoconfigurl", "")))
        if dword(values.get("proxyenable", "")) == 1:
            found.append((f"{place} proxy", values.get("proxyserver", "")))
            found.append((f"{place} no_proxy", values.get("proxyoverride", "")))
    return found


def _environment(sections: Sections) -> list[tuple[str, str]] | Unseen:
    values = sections.values("environment")
    if isinstance(values, Unseen):
        return values
    return [(f"environment {name}", (values or {}).get(name, "")) for name in _ENVIRONMENT]


# ---- firewall ----------------------------------------------------------------------------------


def firewall(sections: Sections) -> tuple[str, ...] | Unseen:
    """The active rules that keep every program from the wire server; none where the firewall is off.

    A rule is a text such as `v2.31|Action=Block|Active=TRUE|Dir=Out|RA4=168.63.129.16|Name=...|` (MS-GPFAS).
    """
    lines = sections.of("firewall")
    profiles = sections.of("profiles")
    if isinstance(lines, Unseen) or isinstance(profiles, Unseen):
        return lines if isinstance(lines, Unseen) else Unseen("the probe did not report it")
    switches = [line.split()[-1] for line in profiles if _PROFILES in line.lower()]
    if switches and all(dword(switch) == 0 for switch in switches):
        return ()
    return tuple(_blocking(lines))[:RULES]


def _blocking(lines: tuple[str, ...]) -> Iterator[str]:
    for line in lines:
        rule = line.partition("REG_SZ")[2].strip()
        if rule and blocks_wire_server(rule):
            name = dict(_fields(rule)).get("name", "")
            yield one_line(f"outbound rule {name or 'without a name'}")


def blocks_wire_server(rule: str) -> bool:
    """Whether a firewall rule drops what any program sends to the wire server."""
    fields = list(_fields(rule))
    last = dict(fields)
    if (last.get("action"), last.get("active"), last.get("dir")) != ("Block", "TRUE", "Out"):
        return False
    if {"app", "svc", "apppkgid", "luowner", "luauth", "lport", "if", "iftype"} & last.keys():
        return False
    if last.get("protocol", "6") != "6":
        return False
    ports = [value for key, value in fields if key.startswith("rport")]
    places = [value for key, value in fields if key in ("ra4", "ra42", "ra6")]
    return _hits_port(ports) and (not places or any(map(_hits_address, places)))


def _fields(rule: str) -> Iterator[tuple[str, str]]:
    for part in rule.split("|"):
        key, equals, value = part.partition("=")
        if equals:
            yield key.strip().lower(), value.strip()


def _hits_port(ports: list[str]) -> bool:
    ranges = [re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", port) for port in ports]
    known = [(int(match[1]), int(match[2] or match[1])) for match in ranges if match]
    return not ports or any(low <= port <= high for low, high in known for port in WIRE_PORTS)


def _hits_address(text: str) -> bool:
    first, dash, last = text.partition("-")
    try:
        if not dash:
            return WIRE_SERVER in IPv4Network(text, strict=False)
        networks = summarize_address_range(IPv4Address(first), IPv4Address(last))
        return any(WIRE_SERVER in network for network in networks)
    except ValueError:
        return False
