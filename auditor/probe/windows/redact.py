"""Takes out of a guest's output what tells whose guest it is: best effort, for a person to look through."""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

KEPT = {"168.63.129.16", "169.254.169.254"}
"""Addresses that every Azure VM has."""

_GUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
_SID = re.compile(r"\bS-1-5-21-\d+-\d+-\d+(?:-\d+)?\b")
_URL = re.compile(r"\b(https?://)([^\s\"'<>|]+)", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_HOME = re.compile(r"(\\Users\\)(?:[^\\:\"|]+(?=\\)|[^\\\s\"|]+)", re.IGNORECASE)
_RULE = re.compile(r"\|(Name|Desc|App|EmbedCtxt|LUOwn)=[^|]*")
_FOUR = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]|\.\d)")
_SIX = re.compile(
    r"(?<![\w:.])(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){7})[0-9a-f:]{2,39}(?:%\d+)?(?![\w:])", re.IGNORECASE
)
_VALUE = re.compile(r"^( {4}|\t)(\S.*?)( {4}|\t)(REG_[A-Z_]+)( {4}|\t)(.*)$")
_PRIVATE = {
    "proxyserver", "proxyoverride", "autoconfigurl", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "winhttpsettings", "pendingfilerenameoperations", "registeredowner", "registeredorganization",
}  # fmt: skip
_VERSIONS = {"version"}


class Redactor:
    """Replaces, the same by the same: the names given, ids, addresses, links, accounts."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        wanted = {name.lower() for name in names if len(name) > 2}
        self._names = sorted(wanted, key=len, reverse=True)
        self._known: dict[str, dict[str, int]] = {}

    def output(self, text: str) -> str:
        """The output of the registry script, or of anything else that is lines."""
        return "\n".join(self._line(line) for line in text.split("\n"))

    def document(self, value: Any, key: str = "") -> Any:
        """A JSON value with every text in it redacted."""
        if isinstance(value, dict):
            return {name: self.document(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.document(item) for item in value]
        if not isinstance(value, str) or key in _VERSIONS:
            return value
        return "\n".join(self.text(line) for line in value.split("\n"))

    def text(self, text: str) -> str:
        """One text."""
        text = _URL.sub(self._url, text)
        text = _MAIL.sub("somebody@example.invalid", text)
        text = _HOME.sub(r"\1user", text)
        text = _RULE.sub(r"|\1=redacted", text)
        for name in self._names:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", self._name, text, flags=re.IGNORECASE)
        text = _GUID.sub(lambda match: f"00000000-0000-4000-8000-{self._number('id', match):012x}", text)
        text = _SID.sub(lambda match: f"S-1-5-21-0-0-0-{self._number('account', match)}", text)
        text = _FOUR.sub(self._address(lambda number: f"192.0.2.{number % 256}"), text)
        return _SIX.sub(self._address(lambda number: f"2001:db8::{number:x}"), text)

    def _line(self, line: str) -> str:
        stripped = line.rstrip("\r")
        if re.fullmatch(r"\d+(\.\d+)+", stripped.strip()):
            return line
        match = _VALUE.match(stripped)
        if match and match[2].lower() in _PRIVATE and match[6]:
            return "".join((*match.groups()[:5], "00" if match[4] == "REG_BINARY" else "redacted.invalid"))
        return self.text(line)

    def _name(self, match: re.Match[str]) -> str:
        return f"name-{self._number('name', match)}"

    def _address(self, made: Callable[[int], str]) -> Callable[[re.Match[str]], str]:
        def replaced(match: re.Match[str]) -> str:
            try:
                found = ip_address(match[0].partition("%")[0])
            except ValueError:
                return match[0]
            return match[0] if _says_nothing(found) else made(self._number(f"IPv{found.version}", match))

        return replaced

    def _url(self, match: re.Match[str]) -> str:
        host = re.split(r"[:/?]", match[2], maxsplit=1)[0]
        return match[0] if host in KEPT else f"{match[1]}redacted.invalid/{self._number('link', match)}"

    def _number(self, kind: str, match: re.Match[str]) -> int:
        known = self._known.setdefault(kind, {})
        return known.setdefault(match[0].lower(), len(known) + 1)


def _says_nothing(address: IPv4Address | IPv6Address) -> bool:
    mask = isinstance(address, IPv4Address) and str(address).startswith("255.")
    return str(address) in KEPT or address.is_loopback or address.is_unspecified or mask
