"""Root file systems of the guests: a Debian suite with sshd, sudo, systemd and its own Azure agent."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from platformdirs import user_cache_path

from tests.lab.system import run

CACHE = Path(os.environ.get("AUDITOR_LAB_CACHE") or user_cache_path("fleet-auditor") / "lab")
SUITES = ("bullseye", "bookworm", "trixie")
PASSWORD = "correct-Horse-7"
OLD = "2.0.8-1"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "procps", "apt", "waagent"),
    *("openssh-server", "sudo", "curl", "ca-certificates", "iproute2", "iptables", "nftables", "libfaketime"),
)
# users by how far sudo takes them: at once, with their password, nowhere
USERS = {"ops": "NOPASSWD: ALL", "asks": "ALL", "plain": None}
# the agent's unit wants Hyper-V (newer suites) and cloud-init; both files survive a purge of the package
DROP_IN = """[Unit]
ConditionVirtualization=
[Service]
ExecStartPre=/bin/sh -c 'mkdir -p /var/lib/waagent && : > /var/lib/waagent/provisioned'
"""
CONFIGURE = """
set -eu
cd "$1"
rm -f etc/ssh/ssh_host_* etc/apt/sources.list etc/apt/sources.list.d/* etc/resolv.conf
rm -rf var/lib/apt/lists/* var/cache/apt/archives/*.deb var/cache/apt/*.bin
: > etc/machine-id
mkdir -p etc/systemd/system/walinuxagent.service.d
cat > etc/systemd/system/walinuxagent.service.d/lab.conf
"""


@dataclass(frozen=True, slots=True)
class Base:
    """A suite, ready to be the lower layer of guests; `packages` is what its guests can install.

    `sources` are the files that tell them so, by their paths.
    """

    suite: str
    folder: Path
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The root file system; never written to once it is built."""
        return self.folder / "root"

    @property
    def packages(self) -> Path:
        """The agent as this suite has it, one from before the version floor, and an index of both."""
        return self.folder / "packages"


def base(suite: str) -> Base:
    """The base of a suite, built (1 to 2 minutes) unless the cache has it."""
    folder = cached(
        suite,
        (PACKAGES, USERS, PASSWORD, OLD, DROP_IN, CONFIGURE),
        lambda draft: _build(Base(suite, draft)),
    )
    sources = {
        "etc/apt/sources.list": f"deb [trusted=yes] http://packages.lab/{suite} ./\n",
        # its interface is there a moment before the way to the packages is
        "etc/apt/apt.conf.d/90lab": 'Acquire::Retries "4";\n',
    }
    return Base(suite, folder, sources)


def cached(name: str, recipe: object, build: Callable[[Path], None]) -> Path:
    """The folder that this recipe makes, built unless it is there."""
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{digest}"
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f"{name}-draft-", dir=CACHE))
        try:
            build(draft)
            if not folder.is_dir():
                draft.chmod(0o755)
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


@cache
def _mirror() -> str:
    """Where this machine has its Debian from."""
    rows = run(
        "apt-get", "indextargets", "--format", "$(SITE) $(COMPONENT) $(ORIGIN)", "Created-By: Packages"
    )
    sites = re.findall(r"^(\S+) main Debian$", rows, re.MULTILINE)
    assert sites, "no Debian package source is configured here, or apt-get update was never run"
    return str(sites[0])


def _build(base: Base) -> None:
    base.packages.mkdir()
    bootstrap(base.suite, base.root, PACKAGES, [download(base.packages)], CONFIGURE)
    _relabel(base)
    index = run("sh", "-c", 'cd "$1" && dpkg-scanpackages --multiversion . 2>/dev/null', "sh", base.packages)
    (base.packages / "Packages").write_text(index)


def download(folder: Path) -> str:
    """The hook that fetches the suite's agent into a folder."""
    return f'cd {folder} && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download waagent'


def bootstrap(suite: str, root: Path, packages: Iterable[str], hooks: Iterable[str], configure: str) -> None:
    """Make a root file system of a suite's packages, with the users of the lab."""
    commands = [
        *hooks,
        *(command for user in USERS for command in _user(user)),
        'printf %s "$LAB_DROP_IN" | sh -c "$LAB_CONFIGURE" sh "$1"',
    ]
    run(
        *("env", f"LAB_DROP_IN={DROP_IN}", f"LAB_CONFIGURE={configure}"),
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"),
        *("--aptopt=Acquire::Check-Valid-Until false", "--aptopt=APT::Install-Recommends false"),
        *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc", "locale")),
        *(f"--customize-hook={command}" for command in commands),
        *(suite, root, f"deb {_mirror()} {suite} main"),
        timeout=900,
    )


def _user(name: str) -> tuple[str, ...]:
    rights = USERS[name]
    password = f'echo {name}:{PASSWORD} | chroot "$1" chpasswd'
    made = (f'chroot "$1" useradd -m -s /bin/bash {name}', password)
    if rights is None:
        return made
    return (*made, f'echo "{name} ALL=(ALL) {rights}" > "$1"/etc/sudoers.d/{name}')


def _relabel(base: Base) -> None:
    """Make the suite's agent into one from before the floor, so that package and program agree on it."""
    (newest,) = base.packages.glob("waagent_*.deb")
    tree = base.packages / "tree"
    run("dpkg-deb", "-R", newest, tree)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {OLD}", control.read_text()))
    age(tree)
    run("dpkg-deb", "-Zgzip", "-b", tree, base.packages / f"waagent_{OLD}_all.deb")
    shutil.rmtree(tree)


def age(tree: Path) -> None:
    """Make the agent in a folder say that it is the older one."""
    (version,) = tree.rglob("azurelinuxagent/common/version.py")
    text, count = re.subn(
        r"(?m)^AGENT_VERSION = .*$", f"AGENT_VERSION = '{OLD.partition('-')[0]}'", version.read_text()
    )
    assert count == 1, "the agent keeps its version elsewhere now"
    version.write_text(text)
