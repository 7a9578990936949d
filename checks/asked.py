"""Checks that only the guest can answer: whom they concern, and what it means that nobody was asked."""

from auditor.facts import Facts, Guest, Unseen, known
from auditor.model import Outcome, Plane, Platform
from auditor.plugin import skipped
from checks.agent_report import needs_no_agent, the_guest

GUEST_PLANES = (Plane.INVENTORY, Plane.BACKUP, Plane.GUEST)
ONLY = {
    Platform.WINDOWS: skipped("for Windows only"),
    Platform.LINUX: skipped("for Linux only"),
}
NO_AGENT = skipped("no agent is installed; vm-agent-installed judges that")


def aside(facts: Facts, platform: Platform | None = None) -> Outcome | None:
    """A skip where the check does not concern this machine, or where no way into the guest was ever set.

    A guest that was to be asked and was not reached gives no skip: `known` then makes it unknown.
    """
    if platform is not None and platform_of(facts) not in {platform, Platform.UNKNOWN}:
        return ONLY[platform]
    if isinstance(facts.guest, Unseen) and not facts.guest.expected:
        return skipped(facts.guest.reason)
    return needs_no_agent(facts)


def asked(facts: Facts) -> Guest:
    """The guest; raises `FactUnavailable` where it was not seen, or is another machine."""
    return known(the_guest(facts))


def platform_of(facts: Facts) -> Platform:
    """The platform that the guest shows, or the inventory's where it was not seen."""
    if isinstance(facts.guest, Guest):
        named = facts.guest.platform.lower()
        if named in {Platform.WINDOWS, Platform.LINUX}:
            return Platform(named)
    return facts.machine.platform
