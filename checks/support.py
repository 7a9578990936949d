"""Is the operating system one that Azure and its backup support?"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from auditor.facts import Facts, Guest, InstanceView, Unseen
from auditor.model import Evidence, Outcome, Plane, Platform
from auditor.plugin import Explanation, check, failed, passed, unknown, warned
from auditor.rules import Rules
from checks.agent_report import needs_no_agent, the_guest
from checks.asked import platform_of
from checks.evidence import clip, in_guest
from checks.versions import parse_version

UPGRADE = (
    "Upgrade or replace the operating system; until then use a crash-consistent policy, which needs no agent."
)
LOOK_UP = "Look it up in the support matrix of Azure Backup, and try a backup and a restore."
NEWER = "Plan an upgrade: current agents are no longer made for it."
_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_RED_HAT_BUILD = re.compile(r"2\.6\.32-([0-9]{1,6})\b.*\.el6")
FIXED_BUILD = 504


@dataclass(frozen=True, slots=True)
class System:
    """An operating system as its guest or its agent names it; None where that was not seen."""

    platform: Platform
    name: str | None
    version: str | None
    kernel: str | None
    architecture: str | None
    evidence: Evidence

    @property
    def words(self) -> str:
        """Name and version, in one phrase."""
        name, version = clip(self.name or "", 60), clip(self.version or "", 40)
        return name if version in name else f"{name} {version}".strip()


@check(
    "os-supported",
    title="The operating system is supported",
    planes=(Plane.INSTANCE_VIEW, Plane.BACKUP, Plane.GUEST),
    explanation=Explanation(
        what="The operating system is a 64-bit one, neither too old nor one that Azure Backup excludes.",
        why="Elsewhere an agent may install and even report, and the backup extension still does not run, or "
        "Microsoft gives no help when it fails. Before a move it is cheapest to know.",
        evidence="What the guest says of itself; where it was not asked, the name and version that the agent "
        "told Azure, which an agent that is silent does not. It fails for systems in unsupported-systems, "
        "architectures in unsupported-architectures, 32-bit programs on a 64-bit kernel, Windows below "
        "windows-os-floor and kernels below linux-kernel-floor. It warns below windows-os-support-floor, "
        "below linux-kernel-numa-floor (Red Hat mended its 2.6.32 with build 504), and for a distribution "
        "that is not in linux-distributions: it may work where agent and Python do.",
        repair="Upgrade the operating system, or back it up under a crash-consistent policy.",
        sources=(
            "Microsoft Learn: Azure Backup support matrix for Azure VMs (operating systems)",
            "Microsoft Learn: Azure Windows VM Agent overview (Server 2016 and Windows 10)",
            "Microsoft Learn: Endorsed Linux distributions on Azure",
            "Microsoft Learn: Create and upload a Linux VHD (kernels and NUMA)",
        ),
    ),
)
def os_supported(facts: Facts, rules: Rules) -> Outcome:
    """Whether the operating system is one that can be backed up with an agent."""
    if skip := needs_no_agent(facts):
        return skip
    system = system_of(facts)
    if isinstance(system, Unseen):
        return unknown(system.reason)
    if faults := list(faults_of(system, rules)):
        return failed("; ".join(faults), system.evidence, remediation=UPGRADE)
    if reason := untold(system):
        return unknown(reason, system.evidence)
    return (_windows_age if system.platform is Platform.WINDOWS else _linux_kind)(system, rules)


def system_of(facts: Facts) -> System | Unseen:
    """The operating system, by the guest or else by what the agent told Azure."""
    guest, view = the_guest(facts), facts.instance
    if isinstance(guest, Guest) and (guest.os_name or guest.os_version):
        return _from_guest(facts, guest)
    if isinstance(view, InstanceView) and (view.os_name or view.os_version):
        value = " ".join(filter(None, (view.os_name, view.os_version)))
        row = Evidence(Plane.INSTANCE_VIEW, "operating system", view.observed_at, clip(value))
        return System(facts.machine.platform, view.os_name, _number(view.os_version), None, None, row)
    if isinstance(guest, Unseen) and guest.expected:
        return guest
    if isinstance(view, Unseen) and view.expected:
        return view
    return Unseen("neither the guest nor the agent told which operating system it is")


def _number(version: str | None) -> str | None:
    """The version without the words before it: Azure shows "Microsoft Windows NT 6.3.9600.0"."""
    found = _DOTTED.search(version or "")
    return found[0] if found else version


def _from_guest(facts: Facts, guest: Guest) -> System:
    bits = f"{guest.bits}-bit" if guest.bits else None
    value = " ".join(filter(None, (guest.os_name, guest.os_version, guest.kernel, guest.architecture, bits)))
    return System(
        platform=platform_of(facts),
        name=guest.os_name,
        version=guest.os_version,
        kernel=guest.kernel,
        architecture="32-bit" if guest.bits == 32 else guest.architecture,
        evidence=in_guest(guest, "operating system", value),
    )


def faults_of(system: System, rules: Rules) -> Iterator[str]:
    """Why Azure cannot back this system up with an agent."""
    architecture = (system.architecture or "").lower()
    if architecture and architecture in rules.texts("unsupported-architectures"):
        yield f"{architecture} is not supported"
    if _names(system, rules.texts("unsupported-systems")):
        yield f"{system.words} is not supported"
    elif system.platform is Platform.WINDOWS and _below(system.version, rules.text("windows-os-floor")):
        yield f"{system.words} is too old"
    if system.platform is Platform.LINUX and _below(system.kernel, rules.text("linux-kernel-floor")):
        yield f"kernel {clip(system.kernel or '', 40)} is too old"


def untold(system: System) -> str | None:
    """What would decide and was not seen: the kind of system, Windows' version, the distribution's name."""
    if system.platform is Platform.WINDOWS and parse_version(system.version) is None:
        return "the version of Windows was not seen"
    if system.platform is Platform.LINUX and not system.name:
        return "the name of the distribution was not seen"
    return "the operating system is not known" if system.platform is Platform.UNKNOWN else None


def _windows_age(system: System, rules: Rules) -> Outcome:
    if _below(system.version, rules.text("windows-os-support-floor")):
        return warned(f"{system.words} is out of support", system.evidence, remediation=NEWER)
    return passed(system.words, system.evidence)


def _linux_kind(system: System, rules: Rules) -> Outcome:
    kernel = system.kernel or ""
    if _below(kernel, rules.text("linux-kernel-numa-floor")) and not _mended(kernel):
        shown = f"kernel {clip(kernel, 40)} is troubled on larger sizes of Azure VMs"
        return warned(shown, system.evidence, remediation=UPGRADE)
    if not _names(system, rules.texts("linux-distributions")):
        return warned(f"{system.words} is not a listed system", system.evidence, remediation=LOOK_UP)
    return passed(system.words, system.evidence)


def _names(system: System, known: tuple[str, ...]) -> bool:
    """Whether the system's name has one of these phrases in it, whole words only."""
    return _named(system.name or "", known)


@lru_cache(4096)
def _named(name: str, known: tuple[str, ...]) -> bool:
    shown = f" {' '.join(re.split(r'[^a-z0-9]+', name.lower()))} "
    return any(f" {phrase.lower()} " in shown for phrase in known)


def _mended(kernel: str) -> bool:
    build = _RED_HAT_BUILD.match(kernel)
    return build is not None and int(build[1]) >= FIXED_BUILD


def _below(text: str | None, floor: str) -> bool:
    version, lowest = parse_version(text), parse_version(floor)
    return version is not None and lowest is not None and version < lowest
