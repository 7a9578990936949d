"""What the tests of the WS-Man server share: a guest that does as it is told, and pywinrm's client."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import winrm
from winrm.protocol import Protocol

from auditor.simulator.wsman import Execution, WinRmServer, console

USER = "SIM\\backupadmin"
PASSWORD = "Pa:ss wörd 1"
ACCOUNTS = {USER: PASSWORD}


@dataclass
class Guest:
    """Knows a few words: `say TEXT`, `exit N`, `count` (standard input), `set`, `wait`, `break`, `big N`."""

    started: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(
        self, command: str, stdin: bytes, environment: Mapping[str, str], user: str, stop: threading.Event
    ) -> Execution:
        """Do what the command says."""
        word, _, rest = command.partition(" ")
        match word:
            case "say":
                return Execution(0, console(f"{rest}\n", environment))
            case "exit":
                return Execution(int(rest), b"", b"went wrong\r\n")
            case "count":
                return Execution(0, f"{len(stdin)} {sum(stdin)}".encode())
            case "set":
                return Execution(0, json.dumps(dict(environment) | {"user": user}).encode())
            case "wait":
                self.started.set()
                stop.wait(30)
                self.stopped.set()
                return Execution(1)
            case "big":
                return Execution(0, b"o" * int(rest), b"e" * 1000)
        raise KeyError(command)


def protocol(server: WinRmServer, transport: Any = "basic", **options: Any) -> Protocol:
    """A pywinrm protocol that trusts the server's authority and no proxy."""
    trusted = str(server.ca_file) if server.url.startswith("https") else None
    return protocol_at(server.url, transport, **({"ca_trust_path": trusted} | options))


def protocol_at(url: str, transport: Any, **options: Any) -> Protocol:
    """A pywinrm protocol that uses no proxy."""
    given: dict[str, Any] = {"username": USER, "password": PASSWORD, "proxy": None}
    return Protocol(options.pop("endpoint", url), transport, **(given | options))


def session(server: WinRmServer, transport: str = "basic", **options: Any) -> winrm.Session:
    """The same as pywinrm's session."""
    spoken = winrm.Session(server.url, auth=(USER, PASSWORD))
    spoken.protocol = protocol(server, transport, **options)
    return spoken


def run(spoken: Protocol, command: str, **shell: Any) -> tuple[bytes, bytes, int]:
    """One command in a shell of its own; closes nothing when it fails, as pywinrm does."""
    shell_id = spoken.open_shell(**shell)
    command_id = spoken.run_command(shell_id, command)
    result = spoken.get_command_output(shell_id, command_id)
    spoken.cleanup_command(shell_id, command_id)
    spoken.close_shell(shell_id)
    return result
