"""Protected items sorted by what they still do for their machine."""

from auditor.facts import Backup, ProtectedItem

ALIVE = frozenset({"protected", "irpending", "protectionerror"})

STOPPED = frozenset({"protectionstopped", "protectionpaused", "backupssuspended", "notprotected"})

UNTOLD = frozenset({"", "invalid"})

SUCCEEDED = frozenset({"completed", "completedwithwarnings"})


def protecting(backup: Backup) -> tuple[ProtectedItem, ...]:
    """The items that are meant to back the machine up, whether or not they manage to."""
    return tuple(
        item
        for item in backup.items
        if not item.deferred_delete and item.protection_state.strip().lower() in ALIVE
    )


def halted(backup: Backup) -> tuple[ProtectedItem, ...]:
    """The items that keep recovery points and make no new ones."""
    alive = protecting(backup)
    return tuple(item for item in backup.items if not item.deferred_delete and item not in alive)


def stopped_for_sure(item: ProtectedItem) -> bool:
    """Whether the item's state is one that is known to make no recovery points."""
    return item.protection_state.strip().lower() in STOPPED


def soft_deleted(backup: Backup) -> tuple[ProtectedItem, ...]:
    """The items that wait for their deletion; they block protecting the machine anew."""
    return tuple(item for item in backup.items if item.deferred_delete)


def succeeded(item: ProtectedItem) -> bool:
    """Whether its last backup made a recovery point."""
    return (item.last_backup_status or "").strip().lower() in SUCCEEDED


def tried(item: ProtectedItem) -> bool:
    """Whether its last backup ran and failed."""
    return (item.last_backup_status or "").strip().lower() == "failed"


def pending(item: ProtectedItem) -> bool:
    """Whether the first backup has not run yet."""
    return item.protection_state.strip().lower() == "irpending"
