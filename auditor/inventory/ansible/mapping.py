"""From an Ansible host's variables to a machine and the way to it."""

import logging
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from auditor.inventory.ansible import variables as known
from auditor.inventory.ansible.variables import Names, Unusable
from auditor.inventory.fields import is_jump, port_number
from auditor.inventory.host import Host
from auditor.inventory.hosts_file import azure_vm
from auditor.model import SSH, WINRM, Machine, Platform

logger = logging.getLogger(__name__)

SOURCE = "ansible"
PLUGINS: Mapping[str, tuple[str, Names]] = {
    "ssh": (SSH, known.SSH),
    "smart": (SSH, known.SSH),
    "paramiko": (SSH, known.PARAMIKO),
    "paramiko_ssh": (SSH, known.PARAMIKO),
    "winrm": (WINRM, known.WINRM),
    "psrp": (WINRM, known.PSRP),
}
AUTHENTICATIONS = {
    **dict.fromkeys(("basic", "ssl", "plaintext"), "basic"),
    **{name: name for name in ("ntlm", "kerberos", "certificate")},
    "negotiate": "",
}
_HTTP_PORT = 5985
_FILE = "in a connections file (--connections)"
_WAY_OUT = f"and no password is taken from an inventory: give a reference {_FILE}"
_NOT_HONOURED = {
    "ansible_winrm_server_cert_validation": "is not honoured: certificates are verified; name their CA",
    "ansible_psrp_cert_validation": "is not honoured: certificates are verified; name their CA",
    "ansible_host_key_checking": "is not honoured: host keys are verified (--host-key-policy)",
    "ansible_ssh_host_key_checking": "is not honoured: host keys are verified (--host-key-policy)",
}


class Notes:
    """What was not taken of an inventory: said once for each variable, however many hosts it is about."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hosts: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, host: str, variable: str, what: str) -> None:
        """Note what became of a variable of a host."""
        self._hosts[variable, what].append(host)

    def say(self) -> None:
        """Warn of everything noted."""
        for (variable, what), hosts in self._hosts.items():
            others = f" and {len(hosts) - 1} more" if len(hosts) > 1 else ""
            logger.warning("%s: %s of %s%s %s", self._path, variable, hosts[0], others, what)


def host(name: str, variables: Mapping[str, Any], groups: Iterable[str], notes: Notes) -> Host:
    """One host of an inventory; what cannot be used of its variables is noted."""
    way = _Way(name, variables, notes)
    way.read()
    machine = Machine(
        id=f"host/{name.lower()}",
        name=name,
        platform=way.platform,
        source=SOURCE,
        tags={f"group:{group}": "yes" for group in groups},
    )
    return Host(_in_azure(machine, variables), way.given, way.unusable)


def _in_azure(machine: Machine, variables: Mapping[str, Any]) -> Machine:
    """The machine as the inventory plugin azure_rm describes it: `id` is a VM's resource id."""
    identifier = variables.get("id")
    vm = azure_vm(identifier) if isinstance(identifier, str) else None
    if vm is None:
        return machine
    system = variables.get("os_profile")
    named = str(system.get("system")).lower() if isinstance(system, dict) else ""
    tags = variables.get("tags")
    return replace(
        machine,
        id=vm.group(0).lower(),
        platform=Platform(named) if named in tuple(Platform) else machine.platform,
        location=variables["location"] if isinstance(variables.get("location"), str) else "",
        subscription=vm.group(1).lower(),
        resource_group=vm.group(2).lower(),
        tags={**(_texts(tags) if isinstance(tags, dict) else {}), **machine.tags},
    )


def _texts(tags: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in tags.items() if isinstance(value, str | int)}


class _Way:
    """Reads the connection of one host out of its variables."""

    def __init__(self, host: str, variables: Mapping[str, Any], notes: Notes) -> None:
        self._host = host
        self._variables = variables
        self._notes = notes
        self.given: dict[str, Any] = {}
        self.unusable: dict[str, str] = {}

    @property
    def platform(self) -> Platform:
        """Windows where the connection or the shell says so."""
        windows = self.given.get("transport") == WINRM or self._windows_shell
        return Platform.WINDOWS if windows else Platform.UNKNOWN

    @property
    def _windows_shell(self) -> bool:
        return str(self._variables.get("ansible_shell_type", "")).lower() in {"powershell", "cmd"}

    def read(self) -> None:
        """Fill `given` and `unusable`."""
        names = self._plugin()
        self._take("address", names.address)
        self._take("user", names.user)
        self._take_port(names)
        if self.given.get("transport") == WINRM:
            self._read_winrm(names)
        else:
            self._read_ssh(names)
        self._take_secret("password", names.password)
        for variable, what in _NOT_HONOURED.items():
            if str(self._variables.get(variable, "")).lower() in {"ignore", "false", "no", "0"}:
                self._notes.add(self._host, variable, what)

    def _plugin(self) -> Names:
        """The names of the host's connection plugin; `given` gets its transport where one is named."""
        try:
            wanted = known.text(self._variables.get("ansible_connection"))
        except Unusable as problem:
            self._refuse("transport", "ansible_connection", str(problem))
            return known.SSH
        short = wanted.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.") or "ssh"
        if short not in PLUGINS:
            why = f"is {short!r}, and only SSH and WinRM lead into guests"
            self._refuse("transport", "ansible_connection", why)
            return known.SSH
        transport, names = PLUGINS[short]
        if wanted or self._windows_shell:
            self.given["transport"] = transport
        return names

    def _read_ssh(self, names: Names) -> None:
        self._take("key", names.key)
        if "key" in self.given:
            self._take_secret("passphrase", names.passphrase)
        self._take_secret("sudo_password", known.BECOME)
        self._take_jump()

    def _read_winrm(self, names: Names) -> None:
        scheme = str(self._variables.get(names.scheme) or "").lower()
        if scheme == "http" or (not scheme and self.given.get("port") == _HTTP_PORT):
            self.given["plain_http"] = True
        self._take_authentication(names.auth)
        if self.given.get("auth") == "certificate":
            self._take("certificate", names.certificate)
            self._take("key", names.key)
        self._take("ca", names.ca)
        self._take("server_name", names.server_name)

    def _take(self, field: str, names: tuple[str, ...]) -> None:
        variable, value = known.pick(self._variables, names)
        try:
            if found := known.text(value):
                self.given[field] = found
        except Unusable as problem:
            self._refuse(field, variable, str(problem))

    def _take_port(self, names: Names) -> None:
        self._take("port", names.port)
        if "port" in self.given:
            number = port_number(self.given.pop("port"))
            if number is None:
                self._refuse("port", known.pick(self._variables, names.port)[0], "is no port")
            else:
                self.given["port"] = number

    def _take_secret(self, field: str, names: tuple[str, ...]) -> None:
        variable, value = known.pick(self._variables, names)
        try:
            if found := known.reference(value):
                self.given[field] = found
        except Unusable as problem:
            self._notes.add(self._host, variable, f"{problem}, {_WAY_OUT}")

    def _take_authentication(self, variable: str) -> None:
        value = self._variables.get(variable)
        wanted = value if isinstance(value, list) else str(value or "").split(",")
        names = [str(item).strip().lower() for item in wanted if str(item).strip()]
        usable = [AUTHENTICATIONS[name] for name in names if name in AUTHENTICATIONS]
        if names and not usable:
            self._refuse("auth", variable, f"names none of {', '.join(AUTHENTICATIONS)}")
        elif usable and usable[0]:
            self.given["auth"] = usable[0]

    def _take_jump(self) -> None:
        for variable in ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"):
            try:
                if found := _jump(_words(known.text(self._variables.get(variable)))):
                    self.given["jump"] = found
            except Unusable as problem:
                self._notes.add(self._host, variable, f"is not followed, as it {problem}; give jump {_FILE}")

    def _refuse(self, field: str, variable: str, why: str) -> None:
        self.unusable[field] = f"{variable} of the inventory {why}; give {field} {_FILE}"
        self._notes.add(self._host, variable, f"{why}; give {field} {_FILE}")


def _words(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:
        raise Unusable("has a quote that is not closed") from None


def _jump(words: Sequence[str]) -> tuple[str, ...]:
    """The jump hosts among arguments of ssh; raises `Unusable` for a way that is not that simple."""
    hosts: tuple[str, ...] = ()
    for option, value in _options(words):
        if option == "proxycommand":
            raise Unusable("names a ProxyCommand")
        if option == "proxyjump" and value.lower() != "none":
            hosts = tuple(value.split(","))
            if not all(map(is_jump, hosts)):
                raise Unusable("names jump hosts that are not written [user@]host[:port]")
    return hosts


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options of ssh that decide on the way, as configuration keywords in lower case."""
    rest = iter(words)
    for word in rest:
        flag, content = word[:2], word[2:]
        if flag in {"-J", "-o"}:
            content = (content or next(rest, "")).strip()
            name, _, value = content.replace("=", " ", 1).partition(" ")
            yield ("proxyjump", content) if flag == "-J" else (name.lower(), value.strip())
