"""The key exchange with a server, and the check of its host key."""

import logging
import threading
import time
from collections.abc import Iterable

import paramiko
from paramiko.packet import Packetizer

from auditor.errors import HostError
from auditor.hosts.known_hosts import HostKey, KnownHosts, verify
from auditor.hosts.ssh.route import Hop

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
DIGESTS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
RSA = ("rsa-sha2-512", "rsa-sha2-256")
POLL = 0.25

_SILENT = "auditor.hosts.ssh.paramiko"
logging.getLogger(_SILENT).setLevel(logging.CRITICAL + 1)


class QuietTransport(paramiko.Transport):
    """paramiko's, without what servers tell of their own work: making it fit for a log takes some percent."""

    def _parse_debug(self, m: paramiko.Message) -> None:
        """Not kept."""


class SilentPacketizer(Packetizer):
    """paramiko's, without its timer thread for the handshake, which outlives a handshake that fails."""

    def start_handshake(self, timeout: float) -> None:
        """Our own clock runs already."""


def shake_hands(
    transport: paramiko.Transport, hop: Hop, known_hosts: KnownHosts, policy: str, timeout: float
) -> None:
    """Agree on keys with the server that `hop` means, and no other; raises `HostError`."""
    transport.set_log_channel(_SILENT)
    name, port = (hop.known_as, 22) if hop.known_as else (hop.host, hop.port)
    _choose_algorithms(transport.get_security_options(), known_hosts.keys(name, port))
    _exchange_keys(transport, hop.place, timeout)
    shown = transport.get_remote_server_key()
    verify(known_hosts, name, port, HostKey(shown.get_name(), shown.asbytes()), policy)


def _exchange_keys(transport: paramiko.Transport, place: str, timeout: float) -> None:
    end = time.monotonic() + timeout
    done = threading.Event()
    transport.start_client(done)
    while not done.wait(POLL) and transport.is_active() and time.monotonic() < end:
        pass
    if not transport.is_active():
        raise transport.get_exception() or EOFError()
    if not done.is_set():
        raise HostError(f"{place} did not finish the key exchange within {timeout:.3g} s")


def _choose_algorithms(options: paramiko.SecurityOptions, known: Iterable[HostKey]) -> None:
    """Modern ciphers, the host key types that are known for this host first, never classic DH.

    Classic Diffie-Hellman costs ten to twenty times the processor time of the curves.
    """
    types = [name for key in known for name in (RSA if key.type == "ssh-rsa" else (key.type,))]
    offered = options.key_types
    options.key_types = tuple(dict.fromkeys([*(name for name in types if name in offered), *offered]))
    options.kex = tuple(name for name in options.kex if not name.startswith("diffie-hellman"))
    options.ciphers = CIPHERS
    options.digests = DIGESTS
