"""Could the agent be installed on a machine that is still to move to Azure?"""

from collections.abc import Iterator

from auditor.facts import Disk, Facts, Guest, Package, Python, Unseen, WindowsSetup, known
from auditor.model import Evidence, Outcome, Platform
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.asked import GUEST_PLANES, aside, asked, platform_of
from checks.evidence import clip, in_guest
from checks.guest_system import no_room
from checks.linux import UPGRADE as UPGRADE_PYTHON
from checks.linux import too_old
from checks.support import UPGRADE, faults_of, system_of, untold
from checks.versions import parse_version
from checks.windows import REBOOT, setup_lacks

FREE_SPACE = "Free space on this file system, or enlarge it, before the agent is installed."
ADD_SOURCE = (
    "Add the distribution's own package source that holds the agent (waagent, walinuxagent, WALinuxAgent)."
)
NETWORK_MANAGER = (
    "Move the network configuration away from NetworkManager first, or install the agent after the move."
)
LET_UPDATE = (
    "Install it, and switch its automatic update on (AutoUpdate.UpdateToLatestVersion=y; older agents: "
    "AutoUpdate.Enabled=y), so that it fetches a newer agent once it is in Azure."
)
CONFLICTING = "waagent"
IN_AZURE = skipped("an Azure machine: vm-agent-installed judges it")
INSTALLED = skipped("an agent is installed already")
Obstacle = tuple[str, str]


@check(
    "agent-installable",
    title="The agent can be installed",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="A machine outside Azure that has no agent yet has all that its installation needs.",
        why="An agent that goes in before the move is there when the machine first starts in Azure; one that "
        "cannot be installed is found out when the old machine is already gone.",
        evidence="On Linux: the package that the guest's own package manager offers, its Python where it has "
        "one, room for the agent. On Windows: an operating system that agents are made for, .NET, WMI's "
        "access to the registry, room, and no pending restart. Nothing is installed or simulated. Debian's "
        "package removes NetworkManager, so a guest whose network rests on it is warned, as is one that is "
        "offered an agent below linux-agent-support-floor. A machine in Azure, or one that has an agent, is "
        "skipped. What was not seen is named, and makes it unknown.",
        repair="Take away what stands in the way, then install the agent before or right after the move.",
        sources=(
            "Microsoft Learn: Azure Windows VM Agent overview (prerequisites)",
            "Microsoft Learn: Update the Azure Linux Agent (packages by distribution)",
            "Microsoft Learn: Prepare on-premises machines for migration to Azure",
            "Debian package waagent 2.7.3.0-4.1: conflicts with network-manager",
        ),
    ),
)
def agent_installable(facts: Facts, rules: Rules) -> Outcome:
    """Whether nothing stands in the way of installing the agent."""
    if skip := IN_AZURE if facts.machine.in_azure else aside(facts):
        return skip
    guest = asked(facts)
    if known(guest.agent) is not None:
        return INSTALLED
    rows = tuple(_seen(guest))
    if obstacles := list(_obstacles(facts, guest, rules)):
        return failed("; ".join(what for what, _ in obstacles), *rows, remediation=obstacles[0][1])
    if gaps := list(_gaps(facts, guest)):
        return unknown("; ".join(dict.fromkeys(gaps)), *rows)
    if doubts := list(_doubts(facts, guest, rules)):
        return warned("; ".join(what for what, _ in doubts), *rows, remediation=doubts[0][1])
    offer = f": {_offered(guest.installable)}" if isinstance(guest.installable, Package) else ""
    return passed(f"nothing stands in its way{offer}", *rows)


def _obstacles(facts: Facts, guest: Guest, rules: Rules) -> Iterator[Obstacle]:
    system = system_of(facts)
    if not isinstance(system, Unseen):
        yield from ((fault, UPGRADE) for fault in faults_of(system, rules))
    if isinstance(guest.disk, Disk) and (full := no_room(guest.disk, rules)):
        yield full, FREE_SPACE
    if platform_of(facts) is Platform.WINDOWS:
        if isinstance(guest.windows, WindowsSetup):
            yield from setup_lacks(guest.windows, rules)
        return
    if guest.installable is None:
        yield "the package manager offers no agent", ADD_SOURCE
    if isinstance(guest.python, Python) and too_old(guest.python, rules.text("linux-python-floor")):
        yield f"Python {clip(guest.python.version or '', 40)} is too old", UPGRADE_PYTHON


def _gaps(facts: Facts, guest: Guest) -> Iterator[str]:
    """What an answer would need, and was not seen."""
    system = system_of(facts)
    needed: tuple[object, ...] = (system, guest.disk)
    if platform_of(facts) is Platform.WINDOWS:
        if not isinstance(system, Unseen) and (reason := untold(system)):
            yield reason
        setup = guest.windows
        needed += (setup,)
        if isinstance(setup, WindowsSetup):
            needed += (setup.dotnet, setup.std_reg_prov, setup.services, setup.pending_reboot)
    else:
        needed += (guest.installable,)
    yield from (fact.reason for fact in needed if isinstance(fact, Unseen))


def _doubts(facts: Facts, guest: Guest, rules: Rules) -> Iterator[Obstacle]:
    """What does not forbid the installation, and should be settled with it."""
    if platform_of(facts) is Platform.WINDOWS:
        if isinstance(guest.windows, WindowsSetup) and guest.windows.pending_reboot:
            yield "a restart is pending", REBOOT
        return
    managed = isinstance(guest.interfaces, tuple) and any(
        "networkmanager" in interface.source.lower().replace("-", "") for interface in guest.interfaces
    )
    if not isinstance(guest.installable, Package):
        return
    if managed and guest.installable.name == CONFLICTING:
        yield "installing waagent would remove NetworkManager, which runs the network", NETWORK_MANAGER
    floor = rules.text("linux-agent-support-floor")
    version, lowest = parse_version(guest.installable.version), parse_version(floor)
    if version is not None and lowest is not None and version < lowest:
        yield f"{_offered(guest.installable)}, which is older than {floor}", LET_UPDATE


def _offered(package: Package) -> str:
    return clip(" ".join(filter(None, (package.manager, "offers", package.name, package.version))), 80)


def _seen(guest: Guest) -> Iterator[Evidence]:
    if isinstance(guest.installable, Package):
        offer = guest.installable
        words = " ".join(filter(None, (offer.manager, offer.name, offer.version)))
        yield in_guest(guest, "package offered", words)
    if guest.os_name or guest.os_version:
        words = " ".join(filter(None, (guest.os_name, guest.os_version, guest.architecture)))
        yield in_guest(guest, "operating system", words)
    if isinstance(guest.python, Python):
        yield in_guest(guest, "python", guest.python.version or "version not seen")
