"""Is the guest that answered the machine that was meant?"""

from auditor.facts import Facts, Guest, Mismatch, Unseen, VmModel, same_id
from auditor.model import RUN_COMMAND, Evidence, Outcome, Plane
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown
from auditor.rules import Rules
from checks.agent_report import outside_azure, the_guest
from checks.evidence import clip, in_guest

CORRECT = "Correct the address or the id of this machine in the hosts file or the connection settings."


@check(
    "guest-identity",
    title="The guest is the machine that was meant",
    planes=(Plane.INVENTORY, Plane.GUEST),
    explanation=Explanation(
        what="A guest that was reached for an Azure VM shows the id that Azure gave that VM.",
        why="An address that is out of date or mistyped leads into another machine. Whatever was read there "
        "would be told of the wrong VM, and a repair would touch the wrong one.",
        evidence="The id from the metadata service (vmId) and the one on the guest's virtual board, which on "
        "Azure is the same; boards may show its first three groups with their bytes swapped. The metadata "
        "service is the better witness. Where the ids differ this check fails, and nothing that the guest "
        "said is used: every other check treats it as not seen. Where neither id was seen it is unknown, "
        "unless Azure's own Run Command led the way in.",
        repair="Correct the connection of that machine, and audit again.",
        sources=(
            "Microsoft Learn: Azure Instance Metadata Service (compute.vmId)",
            "Microsoft Azure blog: Accessing and using the Azure VM unique id (SMBIOS)",
            "Azure/WALinuxAgent: the ids of the host are compared with their bytes swapped, too",
        ),
    ),
)
def guest_identity(facts: Facts, _rules: Rules) -> Outcome:
    """Whether the guest shows the id that Azure has."""
    if skip := outside_azure(facts):
        return skip
    guest = the_guest(facts)
    if isinstance(guest, Mismatch):
        return _another(facts, guest)
    if isinstance(guest, Unseen):
        return unknown(guest.reason) if guest.expected else skipped(guest.reason)
    if isinstance(facts.model, Unseen):
        return skipped(f"Azure's id of the VM is not known: {facts.model.reason}")
    if facts.model.vm_id is None:
        return skipped("Azure gives no id of the VM")
    return _shown(guest, facts.model, facts.model.vm_id)


def _another(facts: Facts, guest: Mismatch) -> Outcome:
    at = facts.model.observed_at if isinstance(facts.model, VmModel) else None
    return failed(
        f"another machine answered: it is {clip(guest.shown, 60)}, not {clip(guest.wanted, 60)}",
        Evidence(Plane.INVENTORY, "vmId", at, clip(guest.wanted)),
        Evidence(Plane.GUEST, "the guest's own id", None, clip(guest.shown)),
        remediation=CORRECT,
    )


def _shown(guest: Guest, model: VmModel, wanted: str) -> Outcome:
    azure = Evidence(Plane.INVENTORY, "vmId", model.observed_at, clip(wanted))
    for source, shown in (("metadata service", guest.vm_id), ("virtual board", guest.firmware_id)):
        if isinstance(shown, str) and same_id(shown, wanted):
            return passed("the guest shows the id of the VM", azure, in_guest(guest, source, shown))
    if guest.transport == RUN_COMMAND:
        return passed("Azure itself led the way into the VM", azure, in_guest(guest, "way in", RUN_COMMAND))
    return unknown(f"the guest showed no id of its own{_why(guest)}", azure)


def _why(guest: Guest) -> str:
    reasons = [fact.reason for fact in (guest.vm_id, guest.firmware_id) if isinstance(fact, Unseen)]
    return f": {'; '.join(dict.fromkeys(reasons))}" if reasons else ""
