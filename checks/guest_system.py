"""Is there room for extensions in the guest, and does its clock show the time?"""

from datetime import timedelta

from auditor.facts import Disk, Facts, Guest, known
from auditor.model import Evidence, Outcome, Platform
from auditor.plugin import Explanation, check, failed, passed, unknown, warned
from auditor.rules import Rules
from checks.asked import GUEST_PLANES, aside, asked, platform_of
from checks.evidence import clip, in_guest, span

MEGABYTE = 1_000_000
FREE_SPACE = "Free space on this file system, or enlarge it, before the next backup."
REMOUNT = "Mount the file system of /var/lib/waagent without noexec."
SET_CLOCK = "Set the guest's clock, and let it follow the host or a time server."


@check(
    "guest-disk-space",
    title="The agent has room to work",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="The file system that holds the agent's state (on Windows the system drive) has room for "
        "extensions, and programs may run from it.",
        why="The agent unpacks each extension there and starts it from there. On a full file system no "
        "backup extension can be installed or updated; with noexec none can start.",
        evidence="Free and total size of the file system that holds /var/lib/waagent, which need not be the "
        "root's; on Windows of the system drive. Less than disk-floor-megabytes fails everywhere, noexec "
        "fails on Linux. On Windows less than windows-disk-low-megabytes warns, on Linux more than "
        "linux-disk-used-percent in use.",
        repair="Free space or enlarge the file system; mount it without noexec.",
        sources=(
            "Azure/azure-support-scripts: VMAssist (1 GB and 100 MB on Windows, 90 % and noexec on Linux)",
            "Microsoft Learn: Troubleshoot Azure Backup failure (/var/lib/waagent on a noexec mount)",
        ),
    ),
)
def guest_disk_space(facts: Facts, rules: Rules) -> Outcome:
    """Whether extensions can be unpacked and started."""
    if skip := aside(facts):
        return skip
    guest = asked(facts)
    disk = known(guest.disk)
    if disk is None:
        return unknown("the size of the file system was not seen")
    row = _disk_row(guest, disk)
    if full := no_room(disk, rules):
        return failed(full, row, remediation=FREE_SPACE)
    if platform_of(facts) is Platform.WINDOWS:
        return _windows_disk(disk, rules, row)
    return _linux_disk(disk, rules, row)


def no_room(disk: Disk, rules: Rules) -> str | None:
    """Why no extension, and no agent, can be unpacked there; None where it can."""
    if disk.free >= rules.number("disk-floor-megabytes") * MEGABYTE:
        return None
    return f"only {_size(disk.free)} free at {clip(disk.path, 60)}"


def _windows_disk(disk: Disk, rules: Rules, row: Evidence) -> Outcome:
    if disk.free < rules.number("windows-disk-low-megabytes") * MEGABYTE:
        return warned(f"{_size(disk.free)} free is little", row, remediation=FREE_SPACE)
    return passed(f"{_size(disk.free)} free", row)


def _linux_disk(disk: Disk, rules: Rules, row: Evidence) -> Outcome:
    if disk.noexec:
        return failed("no extension can start: mounted with noexec", row, remediation=REMOUNT)
    used = 100 * (disk.total - disk.free) / disk.total if disk.total else 100
    if used >= rules.number("linux-disk-used-percent"):
        return warned(f"{int(used)} % in use", row, remediation=FREE_SPACE)
    return passed(f"{_size(disk.free)} free", row)


def _disk_row(guest: Guest, disk: Disk) -> Evidence:
    noexec = ", noexec" if disk.noexec else ""
    value = f"{_size(disk.free)} of {_size(disk.total)} free{noexec}"
    return in_guest(guest, f"file system of {clip(disk.path, 60)}", value)


def _size(count: int) -> str:
    if count >= 1000 * MEGABYTE:
        return f"{count / (1000 * MEGABYTE):.1f} GB"
    return f"{count // MEGABYTE} MB"


@check(
    "guest-clock",
    title="The guest's clock is right",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="The guest's clock differs from the auditor's by no more than clock-minutes.",
        why="Certificates, tokens and the snapshot's signed addresses are judged by the guest's clock. Azure "
        "Backup gives no guarantee for a machine whose clock is in the future.",
        evidence="The guest's own time when the probe ended, against the time at which its answer arrived "
        "here; the auditor's clock is taken to be right. A clock that is ahead fails, because Azure Backup "
        "excludes it; one that is behind warns.",
        repair="Set the clock, and let the guest follow its host or a time server.",
        sources=(
            "Microsoft Learn: Azure Backup support matrix (guest time in the future)",
            "Azure/azure-support-scripts: VMAssist (validity of certificates)",
        ),
    ),
)
def guest_clock(facts: Facts, rules: Rules) -> Outcome:
    """Whether the guest's clock is near the auditor's, and on which side it is."""
    if skip := aside(facts):
        return skip
    guest = asked(facts)
    if guest.clock is None:
        return unknown("the guest's clock was not seen")
    skew = guest.clock - guest.observed_at
    row = in_guest(guest, "clock", f"{guest.clock:%Y-%m-%d %H:%M:%S} UTC")
    if abs(skew) <= rules.minutes("clock-minutes"):
        return passed("the clock is right", row)
    if skew > timedelta(0):
        return failed(f"the clock is {span(skew)} ahead", row, remediation=SET_CLOCK)
    return warned(f"the clock is {span(-skew)} behind", row, remediation=SET_CLOCK)
