"""The fields of a connection as hosts files, inventories and connection files write them."""

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from auditor.credentials import check_reference
from auditor.errors import InventoryFileError, SecretError, UsageError
from auditor.inventory.documents import Converted
from auditor.model import RUN_COMMAND, SSH, WINRM, Connection, Platform

TRANSPORTS = (SSH, WINRM, RUN_COMMAND)
AUTHENTICATIONS = ("ntlm", "kerberos", "certificate", "basic")
SECRETS = ("password", "passphrase", "sudo_password")
WORDS = ("user", "key", "certificate", "ca", "server_name")
PLACEHOLDER = "{name}"
FIELDS = tuple(field.name for field in fields(Connection))
STRANGE: Mapping[str, frozenset[str]] = {
    SSH: frozenset({"auth", "plain_http", "certificate", "ca", "server_name"}),
    WINRM: frozenset({"jump", "sudo_password"}),
    RUN_COMMAND: frozenset(FIELDS) - {"transport", "address"},
}
"""The fields that say nothing to a transport."""

_JUMP = re.compile(
    r"(?:[^\s@:/,-][^\s@:/,]*@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(?::\d{1,5})?"
)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PASSWORD = re.compile(r":(?!//).*@", re.DOTALL)
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Entry:
    """One host or rule as it stands in a file, and where; `error` is what a mistake in it raises."""

    where: str
    fields: Mapping[Any, Any]
    error: type[UsageError] = InventoryFileError

    def fail(self, message: str) -> NoReturn:
        """Raise the entry's error."""
        raise self.error(f"{self.where}: {message}")

    def word(self, name: str, *, required: bool = False) -> str:
        """A field's text, empty where there is none."""
        value = self.fields.get(name)
        if (value is not None and not isinstance(value, str | int)) or isinstance(value, bool):
            shown = "" if name in SECRETS else f" {value!r}"
            self.fail(f"{name} is{shown or ' no text'}; text is wanted, put it in quotes")
        if isinstance(value, Converted):
            shown = "a number" if name in SECRETS else value.written
            self.fail(f"{name} is {shown}, of which YAML makes another number; put it in quotes")
        text = "" if value is None else str(value).strip()
        if required and not text:
            self.fail(f"{name} is missing")
        if not text.isprintable():
            self.fail(f"{name} holds a control character" + ("" if name in SECRETS else f": {text!r}"))
        return text

    def choice(self, name: str, choices: Iterable[str]) -> str:
        """A field's text, lower-cased, that is one of a few; empty where there is none."""
        text = self.word(name).lower()
        if text and text not in choices:
            self.fail(f"{name} {text!r} is not supported; choose one of {', '.join(choices)}")
        return text

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse a field that does not exist, with the one that may have been meant."""
        names = tuple(known)
        for name in self.fields:
            if name not in names:
                self.fail(f"unknown field {name!r}; {hint(name, names)}")


def hint(name: Any, known: Iterable[str]) -> str:
    """What a name that is not known may have been meant to be."""
    names = tuple(known)
    near = difflib.get_close_matches(str(name), names, 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def connection_fields(entry: Entry) -> dict[str, Any]:
    """The fields of a connection that an entry gives, without the address, each checked by itself."""
    found: dict[str, Any] = {name: entry.word(name) for name in WORDS}
    if ":" in found["user"]:
        entry.fail("user holds a colon; a password is not part of it, and is given by reference")
    found |= {name: _secret(entry, name) for name in SECRETS}
    found["transport"] = entry.choice("transport", TRANSPORTS)
    found["auth"] = entry.choice("auth", AUTHENTICATIONS)
    found["port"] = _port(entry)
    found["jump"] = _jump(entry)
    found["plain_http"] = _flag(entry, "plain_http")
    return {name: value for name, value in found.items() if value}


def conflict(given: Mapping[str, Any], transport: str) -> str | None:
    """Why these fields are no connection, or None."""
    return clash(given, transport) or _lack(given)


def clash(given: Mapping[str, Any], transport: str | None = None) -> str | None:
    """Why these fields cannot stand together whatever else is given, or None."""
    for name in FIELDS:
        if given.get(name) and name in STRANGE.get(transport or "", frozenset()):
            return f"{name} is not for {transport}"
    auth = given.get("auth")
    if given.get("plain_http") and auth in ("basic", "certificate"):
        return f"auth {auth} over plain HTTP would show the sign-in to everybody on the way; use HTTPS"
    if given.get("certificate") and auth not in (None, "certificate"):
        return f"a certificate is for auth certificate, not for {auth}"
    return None


def _lack(given: Mapping[str, Any]) -> str | None:
    auth, certificate, key = (given.get(name) for name in ("auth", "certificate", "key"))
    if certificate and auth != "certificate":
        return "a certificate is for auth certificate"
    if auth == "certificate" and not (certificate and key):
        return "auth certificate needs a certificate and its key"
    if given.get("passphrase") and not key:
        return "a passphrase is for a key, and none is named"
    return None


def platform(entry: Entry) -> Platform:
    """The platform that an entry names; unknown where it names none."""
    return Platform(entry.choice("platform", tuple(Platform)) or Platform.UNKNOWN)


def is_jump(text: str) -> bool:
    """Whether a text is [user@]host[:port]."""
    return _JUMP.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Whether a text is a host name or an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= 253 and all(map(_LABEL.fullmatch, text.removesuffix(".").split(".")))
    return True


def no_address(text: str) -> str:
    """What is wrong with a text that `is_address` refuses."""
    shown = without_password(text)
    return f"address {shown!r} is no host name and no IP address; user and port have fields of their own"


def without_password(text: str) -> str:
    """A text that was to be an address, as it may be shown: nothing between a colon and an @."""
    return _PASSWORD.sub(":***@", text)


def port_number(text: str) -> int | None:
    """The text as a TCP port, None where it is none."""
    good = text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536
    return int(text) if good else None


def _secret(entry: Entry, name: str) -> str:
    reference = entry.word(name)
    try:
        return reference and check_reference(reference)
    except SecretError as error:
        entry.fail(f"{name}: {error}")


def _port(entry: Entry) -> int | None:
    text = entry.word("port")
    number = port_number(text)
    if text and number is None:
        entry.fail(f"port {text!r} is not a number from 1 to 65535")
    return number


def _jump(entry: Entry) -> tuple[str, ...]:
    value = entry.fields.get("jump")
    items = value if isinstance(value, list) else entry.word("jump").split(",")
    hosts = tuple(item.strip() for item in items if isinstance(item, str) and item.strip())
    if isinstance(value, list) and len(hosts) != len(value):
        entry.fail("jump is a list of [user@]host[:port]")
    for host in hosts:
        if not is_jump(host):
            entry.fail(f"the jump host {without_password(host)!r} is not written [user@]host[:port]")
    return hosts


def _flag(entry: Entry, name: str) -> bool:
    value = entry.fields.get(name)
    if isinstance(value, bool):
        return value
    text = entry.word(name).lower()
    if text and text not in _FLAGS:
        entry.fail(f"{name} {text!r} is neither true nor false")
    return _FLAGS.get(text, False)
