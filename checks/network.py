"""Can the guest reach what it has to?"""

from auditor.facts import Attempt, Facts, Guest, Unseen, known
from auditor.model import Evidence, Outcome, Plane
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.agent_report import heartbeat, needs_no_agent, the_guest
from checks.evidence import clip, in_guest, listing

PLUGIN_PORT = "32526"
OPEN_WIRE = "Let the guest reach 168.63.129.16 on TCP 80 and 32526 past its firewall, routes and proxies."
LATER = "after a move it has to reach 168.63.129.16 on TCP 80 and 32526"
RESOLVE = "Let the guest resolve public names, or take these endpoints out of the rule set."
OPEN_INTERNET = "Open these endpoints in firewall, routes and proxy, or take them out of the rule set."


@check(
    "wire-server",
    title="The guest reaches the wire server",
    planes=(Plane.INVENTORY, Plane.INSTANCE_VIEW, Plane.BACKUP, Plane.GUEST),
    explanation=Explanation(
        what="The guest reaches 168.63.129.16: HTTP 200 for its versions on port 80, and a connection "
        "to port 32526.",
        why="The agent gets its orders and sends its heartbeat there. Where a firewall, a route or a proxy "
        "cuts it off, no backup of a running machine can be coordinated, and NSG rules are seldom to blame.",
        evidence="Attempts from inside the guest, past all proxies. Where the guest was not asked, a fresh "
        "heartbeat that Azure received is taken as the proof, and the finding says so. An attempt without "
        "administrator's rights proves nothing when it fails, because the agent's own firewall rule keeps "
        "other users out. The rules of the guest's firewall that drop or refuse this traffic stand beside a "
        "failure. A machine outside Azure has no wire server and is skipped, unless its firewall has such "
        "rules: these would cut it off after a move, and warn.",
        repair="Take the obstacle away in the guest: its firewall, a static address instead of DHCP, a route "
        "or a proxy that catches the address.",
        sources=(
            "Microsoft Learn: What is IP address 168.63.129.16",
            "Microsoft Learn: Azure Virtual Machine Agent overview (network requirements)",
            "Azure/azure-support-scripts: VMAssist",
        ),
    ),
)
def wire_server(facts: Facts, rules: Rules) -> Outcome:
    """Whether the guest reaches the wire server, by its own attempts or by its heartbeat."""
    if skip := needs_no_agent(facts):
        return skip
    guest = the_guest(facts)
    if isinstance(guest, Unseen):
        return _by_heartbeat(facts, rules, guest.reason)
    if isinstance(guest.wire_server, Unseen):
        return _elsewhere(facts, guest) or _by_heartbeat(facts, rules, guest.wire_server.reason)
    return _by_attempts(facts, rules, guest, guest.wire_server)


def _by_attempts(facts: Facts, rules: Rules, guest: Guest, attempts: tuple[Attempt, ...]) -> Outcome:
    rows = tuple(_row(guest, "wire server", attempt) for attempt in attempts)
    lost = [attempt for attempt in attempts if not attempt.ok]
    if attempts and not lost:
        return passed("the guest reaches it", *rows)
    if skip := _elsewhere(facts, guest):
        return skip
    if not attempts:
        return _by_heartbeat(facts, rules, "the guest made no attempt")
    if not guest.privileged:
        return _by_heartbeat(facts, rules, "attempts without administrator's rights prove nothing", *rows)
    ports = " and ".join(dict.fromkeys(PLUGIN_PORT if PLUGIN_PORT in one.target else "80" for one in lost))
    return failed(f"the guest does not reach port {ports}", *rows, *_firewall(guest), remediation=OPEN_WIRE)


def _firewall(guest: Guest) -> tuple[Evidence, ...]:
    """The guest's own rules against that traffic, where they were seen."""
    rules = () if isinstance(guest.firewall, Unseen) else guest.firewall
    return tuple(in_guest(guest, "firewall rule", rule) for rule in rules[:3])


def _elsewhere(facts: Facts, guest: Guest) -> Outcome | None:
    """A skip for a host of which nothing shows that it runs in Azure, or a warning of what awaits it."""
    if facts.machine.in_azure or guest.on_azure_host is True:
        return None
    if rules := _firewall(guest):
        return warned("after the move the guest's firewall would cut it off", *rules, remediation=OPEN_WIRE)
    unsure = isinstance(guest.on_azure_host, Unseen)
    where = "nothing shows that the host is in Azure" if unsure else "the host is not in Azure"
    return skipped(f"{where}, where alone there is a wire server; {LATER}")


def _by_heartbeat(facts: Facts, rules: Rules, unasked: str, *rows: Evidence) -> Outcome:
    """Inferred: a heartbeat that arrived went through the wire server."""
    if isinstance(facts.instance, Unseen):
        return unknown(_both(unasked, facts.instance.reason if facts.instance.expected else ""), *rows)
    beat = heartbeat(facts, facts.instance, rules)
    rows = (*beat.evidence, *rows)
    if beat.off:
        return unknown(_both(unasked, beat.off), *rows)
    if beat.ready and beat.fresh:
        return passed("inferred: a heartbeat that arrived came through it", *rows)
    return unknown(_both(unasked, "there is no fresh heartbeat to infer it from"), *rows)


def _both(unasked: str, silent: str) -> str:
    return f"{unasked}; {silent}" if silent else unasked


@check(
    "internet-connectivity",
    title="The guest reaches the internet endpoints",
    planes=(Plane.INVENTORY, Plane.GUEST),
    explanation=Explanation(
        what="From inside the guest each endpoint of the rule set answers: name, connection and, if asked, "
        "TLS with a certificate that verifies.",
        why="Older rules of Azure Backup demanded internet access from every machine. Today's do not: a VM "
        "backup goes through the platform. Backups of databases in the guest, old agents, write-accelerated "
        "disks and downloads by extensions still need it, so a failure counts as degraded; a rule set can "
        "make it a blocker, or name other endpoints.",
        evidence="One attempt per endpoint by the probe in the guest, with the step at which it ended: dns, "
        "tcp, tls or http. Nothing is inferred from outside: with no connection to the guest it is unknown.",
        repair="Open the endpoints for the guest, or change the list in the rule set.",
        sources=(
            "Microsoft Learn: Prepare to back up Azure VMs (no outbound connectivity needed)",
            "Microsoft Learn: VM Snapshot extension for Windows (older rule: internet)",
            "Microsoft Learn: Azure Backup private endpoints, overview",
        ),
    ),
)
def internet_connectivity(facts: Facts, _rules: Rules) -> Outcome:
    """Whether the guest reached every endpoint that the rule set names."""
    guest = known(the_guest(facts))
    attempts = known(guest.endpoints)
    if not attempts:
        return unknown("no endpoint was tried")
    lost = [attempt for attempt in attempts if not attempt.ok]
    if lost:
        rows = (_row(guest, "endpoint", attempt) for attempt in lost[:4])
        places = listing(f"{attempt.target} ({attempt.stage})" for attempt in lost)
        where = "" if facts.machine.in_azure else " from where the machine is now"
        step = RESOLVE if all(attempt.stage == "dns" for attempt in lost) else OPEN_INTERNET
        return failed(f"not reached{where}: {places}", *_proxies(guest), *rows, remediation=step)
    row = in_guest(guest, "endpoints", f"{len(attempts)} of {len(attempts)} reached")
    return passed("every endpoint reached", row)


def _proxies(guest: Guest) -> tuple[Evidence, ...]:
    """That proxies are set, and where; their addresses may hold passwords and are not shown."""
    if isinstance(guest.proxies, Unseen) or not guest.proxies:
        return ()
    return (in_guest(guest, "proxies", f"set in {listing(place for place, _ in guest.proxies)}"),)


def _row(guest: Guest, source: str, attempt: Attempt) -> Evidence:
    detail = f": {attempt.detail}" if attempt.detail and not attempt.ok else ""
    return in_guest(guest, f"{source} {clip(attempt.target, 80)}", f"{attempt.stage}{detail}")
