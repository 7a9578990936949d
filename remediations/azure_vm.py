"""What is wrong with a VM in Azure's own model of it: one property, and a state that failed."""

from auditor.facts import Facts, Guest, GuestAgent, InstanceView, Unseen
from auditor.plugin import Repair, remediation
from auditor.remedy import Action, Answer, Case, Manual, Nothing, Remedy, Request, Risk

READY = "provisioningstate/succeeded"


@remediation(
    "vm-agent-property",
    title="Let the VM handle extensions",
    repairs=("extensions-enabled",),
    explanation=Repair(
        what="Sets osProfile.allowExtensionOperations to true, where it is false although an agent is there.",
        why="A VM that was made of a generalised image without an agent keeps that setting after somebody "
        "has installed one. Azure then sends it no extension, and so takes no application-consistent backup.",
        how="One PATCH of the VM with this property alone, followed until Azure says that it has ended.",
        undo="Set the property back by hand. Azure refuses that while the VM has extensions.",
        never="It is not proposed where no agent is known to be there, nor for a VM without an osProfile "
        "(one made of a specialised disk), which needs no such setting.",
        sources=(
            "Microsoft Learn: Azure Windows VM Agent overview (allowExtensionOperations)",
            "Microsoft Learn: Virtual Machines REST API, Update",
        ),
    ),
)
def vm_agent_property(case: Case) -> Answer:
    """The property, where it is false and an agent is there."""
    facts = case.facts
    if isinstance(facts.model, Unseen):
        return Nothing(f"the VM's model was not seen: {facts.model.reason}")
    if facts.model.allow_extension_operations is not False:
        return Nothing("the VM's model does not forbid extensions")
    known = _agent(facts)
    if known is None:
        return Nothing("no agent is known to be there; once one is installed, plan again")
    change = {"properties": {"osProfile": {"allowExtensionOperations": True}}}
    action = Action(
        what="set osProfile.allowExtensionOperations of the VM to true",
        why=f"it is false, although {known}",
        act=Request("PATCH", facts.machine.id, body=change),
        expect="the VM's model allows extensions",
    )
    return Remedy((action,))


@remediation(
    "vm-reapply",
    title="Apply the state of a failed VM once more",
    repairs=("extension-health",),
    opt_in=True,
    explanation=Repair(
        what="Reapplies the VM, where its provisioning state is Failed while it runs.",
        why="A failure that has long passed can leave the state Failed behind, in which Azure Backup takes "
        "no snapshot. To apply the state once more is the mildest way out of it.",
        how="One POST to the VM's reapply, followed until Azure says that it has ended.",
        undo="There is nothing to take back: the VM's model is not changed.",
        never="It starts, stops and redeploys nothing. Nobody promises that pending changes of the VM stay "
        "without effect on what runs in it, so it has to be allowed by name.",
        sources=(
            "Microsoft Learn: Virtual Machines REST API, Reapply",
            "Microsoft Learn: Troubleshoot Azure Backup failure (UserErrorVmProvisioningStateFailed)",
        ),
    ),
)
def vm_reapply(case: Case) -> Answer:
    """A reapply, where the VM has failed and runs."""
    facts = case.facts
    if isinstance(facts.model, Unseen):
        return Nothing(f"the VM's model was not seen: {facts.model.reason}")
    if (facts.model.provisioning_state or "").lower() != "failed":
        return Nothing("the VM's provisioning has not failed")
    if isinstance(facts.instance, Unseen):
        return Nothing(f"the VM's power state was not seen: {facts.instance.reason}")
    power = facts.instance.power_state
    if power != "running":
        return Manual(
            f"the VM is {power or 'in an unknown power state'}, and only one that runs is reapplied",
            "Start the VM; if its provisioning fails again, look at its activity log.",
        )
    action = Action(
        what="apply the VM's state once more (reapply)",
        why="its provisioning state is Failed, while it runs",
        act=Request("POST", facts.machine.id, "reapply"),
        expect="the VM's provisioning state is Succeeded",
        risk=Risk.HIGH,
    )
    return Remedy((action,))


def _agent(facts: Facts) -> str | None:
    """How it is known that an agent is there; None where it is not."""
    if isinstance(facts.guest, Guest) and isinstance(facts.guest.agent, GuestAgent):
        return "an agent was found in the guest"
    if isinstance(facts.guest, Guest) and facts.guest.agent is None:
        return None
    agent = facts.instance.agent if isinstance(facts.instance, InstanceView) else None
    if agent and any(status.code.lower() == READY for status in agent.statuses):
        return "Azure hears an agent"
    return None
