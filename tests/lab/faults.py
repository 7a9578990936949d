"""What is made wrong with the guests, one thing each, and what the audit has to say of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.bases import OLD, PASSWORD
from tests.lab.network import NOBODY, OPERATOR, WIRE

# what the agent's package of a suite says of itself
VERSIONS = {"bullseye": "2.2.47", "bookworm": "2.7.3.0", "trixie": "2.12.0.2"}
# the operator's environment holds these
SECRETS = {"LAB_PASSWORD": PASSWORD, "LAB_WRONG": "not-the-Password-1"}
# a disk of which the agent's floor is still free when nine tenths are in use
SMALL_DISK = "1200m"
FULL_DISK = "64m"
DAMAGE = "head -c 3000 /dev/zero > /usr/sbin/waagent; systemctl restart walinuxagent || true"
CONF = "/etc/waagent.conf"
NO_EXTENSIONS = f"sed -i 's/^Extensions.Enabled=.*/Extensions.Enabled=n/' {CONF}"
# the agent itself keeps everybody but root away from the wire server
ONLY_ROOT = f"""iptables -A OUTPUT -d {WIRE} -m owner --uid-owner 0 -j ACCEPT
iptables -A OUTPUT -d {WIRE} -j DROP
"""
# some agents show anybody else their defaults, which allow extensions
LOCKED = f"{ONLY_ROOT}{NO_EXTENSIONS}; chmod 600 {CONF}"
# kills the session's sshd once it is busy, the first time; afterwards logins work as ever
KILLED_ONCE = """cat > /usr/local/bin/shell-killed-once <<'END'
#!/bin/sh
if mkdir /tmp/was-killed 2>/dev/null; then sleep 0.3; kill -9 $PPID; fi
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
END
chmod 755 /usr/local/bin/shell-killed-once
"""
STATIC = f"""address=$(hostname -I | cut -d' ' -f1)
ip address change "$address"/16 dev eth0 valid_lft forever preferred_lft forever
mkdir -p /etc/network
cat > /etc/network/interfaces <<END
auto eth0
iface eth0 inet static
  address $address/16
  gateway {OPERATOR}
END
"""
# a network file system whose server never says a word: whoever touches it hangs
DEAD_MOUNT = """mkdir /srv/share
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
cat > /root/dead.py <<'END'
import ctypes, os, time
fd = os.open("/dev/fuse", os.O_RDWR)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"files.lab:/share", b"/srv/share", b"fuse.sshfs", 0, options) == 0, ctypes.get_errno()
print(flush=True)
time.sleep(100000)
END
systemd-run --quiet --unit=dead-share /usr/bin/python3 /root/dead.py
for try in $(seq 100); do grep -q /srv/share /proc/mounts && break; sleep 0.05; done
grep -q /srv/share /proc/mounts
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has to find; `words` stand in its reason, summary or evidence."""

    check: str
    status: str
    words: str = ""

    def met_by(self, finding: Mapping[str, Any]) -> bool:
        """Whether a finding of the report is this one."""
        return finding["status"] == self.status and self.words in json.dumps(finding, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """One guest: a script that root runs in it, settings of its sshd, and how the operator reaches it.

    `percent` is its share of a processor from then on, and `frozen` stops it altogether; `entry` adds to
    what the hosts file says of it.
    """

    setup: str = ""
    findings: tuple[Finding, ...] = ()
    disk: str = "4g"
    sshd: str = ""
    binds: tuple[str, ...] = ()
    percent: int | None = None
    frozen: bool = False
    entry: Mapping[str, str] = field(default_factory=dict)


def unseen(words: str) -> tuple[Finding, ...]:
    """The guest was not seen at all, and why."""
    checks = ("vm-agent-installed", "wire-server", "internet-connectivity", "agent-service")
    return tuple(Finding(check, "unknown", words) for check in checks)


SEEN = Finding("vm-agent-installed", "pass")
HEALTHY = (
    SEEN,
    Finding("agent-service", "pass"),
    Finding("extensions-enabled", "pass"),
    Finding("wire-server", "pass"),
    Finding("internet-connectivity", "pass"),
    Finding("guest-disk-space", "pass"),
    Finding("guest-dhcp", "pass"),
    Finding("guest-proxy", "pass"),
    Finding("guest-clock", "pass"),
    Finding("linux-python", "pass"),
    Finding("linux-freeze", "pass"),
)
BLIND = (
    SEEN,
    Finding("agent-service", "pass"),
    Finding("extensions-enabled", "unknown", f"{CONF} is not readable"),
    Finding("wire-server", "unknown", "root"),
)
SIGHTED = (
    SEEN,
    Finding("agent-service", "pass"),
    Finding("extensions-enabled", "fail", "told not to"),
    Finding("wire-server", "pass"),
)

FAULTS: dict[str, Fault] = {
    "healthy": Fault(findings=HEALTHY),
    # these take longest, so they come first; what the slow one shows in time is read by a test of its own
    "slow": Fault(percent=5),
    "frozen": Fault(frozen=True, findings=unseen("banner")),
    # ---- the agent
    "purged": Fault(
        "apt-get -qq purge -y waagent >/dev/null",
        (Finding("vm-agent-installed", "fail", "no VM agent in the guest"), Finding("agent-service", "skip")),
    ),
    "corrupt": Fault(
        DAMAGE,
        (
            Finding("vm-agent-installed", "warn", "does not start"),
            Finding("agent-service", "fail", "failed"),
            Finding("vm-agent-version", "unknown", "damaged"),
        ),
    ),
    "stopped": Fault(
        "systemctl --quiet disable --now walinuxagent",
        (SEEN, Finding("agent-service", "fail", "inactive and disabled")),
    ),
    "only-stopped": Fault(
        "systemctl stop walinuxagent", (SEEN, Finding("agent-service", "fail", "inactive"))
    ),
    "masked": Fault(
        "systemctl --quiet mask --now walinuxagent",
        (SEEN, Finding("agent-service", "fail", "masked")),
    ),
    "no-extensions": Fault(
        f"{NO_EXTENSIONS}; systemctl restart walinuxagent",
        (SEEN, Finding("agent-service", "pass"), Finding("extensions-enabled", "fail", "told not to")),
    ),
    "older": Fault(
        "apt-get -qq update && apt-get -qq install -y --allow-downgrades "
        f"-o Dpkg::Options::=--force-confold waagent={OLD} >/dev/null",
        (SEEN, Finding("vm-agent-version", "fail", OLD.partition("-")[0])),
    ),
    "updates-itself": Fault(
        f"sed -i '/^AutoUpdate.Enabled/d' {CONF}; echo AutoUpdate.Enabled=y >> {CONF}",
        (Finding("agent-auto-update", "pass"),),
    ),
    "updates-off": Fault(
        f"sed -i '/^AutoUpdate.Enabled/d' {CONF}; echo AutoUpdate.Enabled=n >> {CONF}",
        (Finding("agent-auto-update", "warn", "automatic update is off"),),
    ),
    # ---- the machine
    "full": Fault(
        "head -c 100m /dev/zero > /var/fill 2>/dev/null || true",
        (SEEN, Finding("guest-disk-space", "fail", "0 MB free")),
        disk=FULL_DISK,
    ),
    "nearly-full": Fault(
        "fallocate -l 1085m /var/fill",
        (SEEN, Finding("guest-disk-space", "warn", "% in use")),
        disk=SMALL_DISK,
    ),
    "noexec": Fault(
        "systemctl stop walinuxagent; mount -t tmpfs -o noexec,size=1g lab /var/lib/waagent; "
        "systemctl start walinuxagent",
        (SEEN, Finding("guest-disk-space", "fail", "noexec")),
    ),
    "no-python": Fault(
        "mv /usr/bin/python3 /usr/bin/python3-away",
        (Finding("linux-python", "fail", "Python"),),
    ),
    "no-modules": Fault(
        "mv /usr/lib/python3/dist-packages/azurelinuxagent /root/; systemctl restart walinuxagent || true",
        (Finding("linux-python", "fail", "cannot import the agent"),),
    ),
    "ahead": Fault(
        sshd="SetEnv LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME=+25m",
        findings=(SEEN, Finding("guest-clock", "fail", "ahead")),
    ),
    "behind": Fault(
        sshd="SetEnv LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME=-25m",
        findings=(SEEN, Finding("guest-clock", "warn", "behind")),
    ),
    "mounted-elsewhere": Fault(
        binds=("/srv/data", "/srv/copy"), findings=(SEEN, Finding("linux-freeze", "pass"))
    ),
    "mounted-over": Fault(
        "mount --bind /srv/data /srv/data",
        (SEEN, Finding("linux-freeze", "warn", "mounted twice")),
        binds=("/srv/data",),
    ),
    "dead-mount": Fault(
        DEAD_MOUNT,
        (SEEN, Finding("guest-disk-space", "pass"), Finding("linux-freeze", "warn", "/srv/share")),
    ),
    # ---- its network
    "black-holed": Fault(
        # a neighbour that is not there takes every packet and says nothing
        f"ip neigh replace {NOBODY} lladdr 02:00:00:00:00:fe dev eth0 nud permanent; "
        f"ip route replace {WIRE} via {NOBODY}",
        (Finding("agent-service", "pass"), Finding("wire-server", "fail", "80")),
    ),
    "firewalled": Fault(
        f"iptables -A OUTPUT -d {WIRE} -j DROP",
        (Finding("agent-service", "pass"), Finding("wire-server", "fail", "DROP")),
    ),
    "only-for-root": Fault(ONLY_ROOT, (Finding("wire-server", "pass"),)),
    "no-names": Fault(
        f"echo nameserver {NOBODY} > /etc/resolv.conf",
        (Finding("wire-server", "pass"), Finding("internet-connectivity", "fail", "dns")),
    ),
    "no-route": Fault(
        "ip route delete default",
        (Finding("wire-server", "pass"), Finding("internet-connectivity", "pass")),
    ),
    "static": Fault(
        STATIC,
        (SEEN, Finding("guest-dhcp", "warn", "static address")),
    ),
    "proxied": Fault(
        "echo https_proxy=http://proxy.lab:3128 >> /etc/environment",
        (Finding("guest-proxy", "warn", "not exempt"), Finding("wire-server", "pass")),
    ),
    # ---- the way in
    "bare-path": Fault(
        sshd="SetEnv PATH=/usr/local/bin:/usr/bin:/bin",
        entry={"user": "plain"},
        findings=(SEEN, Finding("agent-service", "pass")),
    ),
    "no-sudo": Fault(LOCKED, BLIND, entry={"user": "plain"}),
    "sudo-needs-password": Fault(LOCKED, BLIND, entry={"user": "asks"}),
    "sudo-password": Fault(LOCKED, SIGHTED, entry={"user": "asks", "sudo_password": "env:LAB_PASSWORD"}),
    "sudo-wrong-password": Fault(LOCKED, BLIND, entry={"user": "asks", "sudo_password": "env:LAB_WRONG"}),
    "changed-key": Fault(findings=unseen("host key changed")),
    "no-sshd": Fault("systemctl stop ssh.socket 2>/dev/null; systemctl stop ssh", unseen("refused")),
    "killed-once": Fault(KILLED_ONCE, HEALTHY, sshd="ForceCommand /usr/local/bin/shell-killed-once"),
    "killed-always": Fault(sshd="ForceCommand kill -9 $PPID", findings=unseen("dropped")),
}
