"""The backup extension, where it hangs half deleted."""

from collections.abc import Iterator

from auditor.facts import Backup, Extension, Facts, InstanceView, Jobs
from auditor.plugin import Repair, remediation
from auditor.remedy import Action, Answer, Case, Manual, Nothing, Remedy, Request, Risk
from auditor.rules import Rules
from auditor.rules.catalogue import explain

CODE = "ExtensionStuckInDeletionState"
BY_HAND = (
    "See that the agent is ready; then remove the extension (az vm extension list and delete, publisher "
    "Microsoft.Azure.RecoveryServices), and run a backup, which brings it anew."
)


@remediation(
    "backup-extension-reset",
    title="Remove the half-deleted backup extension",
    repairs=("backup-health", "extension-health"),
    opt_in=True,
    explanation=Repair(
        what=f"Removes the extension resource VMSnapshot or VMSnapshotLinux, where Azure itself says {CODE}: "
        "in the last failed backup, in the health of the protected item, or in the extension's status.",
        why="An extension whose removal was cut short is neither there nor gone, and every backup fails on "
        "it. With the resource gone, the next backup installs it anew.",
        how="One DELETE of that extension resource, known by its publisher and type, followed until Azure "
        "says that it has ended. The agent has to be ready, as it does the removal.",
        undo="The next backup installs the extension.",
        never="For every other error it is not proposed: newer pages of Microsoft warn against removing the "
        "extension by hand. It has to be allowed by name.",
        sources=(
            f"Microsoft Learn: Troubleshoot backup failures on Azure virtual machines ({CODE})",
            "Microsoft Learn: Troubleshoot restore points and the VM snapshot extension (do not remove it)",
        ),
    ),
)
def backup_extension_reset(case: Case) -> Answer:
    """The removal, where Azure names this one error."""
    facts = case.facts
    where = next((place for place, texts in _said(facts, case.rules) if _names(texts)), None)
    if where is None:
        return Nothing(f"nothing says {CODE}")
    if not case.holds("vm-agent-ready"):
        return Nothing(
            f"{where} says {CODE}, but the agent is not known to be ready, and it does the removal"
        )
    extension = next(_ours(facts, case.rules), None)
    if extension is None:
        return Manual(f"{where} says {CODE}, but Azure does not list the extension", BY_HAND)
    action = Action(
        what=f"remove the extension {extension.name} of the VM",
        why=f"{where} says {CODE}: it hangs half deleted",
        act=Request("DELETE", f"{facts.machine.id}/extensions/{extension.name}"),
        expect=f"the VM has no extension {extension.name} until the next backup brings it",
        risk=Risk.MEDIUM,
    )
    return Remedy((action,))


def _said(facts: Facts, rules: Rules) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """Every place where Azure names an error of the backup, with its words."""
    jobs = facts.jobs
    if isinstance(jobs, Jobs) and jobs.last is not None and jobs.last.status.lower() != "completed":
        for error in jobs.last.errors:
            yield "the last backup", (error.title, error.message)
    if isinstance(facts.backup, Backup):
        for item in facts.backup.items:
            for detail in () if item.deferred_delete else item.health:
                yield "the health of the protected item", (detail.title, detail.message)
    for extension in _ours(facts, rules):
        for status in extension.statuses:
            yield "the extension's status", (status.code.replace("/", " "), status.message)


def _names(texts: tuple[str | None, ...]) -> bool:
    known = explain(None, *texts)
    return known is not None and known.symbol == CODE


def _ours(facts: Facts, rules: Rules) -> Iterator[Extension]:
    """The resources of the backup extension, known by publisher and type."""
    kinds = {
        f"{publisher}.{kind}".lower()
        for publisher in rules.texts("extension-publishers")
        for kind in rules.texts("extension-types")
    }
    if isinstance(facts.instance, InstanceView):
        yield from (one for one in facts.instance.extensions if (one.type or "").lower() in kinds)
