"""One guest: an overlay over a base, a network namespace, a cgroup, and systemd as first process."""

import re
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from tests.lab.bases import Base
from tests.lab.cgroups import Cgroup
from tests.lab.network import OPERATOR, Network, address
from tests.lab.system import run

BOOT = 60
NSPAWN = (
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"),
    *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--capability=CAP_NET_ADMIN"),
)
# what Azure's virtual board says; this machine may have no board at all
AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
BOARD = """
umount /run/host/incoming /run/host/os-release 2>/dev/null || true
mkdir -p /run/board/sys /run/board/work /run/board/class/dmi/id
cd /run/board
echo "$1" > class/dmi/id/chassis_asset_tag
echo "$2" > class/dmi/id/product_uuid
chmod 400 class/dmi/id/product_uuid
mount -t sysfs -o ro lab sys
mount --bind sys/devices /sys/devices
mount -t overlay -o lowerdir=sys/class,upperdir=class,workdir=work lab /sys/class
"""
JOIN = 'for folder in $1; do echo 0 > "$folder/cgroup.procs" || exit 1; done; shift; exec "$@"'


@dataclass
class Guest:
    """A running machine; `number` is its place in the lab's network.

    `binds` are folders of it that show one folder of this machine; `azure` tells what its board says.
    """

    name: str
    base: Base
    number: int
    folder: Path
    network: Network
    cgroup: Cgroup
    disk: str = "4g"
    sshd: str = ""
    binds: tuple[str, ...] = ()
    azure: bool = True
    vm_id: UUID = field(default_factory=uuid4)
    host_key: str = ""
    leader: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where its sshd listens."""
        return address(self.number)

    @property
    def root(self) -> Path:
        """Its file system as this machine sees it."""
        return self.folder / "root"

    def start(self, authorized_key: str, authority: str) -> None:
        """Boot it; `authorized_key` lets every user in, `authority` is a certificate that it trusts."""
        self._mount()
        self._settle_in(authorized_key, authority)
        self.network.attach(self.number)
        self.cgroup.create()
        folders = " ".join(str(folder) for folder in self.cgroup.folders)
        namespace = self.network.guest(self.number)
        with (self.folder / "console").open("wb") as console:
            self.process = subprocess.Popen(
                [
                    *("sh", "-c", JOIN, "sh", folders),
                    *(*NSPAWN, f"--machine={self.name}", f"--network-namespace-path={namespace}"),
                    *(f"--bind-ro={self.base.packages}:{path}" for path in self.binds),
                    *("-D", str(self.root)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._wait()
        tag = AZURE_TAG if self.azure else "lab"
        self.sh(f"set -- {tag} {self.vm_id}\n{BOARD}")

    def sh(self, script: str, timeout: float = 60) -> str:
        """What a script prints that runs in the guest as root, past its sshd."""
        return run(*self._inside(script), timeout=timeout)

    def spawn(self, script: str) -> subprocess.Popen[bytes]:
        """The same in the background."""
        return subprocess.Popen(self._inside(script), stdin=subprocess.DEVNULL)

    def _inside(self, script: str) -> tuple[str, ...]:
        into = ("nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "--")
        return (*into, "/bin/sh", "-ec", script)

    def _mount(self) -> None:
        layers = self.folder / "layers"
        for path in (self.root, layers):
            path.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "-o", f"size={self.disk},mode=755", "lab", layers)
        upper, work = layers / "upper", layers / "work"
        for path in (upper, work):
            path.mkdir()
        options = f"lowerdir={self.base.root},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", options, "lab", self.root)

    def _settle_in(self, authorized_key: str, authority: str) -> None:
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n{OPERATOR} packages.lab\n")
        (etc / "resolv.conf").write_text(f"nameserver {OPERATOR}\noptions timeout:2 attempts:1\n")
        for path, text in self.base.sources.items():
            (self.root / path).write_text(text)
        with (etc / "ssl" / "certs" / "ca-certificates.crt").open("a") as file:
            file.write(authority)
        key = etc / "ssh" / "ssh_host_ed25519_key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        self.host_key = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        keys = etc / "ssh" / "authorized_keys"
        keys.write_text(authorized_key)
        (etc / "ssh" / "sshd_config.d" / "lab.conf").write_text(
            f"AuthorizedKeysFile /etc/ssh/authorized_keys\nUseDNS no\n{self.sshd}\n"
        )

    def _wait(self) -> None:
        """Until systemd has started everything, and so lets users log in."""
        end = time.monotonic() + BOOT
        while not self._up():
            assert self.process is not None
            alive = self.process.poll() is None and time.monotonic() < end
            assert alive, f"{self.name} does not boot: {(self.folder / 'console').read_text()[-2000:]}"
            time.sleep(0.05)

    def _up(self) -> bool:
        self.leader = self.leader or self._find_leader()
        if not self.leader:
            return False
        try:
            state = self.sh("systemctl is-system-running --wait 2>/dev/null || true", BOOT)
        except AssertionError:
            return False
        return state.strip() in {"running", "degraded"}

    def _find_leader(self) -> int:
        """The first process of the guest as this machine numbers it; 0 while there is none."""
        assert self.process is not None
        with suppress(OSError):  # processes come and go while it starts
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            for child in children.split():
                status = Path(f"/proc/{child}/status").read_text()
                if re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE):
                    return int(child)
        return 0
