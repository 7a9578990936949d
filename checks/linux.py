"""What agent and snapshot want of Linux: a Python that works, and file systems that can be frozen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from auditor.facts import Facts, Freeze, Guest, Mount, Python, Unseen, known
from auditor.model import Evidence, Outcome, Platform
from auditor.plugin import Explanation, check, failed, passed, unknown, warned
from auditor.rules import Rules
from checks.asked import GUEST_PLANES, NO_AGENT, aside, asked
from checks.evidence import clip, in_guest, listing
from checks.versions import parse_version

REINSTALL = (
    "Reinstall the distribution's agent package, which brings its own Python; leave the system's alone."
)
UPGRADE = "Upgrade the distribution; do not change the Python that the system itself uses."
MOUNTS = "Unmount what is stale or doubled, or name it in MountsToSkip of /etc/azure/vmbackup.conf."
LOCAL_ONLY = "Set onlyLocalFilesystems=True in [SnapshotThread] of /etc/azure/vmbackup.conf."
CONFIG = "Rewrite /etc/azure/vmbackup.conf in plain ASCII with a section [SnapshotThread], or remove it."
FREEZE = "Set fsfreeze=True in /etc/azure/vmbackup.conf, unless it was switched off for a reason."
NO = frozenset({"false", "no", "0", "off"})
DELETED = "(deleted)"


@check(
    "linux-python",
    title="The Linux agent's Python works",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="The interpreter that starts the agent is there, is no older than linux-python-floor, and can "
        "import the agent's modules.",
        why="The agent and the snapshot extension are Python programs. Where the system's Python was "
        "removed, replaced or switched, the agent does not start although its package is intact.",
        evidence="The interpreter of the agent's unit or of its program, not whatever is called python: "
        "RHEL 8 has its own for such programs. Its version, and whether it imports azurelinuxagent. Behind "
        "a proxy the extension wants linux-python-proxy-floor. A word of complaint that it printed is shown.",
        repair="Reinstall the agent's package. Never switch the Python of the system.",
        sources=(
            "Microsoft Learn: Azure Linux VM Agent overview (Python 2.6 or newer)",
            "Azure/azure-support-scripts: VMAssist (interpreter of the unit)",
            "Azure/azure-linux-extensions: VMBackup (Python 2.7 behind a proxy)",
        ),
    ),
)
def linux_python(facts: Facts, rules: Rules) -> Outcome:
    """Whether the agent's interpreter can run it."""
    if skip := aside(facts, Platform.LINUX):
        return skip
    guest = asked(facts)
    if guest.agent is None:
        return NO_AGENT
    python = known(guest.python)
    if python is None:
        return failed(
            "no Python for the agent", in_guest(guest, "python", "not found"), remediation=REINSTALL
        )
    return _python(guest, python, rules)


def _python(guest: Guest, python: Python, rules: Rules) -> Outcome:
    row = in_guest(guest, "python", " ".join(filter(None, (python.path, python.version, python.problem))))
    shown = f"Python {clip(python.version or 'of unknown version', 40)}"
    if python.imports_agent is False:
        return failed(f"{shown} cannot import the agent", row, remediation=REINSTALL)
    if python.version is None or (python.problem and python.imports_agent is None):
        return _mute(python, row)
    if too_old(python, rules.text("linux-python-floor")):
        return failed(f"{shown} is too old", row, remediation=UPGRADE)
    if python.problem:
        return warned(f"{shown} complains", row, remediation=REINSTALL)
    proxies = not isinstance(guest.proxies, Unseen) and guest.proxies
    if proxies and too_old(python, rules.text("linux-python-proxy-floor")):
        return warned(f"{shown} is too old for a backup behind a proxy", row, remediation=UPGRADE)
    return passed(shown, row)


def _mute(python: Python, row: Evidence) -> Outcome:
    if python.problem and python.version is None:
        return failed("Python does not start", row, remediation=REINSTALL)
    return unknown(clip(python.problem or "Python did not tell its version"), row)


def too_old(python: Python, floor: str) -> bool:
    """Whether the interpreter's version is known and below the floor."""
    version, lowest = parse_version(python.version), parse_version(floor)
    return version is not None and lowest is not None and version < lowest


@check(
    "linux-freeze",
    title="The file systems can be frozen",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="No mount of the guest is known to break the freeze before a snapshot, and the extension's "
        "configuration can be read and does not switch the freeze off.",
        why="The extension freezes every local file system of the kinds in freezable-filesystems and thaws "
        "them after the snapshot. A mount that is stale, or hides another, fails the backup; a network "
        "mount whose server hangs holds it up.",
        evidence="The guest's mounts and /etc/azure/vmbackup.conf. It warns of mounts whose place was "
        "deleted, of a place that was mounted over another mount, and of network file systems while "
        "onlyLocalFilesystems is not set; whether their servers answer is not tried, since that may hang. "
        "What stands in MountsToSkip is left alone, except the root, which the extension never skips. Other "
        "kinds of local file systems are not frozen: they are named, and their data is as after a power "
        "cut. One device in several places (bind mounts, btrfs) is no fault: the extension takes one place.",
        repair="Unmount what is left over, name the mount in MountsToSkip, or repair the configuration.",
        sources=(
            "Azure/azure-linux-extensions: VMBackup (README, fsfreezer.py)",
            "Microsoft Learn: Troubleshoot backup errors on Azure VMs (UserErrorFsFreezeFailed)",
        ),
    ),
)
def linux_freeze(facts: Facts, rules: Rules) -> Outcome:
    """Whether any mount or setting is known to break the freeze."""
    if skip := aside(facts, Platform.LINUX):
        return skip
    guest = asked(facts)
    freeze = known(guest.freeze)
    if freeze is None:
        return unknown("the mounts were not seen")
    settings = {key.lower(): value.strip() for key, value in freeze.settings or ()}
    rows = tuple(_freeze_rows(guest, freeze, settings, rules))
    if found := list(_dangers(freeze, settings, rules)):
        return warned("; ".join(what for what, _ in found), *rows, remediation=found[0][1])
    return passed("no mount is known to break the freeze", *rows)


def _dangers(freeze: Freeze, settings: Mapping[str, str], rules: Rules) -> Iterator[tuple[str, str]]:
    """What may break or weaken the snapshot, each with the step against it."""
    if freeze.problem:
        yield f"the extension cannot read its settings: {clip(freeze.problem, 100)}", CONFIG
    if settings.get("fsfreeze", "").lower() in NO:
        yield "the freeze is switched off in vmbackup.conf", FREEZE
    skips = {path.strip() for path in settings.get("mountstoskip", "").split(",")} - {"/"}
    mounts = [mount for mount in freeze.mounts if mount.path not in skips]
    frozen = [mount for mount in mounts if _is_frozen(mount, rules)]
    if stale := [mount.path for mount in mounts if DELETED in mount.path or DELETED in mount.source]:
        yield f"stale: {listing(stale)}", MOUNTS
    if twice := _doubled(frozen):
        yield f"mounted twice: {listing(twice)}", MOUNTS
    remote = [mount.path for mount in mounts if _remote(mount, rules)]
    if remote and settings.get("onlylocalfilesystems", "").lower() != "true":
        yield f"network mounts can hold the snapshot up: {listing(remote)}", LOCAL_ONLY


def _doubled(mounts: list[Mount]) -> list[str]:
    """Places that were mounted over; a device in several places (a bind mount) is taken once, and is none."""
    places = Counter(mount.path for mount in mounts)
    return [path for path, count in places.items() if count > 1]


def _is_frozen(mount: Mount, rules: Rules) -> bool:
    return mount.type.lower() in rules.texts("freezable-filesystems") and not _loop(mount)


def _local(mount: Mount) -> bool:
    return mount.path == "/" or (mount.source.startswith("/dev/") and not _loop(mount))


def _loop(mount: Mount) -> bool:
    return mount.source.startswith("/dev/loop")


def _remote(mount: Mount, rules: Rules) -> bool:
    kinds = rules.texts("network-filesystems")
    return not _local(mount) and any(fnmatchcase(mount.type.lower(), kind) for kind in kinds)


def _freeze_rows(
    guest: Guest, freeze: Freeze, settings: Mapping[str, str], rules: Rules
) -> Iterator[Evidence]:
    frozen = [mount for mount in freeze.mounts if _is_frozen(mount, rules)]
    other = [
        f"{mount.path} ({mount.type})"
        for mount in freeze.mounts
        if mount not in frozen and (_remote(mount, rules) or _local(mount))
    ]
    yield in_guest(guest, "mounts", f"{len(frozen)} to be frozen")
    if other:
        yield in_guest(guest, "mounts not frozen", listing(other))
    if freeze.settings is not None:
        shown = listing((f"{key}={value}" for key, value in settings.items()), 6)
        yield in_guest(guest, "vmbackup.conf", shown or "empty")
    else:
        yield in_guest(guest, "vmbackup.conf", "unreadable" if freeze.problem else "none")
