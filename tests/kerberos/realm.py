"""A Kerberos realm on loopback: MIT's own KDC, its database and tickets in a folder of its own.

Debian: krb5-kdc, krb5-admin-server, krb5-user, libkrb5-dev; Python: the kerberos extra, gssapi and krb5.
Needs no root, only the packages.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

REALM = "SIM.TEST"
USER = f"backupadmin@{REALM}"
PASSWORD = "kerberos-canary-51"
HOST = "win01.sim.test"
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "kdestroy")
_MODULES = ("gssapi", "krb5", "kerberos")

_KRB5 = """[libdefaults]
 default_realm = {realm}
 dns_lookup_realm = false
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 forwardable = true
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 .sim.test = {realm}
"""
_KDC = """[kdcdefaults]
 kdc_listen = ""
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/kadm5.acl
  max_life = 1h
 }}
[logging]
 kdc = FILE:{folder}/kdc.log
 admin_server = FILE:{folder}/kadmin.log
"""


def installed() -> bool:
    """Whether this machine has what a realm needs."""
    programs = all(shutil.which(name, path=_PATH) for name in _PROGRAMS)
    return programs and all(find_spec(name) is not None for name in _MODULES)


class Realm:
    """A realm with one user, and one host whose key is in the keytab; SPN `HTTP/win01.sim.test`.

    `environment` is for whoever talks Kerberos: clients and servers alike.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.keytab = folder / "host.keytab"
        self.tickets = folder / "tickets"
        self.environment = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5_KTNAME": f"FILE:{self.keytab}",
            "KRB5CCNAME": f"FILE:{self.tickets}",
            "KRB5RCACHENAME": f"dfl:{folder}/replays",
        }
        words = {"realm": REALM, "port": self.port, "folder": folder}
        (folder / "krb5.conf").write_text(_KRB5.format(**words), encoding="utf-8")
        (folder / "kdc.conf").write_text(_KDC.format(**words), encoding="utf-8")
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
        self._admin(f"addprinc -pw {PASSWORD} {USER}")
        for host in (HOST, f"keyless.{HOST.partition('.')[2]}"):
            self._admin(f"addprinc -randkey HTTP/{host}@{REALM}")
        self._admin(f"ktadd -k {self.keytab} HTTP/{HOST}@{REALM}")

    @contextmanager
    def running(self) -> Iterator["Realm"]:
        """The realm with its KDC up."""
        command = [_program("krb5kdc"), "-n", "-P", str(self.folder / "kdc.pid")]
        with subprocess.Popen(command, env=self._environment(), stdin=subprocess.DEVNULL) as kdc:
            try:
                self._wait(kdc)
                yield self
            finally:
                kdc.terminate()

    def sign_in(self, lifetime: str = "10m") -> None:
        """Get the user a ticket."""
        self._run("kinit", "-l", lifetime, USER, typed=f"{PASSWORD}\n")

    def sign_out(self) -> None:
        """Throw the user's tickets away."""
        self.tickets.unlink(missing_ok=True)

    def _admin(self, query: str) -> None:
        self._run("kadmin.local", "-r", REALM, "-q", query)

    def _run(self, program: str, *arguments: str, typed: str | None = None) -> None:
        command = [_program(program), *arguments]
        done = subprocess.run(
            command,
            check=False,
            env=self._environment(),
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "LC_ALL": "C"}

    def _wait(self, kdc: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end and kdc.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "kdc.log").read_text(encoding="utf-8"))


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    assert found is not None
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
