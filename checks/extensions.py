"""The backup extension, and the health of every extension."""

import re
from collections.abc import Iterator

from auditor.facts import Backup, Facts, Guest, InstanceView, LogTail, ProtectedItem, Unseen, VmModel, known
from auditor.model import Evidence, Outcome, Plane
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown
from auditor.rules import Rules
from checks.agent_report import needs_no_agent, outside_azure, the_guest
from checks.evidence import clip, in_guest, listing, protected, unseen
from checks.items import pending, protecting, succeeded, tried

_SIGNED = re.compile(r"\?\S*=\S*")
NEXT_BACKUP = "Run a backup now: it installs the extension; if it fails, read its error code."


@check(
    "backup-extension",
    title="The backup extension is in place",
    planes=(Plane.INVENTORY, Plane.INSTANCE_VIEW, Plane.BACKUP, Plane.GUEST),
    explanation=Explanation(
        what="The snapshot extension of Azure Backup (VMSnapshot, VMSnapshotLinux) is on the machine, or the "
        "last backup succeeded, which it cannot have done without.",
        why="The extension freezes the file systems and takes the snapshot. Nobody installs it by hand: the "
        "first backup brings it.",
        evidence="Any one of these proves it: the extension resources, the handlers that the agent reports, "
        "the extension's folder in the guest, a last backup that completed. It is known by publisher and "
        "type, whatever its name; the publisher of older documents counts too. For managed disks Azure often "
        "lists it nowhere, so its absence there proves nothing. Before the first backup there is nothing to "
        "judge, and the check is skipped: its absence is then neither good nor bad. Where it is missing and "
        "its log was seen, the last complaints of the log are shown.",
        repair="Protect the machine and run a backup. Do not install or remove the extension by hand.",
        sources=(
            "Microsoft Learn: VM Snapshot extension for Windows and for Linux",
            "Microsoft Learn: Troubleshoot restore points and the VM snapshot extension",
            "Azure/azure-linux-extensions: VMBackup manifest (internal extension)",
        ),
    ),
)
def backup_extension(facts: Facts, rules: Rules) -> Outcome:
    """Whether any source shows the snapshot extension."""
    if outcome := needs_no_agent(facts) or outside_azure(facts):
        return outcome
    if rows := tuple(_signs(facts, rules)):
        return passed(rows[0].value, *rows[:2])
    return _absent(facts)


def _signs(facts: Facts, rules: Rules) -> Iterator[Evidence]:
    """Everything that shows that the extension is, or was a backup ago, in place."""
    kinds = {
        f"{publisher}.{type_}".lower()
        for publisher in rules.texts("extension-publishers")
        for type_ in rules.texts("extension-types")
    }
    if isinstance(facts.instance, InstanceView):
        yield from _listed(facts.instance, kinds)
    guest = the_guest(facts)
    if isinstance(guest, Guest) and isinstance(guest.snapshot_extension, tuple) and guest.snapshot_extension:
        yield in_guest(guest, "extension folder", listing(guest.snapshot_extension))
    if isinstance(facts.backup, Backup):
        for item in protecting(facts.backup):
            if succeeded(item):
                yield protected(item, facts.backup.observed_at, f"last backup {item.last_backup_status}")


def _listed(view: InstanceView, kinds: set[str]) -> Iterator[Evidence]:
    for handler in view.handlers or ():
        if handler.type.lower() in kinds:
            value = clip(f"{handler.type.rpartition('.')[2]} {handler.version or ''}")
            yield Evidence(Plane.INSTANCE_VIEW, "handler", view.observed_at, value)
    for extension in view.extensions:
        if (extension.type or "").lower() in kinds:
            value = clip(f"{(extension.type or '').rpartition('.')[2]} {extension.version or ''}")
            yield Evidence(Plane.INSTANCE_VIEW, "extension", view.observed_at, value)


def _absent(facts: Facts) -> Outcome:
    """No source shows it: not yet, not visible, or not there."""
    rows = (*_looked(facts), *_log(facts))
    if isinstance(facts.backup, Unseen):
        return unknown(f"no source shows it, and backups were not seen: {facts.backup.reason}", *rows)
    items = protecting(facts.backup)
    if not items and facts.backup.gaps:
        return unknown(f"no source shows it, and not read: {listing(facts.backup.gaps)}", *rows)
    if not items and any(item.last_backup_status for item in facts.backup.items):
        return skipped("the machine is no longer backed up, and no backup needs it", *rows)
    if not items:
        return skipped("not yet: the machine is not backed up, and the first backup installs it", *rows)
    if all(_first_is_due(item) for item in items):
        return skipped("not yet: the first backup has not run, and installs it", *rows)
    return _missing(facts, known(facts.instance), rows)


def _missing(facts: Facts, view: InstanceView, rows: tuple[Evidence, ...]) -> Outcome:
    """Backups run and fail, and nothing shows the extension: certain only where it would be seen."""
    guest = the_guest(facts)
    if isinstance(guest, Guest) and guest.snapshot_extension == ():
        return failed("no trace of it in the guest, and no backup succeeds", *rows, remediation=NEXT_BACKUP)
    unmanaged = isinstance(facts.model, VmModel) and facts.model.managed_disks is False
    if unmanaged and view.handlers is not None:
        return failed("Azure lists no backup extension", *rows, remediation=NEXT_BACKUP)
    return unknown("Azure often lists it nowhere for managed disks, and no other source shows it", *rows)


def _first_is_due(item: ProtectedItem) -> bool:
    return not tried(item) and (
        pending(item) or (item.last_backup_at is None and not item.last_backup_status)
    )


def _log(facts: Facts) -> Iterator[Evidence]:
    """What the extension last complained of in its log; signed addresses are left out."""
    guest = the_guest(facts)
    if not isinstance(guest, Guest) or not isinstance(guest.snapshot_log, LogTail):
        return
    log = guest.snapshot_log
    for line in log.lines[-2:]:
        said = _SIGNED.sub("?…", line)
        yield Evidence(
            Plane.GUEST, f"log {clip(log.path, 80)}", log.changed_at or guest.observed_at, clip(said)
        )


def _looked(facts: Facts) -> Iterator[Evidence]:
    """Where the extension was looked for."""
    if isinstance(facts.instance, InstanceView):
        view = facts.instance
        count = "not reported" if view.handlers is None else f"{len(view.handlers)}, none of them for backup"
        yield Evidence(Plane.INSTANCE_VIEW, "handlers", view.observed_at, count)
    else:
        yield unseen(Plane.INSTANCE_VIEW, "handlers", facts.instance)
    if isinstance(facts.backup, Backup):
        for item in protecting(facts.backup)[:1]:
            status = item.last_backup_status or "none"
            yield protected(item, facts.backup.observed_at, f"last backup {status}")
