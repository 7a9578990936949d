"""Is there a vault for the machine, and does one protect it?"""

from collections.abc import Sequence

from auditor.facts import Backup, Facts, ProtectedItem, Unseen, known
from auditor.inventory.scope import normal_location
from auditor.model import Evidence, Machine, Outcome, Plane
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.agent_report import outside_azure
from checks.evidence import clip, listing, protected
from checks.items import (
    UNTOLD,
    halted,
    pending,
    protecting,
    soft_deleted,
    stopped_for_sure,
    succeeded,
    tried,
)

PROTECT = "Enable backup of the VM in a Recovery Services vault of its region."
RESUME = "Resume protection of the VM in its vault, if it is to be backed up at all."
CREATE = "Create a Recovery Services vault in that region."
GRANT = "Grant Backup Reader on what could not be read, and audit again."


@check(
    "vault-in-region",
    title="A vault in the machine's region",
    planes=(Plane.BACKUP,),
    explanation=Explanation(
        what="The vault that backs the machine up is in the machine's region, or, where none does, there is "
        "a vault in that region to choose.",
        why="A Recovery Services vault takes only machines of its own region, and a vault cannot move.",
        evidence="The location of the item's vault, or of the visible vaults, both normalised: West Europe "
        "and westeurope are one region. Where some vaults or subscriptions could not be read and none was "
        "found, the answer is unknown. For a machine outside Azure the region that it is to move to counts, "
        "if one was named. Backup vaults of the other kind (Data Protection) take no VMs.",
        repair="Create a Recovery Services vault in the region.",
        sources=(
            "Microsoft Learn: Prepare to back up Azure VMs",
            "Microsoft Learn: Azure Backup support matrix (UserErrorVmVaultLocationMismatch)",
        ),
    ),
)
def vault_in_region(facts: Facts, _rules: Rules) -> Outcome:
    """Whether the machine's vault, or a vault it could have, is in its region."""
    if not facts.machine.in_azure:
        return _after_the_move(facts, normal_location(facts.target))
    backup = known(facts.backup)
    region = normal_location(facts.machine.location)
    if not region:
        return unknown("the region of the VM is not known")
    items = protecting(backup)
    return _own_vault(items, region, backup) if items else _any_vault(region, backup)


def _after_the_move(facts: Facts, region: str) -> Outcome:
    """Whether a machine outside Azure would find a vault where it is to go."""
    if not region:
        return skipped("not an Azure machine, and no region to move it to was named (--target-region)")
    if isinstance(facts.backup, Unseen) and not facts.backup.expected:
        return skipped(f"Azure was not asked for vaults in {region}")
    return _any_vault(region, known(facts.backup))


def _own_vault(items: Sequence[ProtectedItem], region: str, backup: Backup) -> Outcome:
    rows = [protected(item, backup.observed_at, f"in {item.vault.location}") for item in items]
    placed = [item for item in items if normal_location(item.vault.location)]
    strays = [item for item in placed if normal_location(item.vault.location) != region]
    if strays:
        where = normal_location(strays[0].vault.location)
        return failed(
            f"its vault is in {where}, the VM in {region}",
            *rows,
            remediation="Stop that protection and protect the VM in a vault of its own region.",
        )
    if not placed:
        return unknown("the region of its vault is not known", *rows)
    return passed(f"its vault is in {region}", *rows[:2])


def _any_vault(region: str, backup: Backup) -> Outcome:
    names = [vault.name for vault in backup.regional_vaults if normal_location(vault.location) == region]
    row = Evidence(Plane.BACKUP, f"vaults in {region}", backup.observed_at, listing(names) or "none")
    if names:
        return passed(f"a vault in {region} could take it", row)
    if backup.gaps:
        return unknown(
            f"no visible vault in {region}, and not read: {listing(backup.gaps)}", row, remediation=GRANT
        )
    return failed(f"no Recovery Services vault in {region}; create one", row, remediation=CREATE)


@check(
    "backup-protection",
    title="The machine is backed up",
    planes=(Plane.BACKUP,),
    explanation=Explanation(
        what="Exactly one vault protects the machine, and its first backup has run.",
        why="A machine that nobody protects, or whose protection was stopped and forgotten, has no backup of "
        "today. An item in a vault proves nothing by itself: it stays when protection is stopped.",
        evidence="The protection state of every item of this VM in every visible vault of every visible "
        "subscription, matched by the whole resource id in lower case, never by name. Protected passes; a "
        "pending first backup, an item that shows no recovery point after a failed backup, or two vaults "
        "at once, warns; stopped, paused, suspended or in error fails; a state that is missing or Invalid "
        "is unknown. No item fails only when everything could be read; else it is unknown, naming the gaps. "
        "A soft-deleted item is named, because it blocks protecting the machine anew.",
        repair="Enable or resume protection; undelete a soft-deleted item, or wait until it is gone.",
        sources=(
            "Azure Backup REST API: protected items, protectionState",
            "Microsoft Learn: Soft delete for Azure Backup",
            "Microsoft Learn: Prepare to back up Azure VMs (one vault per VM; vaults of other subscriptions)",
        ),
    ),
)
def backup_protection(facts: Facts, _rules: Rules) -> Outcome:
    """Whether exactly one vault protects the machine."""
    if skip := outside_azure(facts):
        return skip
    backup = known(facts.backup)
    rows = [
        protected(item, backup.observed_at, _item_text(item, facts.machine)) for item in _by_weight(backup)
    ]
    items = protecting(backup)
    if not items:
        return _not_protected(backup, rows)
    vaults = listing(_vault_name(item, facts.machine) for item in items)
    if len(items) > 1 and any(item.protection_state.strip().lower() == "protected" for item in items):
        return warned(
            f"protected {len(items)} times: {vaults}",
            *rows,
            remediation="Stop protection in all but one vault.",
        )
    return _one_item(_best(items), vaults, rows)


def _best(items: Sequence[ProtectedItem]) -> ProtectedItem:
    return next((item for item in items if pending(item)), items[0])


def _one_item(item: ProtectedItem, vault: str, rows: Sequence[Evidence]) -> Outcome:
    if pending(item):
        state = "failed" if tried(item) else "has not run"
        step = "See backup-health for the reason, then" if tried(item) else "Wait for the scheduled one, or"
        return warned(f"in {vault}, the first backup {state}", *rows, remediation=f"{step} run one now.")
    if item.protection_state.strip().lower() == "protectionerror":
        return failed(
            f"protection in {vault} is in error",
            *rows,
            remediation="Follow the item's health details (see backup-health), then resume protection.",
        )
    if item.last_recovery_point is None and not succeeded(item):
        return warned(
            f"in {vault}, which shows no recovery point",
            *rows,
            remediation="Look why its backups fail (see backup-health), and back up now.",
        )
    return passed(f"protected in {vault}", *rows[:2])


def _not_protected(backup: Backup, rows: Sequence[Evidence]) -> Outcome:
    if backup.gaps:
        seen = "only stopped protection was found" if halted(backup) else "no protection was found"
        return unknown(f"{seen}, and not read: {listing(backup.gaps)}", *rows, remediation=GRANT)
    if stopped := halted(backup):
        if strange := [item for item in stopped if not stopped_for_sure(item)]:
            return _strange(clip(strange[0].protection_state, 40), rows)
        state = clip(stopped[0].protection_state, 40)
        return failed(f"{state} in {clip(stopped[0].vault.name, 60)}", *rows, remediation=RESUME)
    if twins := soft_deleted(backup):
        return failed(
            f"not protected; soft-deleted in {clip(twins[0].vault.name, 60)}",
            *rows,
            remediation="Undelete the item in that vault and resume protection; it blocks every other vault.",
        )
    row = Evidence(Plane.BACKUP, "protected items", backup.observed_at, "none of this VM")
    return failed("not protected", row, remediation=PROTECT)


def _strange(state: str, rows: Sequence[Evidence]) -> Outcome:
    if state.lower() in UNTOLD:
        return unknown(f"the vault gives no state of its protection ({state or 'none'})", *rows)
    return unknown(f"the vault calls it {state!r}, which this version does not know", *rows)


def _by_weight(backup: Backup) -> tuple[ProtectedItem, ...]:
    return (*protecting(backup), *halted(backup), *soft_deleted(backup))


def _vault_name(item: ProtectedItem, machine: Machine) -> str:
    name = clip(item.vault.name, 60)
    foreign = item.vault.subscription.lower() != machine.subscription.lower()
    return f"{name} of subscription {item.vault.subscription}" if foreign else name


def _item_text(item: ProtectedItem, machine: Machine) -> str:
    words = ["soft-deleted"] if item.deferred_delete else []
    words.append(item.protection_state)
    if item.last_recovery_point:
        words.append(f"last recovery point {item.last_recovery_point:%Y-%m-%d %H:%M}")
    if item.vault.subscription.lower() != machine.subscription.lower():
        words.append(f"vault in subscription {item.vault.subscription}")
    return ", ".join(words)
