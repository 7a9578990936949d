"""Is the agent allowed to do its work, and to keep itself up to date?"""

from auditor.facts import Facts, Guest, VmModel, known
from auditor.model import Evidence, Outcome, Plane, Platform
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.agent_report import needs_no_agent, the_guest
from checks.asked import GUEST_PLANES, NO_AGENT, aside, asked, platform_of
from checks.evidence import in_guest

ALLOW = "Set allowExtensionOperations of the VM to true, once its agent reports."
ENABLE = "Set Extensions.Enabled=y in /etc/waagent.conf and restart the agent's service."
UPDATE = (
    "Set AutoUpdate.UpdateToLatestVersion=y (older agents: AutoUpdate.Enabled=y) and restart the service."
)


@check(
    "extensions-enabled",
    title="Extensions are allowed",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="Neither the VM (allowExtensionOperations) nor the Linux agent's configuration "
        "(Extensions.Enabled) forbids extensions.",
        why="The snapshot of a backup is taken by an extension. An agent that is told to handle none stays "
        "Ready, and every backup of the machine fails.",
        evidence="The VM's property in the resource model, where not set means allowed, and the effective "
        "setting in the guest: a key that is missing or commented out means yes, and Extensions.Enable, as "
        "some pages spell it, is no key at all. One no is enough to fail. Without a way into the guest the "
        "VM's property alone decides, and the finding says so. Windows agents have no such setting.",
        repair="Allow extensions on the VM, or set the key and restart the agent's service.",
        sources=(
            "Azure/WALinuxAgent: README (Extensions.Enabled)",
            "Microsoft Learn: Azure Windows VM Agent overview (allowExtensionOperations)",
            "MicrosoftDocs/azure-docs issue 42262: backups fail with Extensions.Enabled=n",
        ),
    ),
)
def extensions_enabled(facts: Facts, _rules: Rules) -> Outcome:
    """Whether the VM and the agent's configuration allow extensions."""
    if skip := needs_no_agent(facts):
        return skip
    model, guest = facts.model, the_guest(facts)
    rows = _property(model) if isinstance(model, VmModel) else ()
    if isinstance(model, VmModel) and model.allow_extension_operations is False:
        return failed("the VM does not allow extensions", *rows, remediation=ALLOW)
    if isinstance(guest, Guest):
        return _in_guest(facts, guest, rows)
    if guest.expected:
        return unknown(guest.reason, *rows)
    if rows:
        return passed("the VM allows them; the agent's own configuration was not looked at", *rows)
    return skipped(guest.reason)


def _property(model: VmModel) -> tuple[Evidence, ...]:
    allowed = model.allow_extension_operations
    value = "not set, which means true" if allowed is None else str(allowed).lower()
    return (Evidence(Plane.INVENTORY, "allowExtensionOperations", model.observed_at, value),)


def _in_guest(facts: Facts, guest: Guest, rows: tuple[Evidence, ...]) -> Outcome:
    if guest.agent is None:
        return NO_AGENT
    if platform_of(facts) is Platform.WINDOWS:
        return passed("the VM allows them", *rows) if rows else skipped("Windows agents have no such setting")
    enabled = known(guest.extensions_enabled)
    if enabled is None:
        return unknown("the agent's configuration was not found", *rows)
    row = in_guest(guest, "Extensions.Enabled", "y" if enabled else "n")
    if not enabled:
        return failed("the agent is told not to handle extensions", *rows, row, remediation=ENABLE)
    return passed("extensions are allowed", *rows, row)


@check(
    "agent-auto-update",
    title="The Linux agent updates itself",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="The Linux agent's automatic update is switched on.",
        why="The package of the distribution only starts the agent; the part that does the work fetches its "
        "newer versions itself. With the update off it stays as old as the package, and falls below the "
        "support floor in time. Debian ships it switched off.",
        evidence="The effective setting in the guest: AutoUpdate.UpdateToLatestVersion where it is set, else "
        "AutoUpdate.Enabled; agents before 2.10.0.8 know the second only. A key that is missing means the "
        "default. Some fleets switch it off on purpose and update by package: set the severity to info "
        "then. Windows agents always update themselves and are skipped.",
        repair="Switch it on and restart the agent's service, while no backup of the machine runs.",
        sources=(
            "Azure/WALinuxAgent: README (AutoUpdate.UpdateToLatestVersion, AutoUpdate.Enabled)",
            "Microsoft Learn: Update the Azure Linux Agent",
            "Debian package waagent 2.7.3.0-4.1: AutoUpdate.Enabled=n",
        ),
    ),
)
def agent_auto_update(facts: Facts, _rules: Rules) -> Outcome:
    """Whether the Linux agent may fetch its newer versions."""
    if skip := aside(facts, Platform.LINUX):
        return skip
    guest = asked(facts)
    if guest.agent is None:
        return NO_AGENT
    updates = known(guest.auto_update)
    if updates is None:
        return unknown("the agent's configuration was not found")
    row = in_guest(guest, "AutoUpdate", "y" if updates else "n")
    if updates:
        return passed("the agent updates itself", row)
    return warned(
        "automatic update is off, and the agent stays as old as its package", row, remediation=UPDATE
    )
