"""The way to a guest: its connection, ssh_config and the options, as a list of hops."""

import os
import re
import shlex
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from auditor.errors import HostError
from auditor.hosts.options import GLOBAL_KNOWN_HOSTS, GuestOptions
from auditor.hosts.ssh.config import Settings, SshConfig, local_user
from auditor.model import Connection
from auditor.text import place

MOST_HOPS = 8
_HOST = re.compile(r"(?:[A-Za-z0-9_]|::)[A-Za-z0-9_.:%-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\+-]{0,127}\$?")
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>\S+)@)?"
    r"(?:\[(?P<bracketed>[^\[\]\s]+)\]|(?P<host>[^:@\s\[\]]+))(?::(?P<port>\d{1,5}))?/?"
)
_TOKEN = re.compile(r"%(.?)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NO_ERRORS = re.compile(r"2>\s*/dev/null")
_SHELL = re.compile(r"[|&;<>]+|\d*[<>].*")


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way, or the guest itself.

    `keys` are the files to offer, None where nothing names one; with `only_keys` the agent serves for these
    files alone. `known_as` is the name, and `known_hosts` are the files (None: the usual ones), that the host
    key is looked up by. `proxy` is the program that leads to it.
    """

    connection: Connection
    host: str
    port: int
    user: str
    jump: bool
    keys: tuple[str, ...] | None = None
    only_keys: bool = False
    known_as: str | None = None
    known_hosts: tuple[Path, ...] | None = None
    proxy: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Address and port, for a reason."""
        return place(self.host, self.port)


def route(connection: Connection, options: GuestOptions, config: SshConfig) -> tuple[Hop, ...]:
    """The hops to a guest, the guest last; raises `HostError` for a way that cannot be gone."""
    return _route(connection, options, config, jump=False, taken=0)


def _route(
    connection: Connection, options: GuestOptions, config: SshConfig, *, jump: bool, taken: int
) -> tuple[Hop, ...]:
    settings = config.settings(connection.address, connection.user)
    hop = _hop(connection, options, settings, jump=jump)
    through = connection.jump or _proxy_jump(hop, settings)
    if not through:
        return (replace(hop, proxy=_proxy_command(hop, settings)),)
    taken += len(through)
    if taken >= MOST_HOPS:
        raise HostError(f"the way to {hop.place} takes {MOST_HOPS} hops or more, or goes in a circle")
    first, *others = (jump_host(text, connection) for text in through)
    before = _route(first, options, config, jump=True, taken=taken)
    between = [_hop(each, options, config.settings(each.address, each.user), jump=True) for each in others]
    return (*before, *between, hop)


def jump_host(text: str, guest: Connection) -> Connection:
    """The connection to a jump host given as [user@]host[:port]; raises `HostError` where it is none.

    The guest's key is offered where ssh_config names none for the jump host; its passwords never are.
    """
    match = _JUMP.fullmatch(text)
    host = match and (match["bracketed"] or match["host"])
    port = int(match["port"]) if match and match["port"] else None
    if not match or not host or not _HOST.fullmatch(host) or (port is not None and not 0 < port < 65536):
        raise HostError(f"{text!r} is no jump host; it is given as [user@]host[:port]")
    return Connection(host, port, match["user"], guest.key, passphrase=guest.passphrase)


def _hop(connection: Connection, options: GuestOptions, settings: Settings, *, jump: bool) -> Hop:
    alias = connection.address
    bare = Hop(
        connection,
        _expanded(_one(settings, "hostname") or alias, {"h": alias}, alias).lower(),
        connection.port or _port(settings, alias) or options.port,
        connection.user or _one(settings, "user") or options.user or local_user(),
        jump,
        known_as=_one(settings, "hostkeyalias"),
    )
    return replace(
        _with_keys(bare, options, settings),
        known_hosts=_known_hosts(bare, settings) if options.known_hosts is None else None,
    )


def _one(settings: Settings, keyword: str) -> str | None:
    words = settings.get(keyword)
    return words[0] if words else None


def _port(settings: Settings, alias: str) -> int | None:
    text = _one(settings, "port")
    if text is None:
        return None
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else _service(text)
    if not 0 < number < 65536:
        raise HostError(f"ssh_config names no usable port for {alias}: {text!r}")
    return number


def _service(name: str) -> int:
    """The port of a service, 0 where the system knows none of that name."""
    try:
        return socket.getservbyname(name, "tcp")
    except (OSError, ValueError):
        return 0


def _with_keys(hop: Hop, options: GuestOptions, settings: Settings) -> Hop:
    """The guest's own key, else ssh_config's, else that of the options; a jump host asks ssh_config first."""
    named = (hop.connection.key,) if hop.connection.key else None
    files = [text for text in settings.get("identityfile", ()) if text.lower() != "none"]
    configured = tuple(_path(hop, text) for text in files) or None
    usual = (options.key,) if options.key else None
    keys = configured or named or usual if hop.jump else named or configured or usual
    only = (_one(settings, "identitiesonly") or "no").lower() in ("yes", "true")
    return replace(hop, keys=keys, only_keys=only or (keys is not None and keys != configured))


def _known_hosts(hop: Hop, settings: Settings) -> tuple[Path, ...] | None:
    """The user's files; /dev/null and the like would only weaken the check, and do not count."""
    names = [text for text in settings.get("userknownhostsfile", ()) if text.lower() != "none"]
    paths = [Path(_path(hop, text)) for text in names]
    files = [path for path in paths if path.is_file() or not path.exists()]
    return (*files, GLOBAL_KNOWN_HOSTS) if files else None


# ---- tokens ---------------------------------------------------------------------------------------


def _path(hop: Hop, text: str) -> str:
    if "%" in text:
        tokens = _tokens(hop)
        # names out of a hosts file may stand for a part of a path, and lead nowhere else
        for token in ("h", "n", "r", "k"):
            if f"%{token}" in text and ({"/", os.sep} & set(tokens[token]) or tokens[token] in (".", "..")):
                raise HostError(f"{tokens[token]!r} cannot stand in the path {text} of ssh_config")
        text = _expanded(text, tokens, hop.connection.address)
    return os.path.expanduser(_VARIABLE.sub(lambda match: os.environ.get(match[1], ""), text))


def _tokens(hop: Hop) -> dict[str, str]:
    machine = socket.gethostname()
    return {
        "h": hop.host,
        "n": hop.connection.address,
        "p": str(hop.port),
        "r": hop.user,
        "k": hop.known_as or hop.connection.address,
        "u": local_user(),
        "d": os.path.expanduser("~"),
        "l": machine,
        "L": machine.partition(".")[0],
    }


def _expanded(text: str, tokens: dict[str, str], alias: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] != "%" and match[1] not in tokens:
            raise HostError(f"ssh_config uses %{match[1]} for {alias} where it means nothing here")
        return tokens.get(match[1], "%")

    return _TOKEN.sub(value, text)


# ---- proxies --------------------------------------------------------------------------------------


def _proxy(settings: Settings, keyword: str) -> str | None:
    """The value of ProxyJump or ProxyCommand, whichever stood first; the other then does not count."""
    first = next((name for name in settings if name in ("proxyjump", "proxycommand")), None)
    text = _one(settings, keyword)
    return text if keyword == first and text is not None and text.lower() != "none" else None


def _proxy_jump(hop: Hop, settings: Settings) -> tuple[str, ...]:
    text = _proxy(settings, "proxyjump")
    return tuple(_expanded(text, _tokens(hop), hop.connection.address).split(",")) if text else ()


def _proxy_command(hop: Hop, settings: Settings) -> tuple[str, ...]:
    """The program as a list of arguments; no shell takes part, so what would need one is refused."""
    text = _proxy(settings, "proxycommand")
    if text is None:
        return ()
    alias = hop.connection.address
    try:
        words = [word for word in shlex.split(text) if not _NO_ERRORS.fullmatch(word)]
    except ValueError as error:
        raise HostError(f"the ProxyCommand for {alias} cannot be taken apart: {error}") from error
    if words[:1] == ["exec"]:
        del words[0]
    if not words or any(_SHELL.fullmatch(word) for word in words):
        raise HostError(f"the ProxyCommand for {alias} needs a shell, and none takes part here")
    for token, value, form in (("h", hop.host, _HOST), ("n", alias, _HOST), ("r", hop.user, _USER)):
        if f"%{token}" in text and not form.fullmatch(value):
            raise HostError(f"{value!r} cannot stand in the ProxyCommand for {alias}")
    tokens = {"h": hop.host, "n": alias, "p": str(hop.port), "r": hop.user}
    return (os.path.expanduser(words[0]), *(_expanded(word, tokens, alias) for word in words[1:]))
