"""Threads over ssh2-python (libssh2): `python ssh_ssh2.py < SPEC`, in the environment that has it."""

import json
import select
import socket
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ssh2.error_codes import LIBSSH2_ERROR_EAGAIN
from ssh2.exceptions import SSH2Error
from ssh2.knownhost import LIBSSH2_KNOWNHOST_KEYENC_RAW, LIBSSH2_KNOWNHOST_TYPE_PLAIN
from ssh2.session import Session

MARK = b'{"kernel":'


def read(channel: Any, session: Any, wire: socket.socket, timeout: float) -> bytes:
    """Everything until the end; a blocking read now and then sleeps for ever when many threads read."""
    session.set_blocking(False)
    output, end = b"", time.monotonic() + timeout
    while not channel.eof() and time.monotonic() < end:
        size, data = channel.read()
        output += data
        if size == LIBSSH2_ERROR_EAGAIN:
            select.select([wire], [], [], 0.05)
    return output


def ask(host: tuple[str, int], spec: Mapping[str, Any]) -> bool:
    """Connect, hold the host key against known_hosts, sign in, run, read."""
    try:
        with socket.create_connection(host, spec["timeout"]) as wire:
            wire.settimeout(None)
            session = Session()
            session.set_timeout(int(spec["timeout"] * 1000))
            session.handshake(wire)
            known = session.knownhost_init()
            known.readfile(spec["known_hosts"])
            key, _ = session.hostkey()
            known.checkp(
                host[0].encode(), host[1], key, LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW
            )
            session.userauth_publickey_fromfile(spec["user"], spec["key"], "", spec["key"] + ".pub")
            channel = session.open_session()
            channel.execute(spec["question"])
            output = read(channel, session, wire, spec["timeout"])
            session.set_blocking(True)
            session.disconnect()
            return MARK in output
    except (OSError, SSH2Error):
        return False


def main() -> None:
    """Ask every host, and print how many answered."""
    spec = json.load(sys.stdin)
    with ThreadPoolExecutor(spec["concurrency"]) as pool:
        answered = sum(pool.map(lambda host: ask(tuple(host), spec), spec["hosts"]))
    print(json.dumps({"answered": answered}))


if __name__ == "__main__":
    main()
