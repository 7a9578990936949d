"""What is repaired in real guests, and what must not be: by plans made and sent as ever."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from auditor.credentials import Secrets
from auditor.facts import Facts, Unseen, VmModel
from auditor.guests import Guests
from auditor.hosts.options import NO_SSH_CONFIG, GuestOptions
from auditor.judge import judge
from auditor.model import Connection, Machine, MachineResult, Platform
from auditor.remedy import Command, MachinePlan, Payload, RepairOptions, Stage, StepResult, Work
from auditor.repair.planner import Planner, Wanted
from auditor.repair.send import Sender
from auditor.repair.work import command
from auditor.rules import load_rules
from checks import CHECKS
from remediations import REMEDIATIONS
from tests.lab.bases import OLD, Base
from tests.lab.estate import azure_id
from tests.lab.faults import DAMAGE, FAULTS, FULL_DISK, SECRETS, Fault
from tests.lab.guests import Guest
from tests.lab.lab import Lab
from tests.lab.network import OPERATOR
from tests.lab.system import network_namespace

PURGE = "apt-get -qq purge -y waagent >/dev/null\n"
KEPT = "mkdir -p /var/lib/waagent/kept; echo state > /var/lib/waagent/kept/file\n"
LISTS = "apt-get -qq update\n"
# holds dpkg's lock as another package manager would, until a step has waited for it
LOCK = """cat > /root/lock.py <<'END'
import fcntl, glob, time
files = [open(path, "w") for path in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")]
for file in files: fcntl.lockf(file, fcntl.LOCK_EX)
while not any("waiting for it" in open(path).read() for path in glob.glob("/var/lib/fleet-auditor/*/output")):
    time.sleep(0.1)
time.sleep(1)
END
systemd-run --quiet /usr/bin/python3 /root/lock.py
sleep 1
"""
# apt between two runs of dpkg: what it unpacked waits for a package that comes next, and it keeps its lock
BETWEEN = """for name in half-way next; do
mkdir -p /root/$name/DEBIAN
cat > /root/$name/DEBIAN/control <<END
Package: $name
Version: 1
Architecture: all
$([ $name = next ] || echo Depends: next)
Maintainer: lab <lab@example.org>
Description: one of two packages that come together
END
sed -i '/^$/d' /root/$name/DEBIAN/control
dpkg-deb -Zgzip -b /root/$name /root/$name.deb >/dev/null
done
dpkg --unpack /root/half-way.deb >/dev/null
cat > /root/apt.py <<'END'
import fcntl, glob, os, subprocess, time
frontend = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(frontend, fcntl.LOCK_EX)
while not any("waiting for it" in open(path).read() for path in glob.glob("/var/lib/fleet-auditor/*/output")):
    time.sleep(0.1)
os.environ["DPKG_FRONTEND_LOCKED"] = "yes"
subprocess.run(["dpkg", "--unpack", "/root/next.deb"], check=True)
subprocess.run(["dpkg", "--configure", "--pending"], check=True)
END
systemd-run --quiet /usr/bin/python3 /root/apt.py
sleep 1
"""
# stands in for the real package, of which the guest's sources know nothing; Debian's agent conflicts with it
NETWORK_MANAGER = """mkdir -p /root/nm/DEBIAN
cat > /root/nm/DEBIAN/control <<'END'
Package: network-manager
Version: 1.42.4-1
Architecture: all
Maintainer: lab <lab@example.org>
Description: stand-in
END
dpkg-deb -Zgzip -b /root/nm /root/nm.deb >/dev/null
dpkg -i /root/nm.deb >/dev/null
"""
BROKEN = """mkdir -p /root/broken/DEBIAN
cat > /root/broken/DEBIAN/control <<'END'
Package: half-done
Version: 1
Architecture: all
Maintainer: lab <lab@example.org>
Description: a package whose configuration fails
END
printf '#!/bin/sh\\nexit 1\\n' > /root/broken/DEBIAN/postinst
chmod 755 /root/broken/DEBIAN/postinst
dpkg-deb -Zgzip -b /root/broken /root/broken.deb >/dev/null
dpkg -i /root/broken.deb >/dev/null 2>&1 || true
"""
FROM_SOURCE = f"""cp /usr/sbin/waagent /root/
cp -r /usr/lib/python3/dist-packages/azurelinuxagent /root/
{PURGE}
cp /root/waagent /usr/sbin/
cp -r /root/azurelinuxagent /usr/lib/python3/dist-packages/
"""
FREEZING = """cp /bin/sleep /usr/local/bin/safefreeze
systemd-run --quiet --unit=freeze /usr/local/bin/safefreeze 1000
"""
READ_ONLY = "mount --bind /usr /usr; mount -o remount,bind,ro /usr\n"
# some systems end all processes of a login with it, and give every command of sudo a terminal of its own
STRICT = """mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\\nKillUserProcesses=yes\\n' > /etc/systemd/logind.conf.d/lab.conf
systemctl restart systemd-logind
echo 'Defaults use_pty' > /etc/sudoers.d/pty
"""


@dataclass(frozen=True, slots=True)
class Repairable:
    """A fault, the checks that are to be repaired, and the remediations that have to do it, in order.

    `connection` adds to how the guest is reached; `pushed` is for a guest that gets the package sent.
    """

    setup: str
    checks: tuple[str, ...]
    stages: tuple[str, ...]
    connection: Mapping[str, str] = field(default_factory=dict)
    pushed: bool = False


AGENT = ("vm-agent-installed", "agent-service")
PASSWORD = {"user": "asks", "sudo_password": "env:LAB_PASSWORD"}
REPAIRABLE: Mapping[str, Repairable] = {
    "r-locked": Repairable(f"{DAMAGE}\n{LISTS}{LOCK}", AGENT, ("linux-agent",)),
    "r-between": Repairable(f"{DAMAGE}\n{LISTS}{BETWEEN}", AGENT, ("linux-agent",)),
    "r-purged": Repairable(PURGE, AGENT, ("linux-agent",), PASSWORD),
    "r-corrupt": Repairable(f"{DAMAGE}\n{STRICT}", AGENT, ("linux-agent",)),
    "r-no-modules": Repairable(FAULTS["no-modules"].setup, ("linux-python",), ("linux-agent",)),
    "r-stopped": Repairable(FAULTS["stopped"].setup, AGENT, ("linux-agent",)),
    "r-only-stopped": Repairable(FAULTS["only-stopped"].setup, AGENT, ("agent-restart",)),
    "r-masked": Repairable(FAULTS["masked"].setup, AGENT, ("linux-agent",), PASSWORD),
    "r-no-extensions": Repairable(
        FAULTS["no-extensions"].setup, ("extensions-enabled",), ("linux-agent-config",)
    ),
    "r-updates-off": Repairable(FAULTS["updates-off"].setup, ("agent-auto-update",), ("linux-agent-config",)),
    "r-both-keys": Repairable(
        f"{FAULTS['no-extensions'].setup}\n{FAULTS['updates-off'].setup}\nsystemctl stop walinuxagent",
        (*AGENT, "extensions-enabled", "agent-auto-update"),
        ("agent-restart", "linux-agent-config"),
    ),
    "r-left-over": Repairable(f"{PURGE}{KEPT}", AGENT, ("linux-agent",)),
    "r-half-done": Repairable(
        f"{PURGE}{KEPT}{LISTS}apt-get -qq install -y waagent >/dev/null 2>&1 || true", AGENT, ("linux-agent",)
    ),
    "r-older": Repairable(FAULTS["older"].setup, ("vm-agent-version",), ("agent-update",)),
    "r-offline": Repairable(
        f"{PURGE}echo 'deb [trusted=yes] http://{OPERATOR}:9/ ./' > /etc/apt/sources.list\n",
        AGENT,
        ("linux-agent",),
        pushed=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Untouchable:
    """A fault that this tool must not repair, and the words of the reason.

    `disk` is the guest's; `pushed` names a wrong file that the user gave for it.
    """

    setup: str
    reason: str
    disk: str = "4g"
    pushed: str = ""


UNTOUCHABLE: Mapping[str, Untouchable] = {
    "u-conflict": Untouchable(f"{PURGE}{NETWORK_MANAGER}{LISTS}", "network-manager"),
    "u-source": Untouchable(FROM_SOURCE, "installed from source"),
    "u-full": Untouchable(
        f"{LISTS}{PURGE}head -c 100m /dev/zero > /var/fill 2>/dev/null || true", "MB are free", disk=FULL_DISK
    ),
    "u-read-only": Untouchable(f"{PURGE}{READ_ONLY}", "read-only file system"),
    "u-freezing": Untouchable(f"{PURGE}{FREEZING}", "snapshot extension"),
    "u-broken": Untouchable(f"{PURGE}{BROKEN}", "half-done"),
    "u-other-package": Untouchable(
        f"{PURGE}{NETWORK_MANAGER}", "is the package network-manager", pushed="other"
    ),
    "u-downgrade": Untouchable(DAMAGE, "is older than", pushed="older"),
}
EVERYTHING = {
    **{name: Fault(one.setup) for name, one in REPAIRABLE.items()},
    **{name: Fault(one.setup, disk=one.disk) for name, one in UNTOUCHABLE.items()},
}
# everything that a repair may change, and what none may leave behind
CONTENT = r"""set +e
dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n'
systemctl list-unit-files 'wa*' --no-legend
find /etc /usr/sbin /usr/lib/python3 /var/lib/waagent* /var/lib/dpkg/info /var/lib/dpkg/status \
  -xdev \( -type f -o -type l -o -type d \) -printf '%p %y %m %U %G %l\n' 2>/dev/null | sort
find /etc /usr/sbin /var/lib/waagent* /var/lib/dpkg/status -xdev -type f -exec sha256sum {} + 2>/dev/null |
  sort
ls -d /var/lib/fleet-auditor 2>/dev/null || echo no receipts
"""


@dataclass(frozen=True, slots=True)
class Look:
    """A guest at one moment."""

    facts: Facts
    result: MachineResult

    def status(self, check: str) -> str:
        """How a check stands."""
        return next(str(one.status) for one in self.result.findings if one.check == check)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one guest: its plan, what each stage that was sent came to, and a look afterwards."""

    before: Look
    plan: MachinePlan
    sent: Mapping[str, tuple[StepResult, ...]]
    after: Look

    @property
    def words(self) -> str:
        """All that was said of it."""
        outputs = [result.output for results in self.sent.values() for result in results]
        return "\n".join([*outputs, *(one.reason for one in self.plan.unrepaired)])


@dataclass
class Operator:
    """Looks at guests and repairs them over SSH, from the operator's place in the lab's network."""

    lab: Lab
    folder: Path
    guests: Mapping[str, Guest]
    connections: Mapping[str, Mapping[str, str]]

    def __post_init__(self) -> None:
        self.rules = load_rules()
        known = self.folder / "known_hosts"
        known.write_text("".join(f"{one.address} {one.host_key}\n" for one in self.guests.values()))
        self.options = GuestOptions(
            known_hosts=(known,), agent=False, ssh_config=NO_SSH_CONFIG, concurrency=16, deadline=120
        )

    def repair(self, wanted: Mapping[str, tuple[tuple[str, ...], RepairOptions]]) -> dict[str, Told]:
        """Repair guests by name, all at once: these checks, with these options."""
        with network_namespace(self.lab.network.operator):
            return asyncio.run(self._repair(wanted))

    async def _repair(self, wanted: Mapping[str, tuple[tuple[str, ...], RepairOptions]]) -> dict[str, Told]:
        async with Guests(self.rules.endpoints, self.options, secrets=Secrets(environment=SECRETS)) as guests:
            told = [self._one(guests, name, *one) for name, one in wanted.items()]
            return dict(zip(wanted, await asyncio.gather(*told), strict=True))

    async def _one(self, guests: Guests, name: str, checks: tuple[str, ...], options: RepairOptions) -> Told:
        before = look = await self._look(guests, name)
        plan = self.plan(before, checks, options)
        sent: dict[str, tuple[StepResult, ...]] = {}
        for stage in plan.stages:
            if sent and not any(look.status(check) in ("fail", "warn") for check in stage.repairs):
                continue
            results = sent[stage.remediation] = await self._send(guests, before.facts.machine, stage)
            if any(result.state != "refused" for result in results):
                look = await self._look(guests, name)
        return Told(before, plan, sent, look)

    async def _send(self, guests: Guests, machine: Machine, stage: Stage) -> tuple[StepResult, ...]:
        results: list[StepResult] = []
        for step in stage.steps:
            assert step.work is not None
            results.append(await Sender(guests, None).work(machine, step.id, step.work, step.commands))
        return tuple(results)

    def plan(self, look: Look, checks: tuple[str, ...], options: RepairOptions) -> MachinePlan:
        """The plan for one guest."""
        everything = tuple(check.id for check in CHECKS)
        planner = Planner(REMEDIATIONS, self.rules, "lab", everything, options, Wanted(frozenset(checks)))
        machines = planner.plan([(look.facts, look.result)]).machines
        return next(iter(machines), MachinePlan(look.facts.machine, look.result.verdict, {}))

    async def _look(self, guests: Guests, name: str) -> Look:
        machine = self.machine(name)
        seen = await guests.probe(machine)
        model = VmModel(
            str(self.guests[name].vm_id), "Succeeded", True, None, True, _now() - timedelta(days=90), _now()
        )
        unseen = Unseen("there is no Azure in the lab", expected=False)
        facts = Facts(machine, _now(), model, unseen, unseen, unseen, seen)
        return Look(facts, judge(facts, CHECKS, self.rules))

    def machine(self, name: str) -> Machine:
        """A guest as the inventory has it."""
        given = {"user": "ops", **self.connections.get(name, {})}
        connection = Connection(self.guests[name].address, key=str(self.lab.key), **given)  # type: ignore[arg-type]
        return Machine(azure_id(name).lower(), name, Platform.LINUX, "lab", connection=connection)

    def send(self, sends: Mapping[str, tuple[str, Work]]) -> dict[str, StepResult]:
        """Send work to guests by name, each under an id."""
        with network_namespace(self.lab.network.operator):
            return asyncio.run(self._sends(sends))

    async def _sends(self, sends: Mapping[str, tuple[str, Work]]) -> dict[str, StepResult]:
        async with Guests(self.rules.endpoints, self.options, secrets=Secrets(environment=SECRETS)) as guests:
            sender = Sender(guests, None)
            told = []
            for name, (step, work) in sends.items():
                script = command(step, work)
                shown = Command(script.text, script.shell)
                told.append(sender.work(self.machine(name), step, work, (shown,)))
            return dict(zip(sends, await asyncio.gather(*told), strict=True))


def payload(file: Path) -> Payload:
    """A file of this machine as what a step sends."""
    content = file.read_bytes()
    return Payload(str(file), hashlib.sha256(content).hexdigest(), len(content))


def package(base: Base, *, older: bool = False) -> Path:
    """The agent's package of a suite."""
    found = sorted(base.packages.glob("waagent_*.deb"))
    return next(path for path in found if (OLD in path.name) is older)


def contents(guests: Iterable[Guest]) -> dict[str, str]:
    """What each guest holds."""
    return {guest.name: guest.sh(CONTENT) for guest in guests}


def _now() -> datetime:
    return datetime.now(UTC)
