"""Does the guest take its address from Azure, and do its proxies leave Azure's own addresses alone?"""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from itertools import islice

from auditor.facts import Facts, Interface, Unseen, known
from auditor.model import Evidence, Outcome, Plane
from auditor.plugin import Explanation, check, passed, unknown, warned
from auditor.rules import Rules
from checks.asked import GUEST_PLANES, aside, asked
from checks.evidence import clip, in_guest, listing

USE_DHCP = "Let the interface use DHCP, and set a fixed address on the network interface in Azure instead."
SEVERAL = (
    "Let the interface use DHCP for the move; an address that is still wanted then is added in Azure first, "
    "and after that in the guest."
)
LOOK = "Look at the guest's network configuration: the interface should be set to DHCP."
FIRST = (
    "Put the primary address of the network interface in Azure first in the guest, and give the guest the "
    "others as Azure has them; or remove them in both places and use DHCP."
)
EXEMPT = "Exempt 168.63.129.16 and 169.254.169.254 wherever a proxy is set (no_proxy, or the bypass list)."
NO_LOGIN = "Give the machine a proxy that asks for no login; Azure Backup supports no other."
PLATFORM = ("168.63.129.16", "169.254.169.254")
EXEMPTIONS = ("no_proxy", "bypass", "override", "exception", "exclusion")
BY_SCRIPT = "autoconfig"
SET_BY_HOST = "httpproxy.host"
IRRELEVANT = ("ftp_proxy", "rsync_proxy", "gopher_proxy", "httpproxy.port")
HIDDEN = "***@"


@check(
    "guest-dhcp",
    title="The guest takes its address from Azure",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="The first interface of the guest that carries an address has it from DHCP.",
        why="With the address, Azure's DHCP tells the guest how to reach the host, which the agent and the "
        "snapshot need. A fixed address belongs to the network interface in Azure; one set in the guest "
        "cuts it off as soon as the two differ.",
        evidence="How the guest's interfaces are configured, in their order. A static interface with several "
        "addresses has to be static, since DHCP gives one address only: it passes where its first address "
        "is the primary one of the network interface in Azure, and warns where it is another. Azure's "
        "addresses are read where a connections file reaches guests by them; without, it is unknown, as it "
        "is where the guest does not tell. A static interface outside Azure always warns: its addresses "
        "do not survive the move.",
        repair="Switch the interface to DHCP; fix the address in Azure.",
        sources=(
            "Microsoft Learn: Troubleshoot backup errors on Azure VMs (DHCP must be enabled)",
            "Microsoft Learn: Assign multiple IP addresses to virtual machines",
            "Azure/azure-support-scripts: VMAssist",
        ),
    ),
)
def guest_dhcp(facts: Facts, _rules: Rules) -> Outcome:
    """Whether the guest's first interface uses DHCP."""
    if skip := aside(facts):
        return skip
    guest = asked(facts)
    interfaces = known(guest.interfaces)
    first = next((one for one in interfaces if _addresses(one)), None)
    if first is None:
        return unknown("no interface with an address was seen")
    name, many = clip(first.name, 40), len(_addresses(first))
    source = f", from {first.source}" if first.source else ""
    how = {True: "DHCP", False: "static", None: "not told"}[first.dhcp]
    row = in_guest(guest, f"interface {name}", f"{how}, {many} IPv4 address{'es' * (many > 1)}{source}")
    later = "" if facts.machine.in_azure else "; after the move to Azure it has to use DHCP"
    if first.dhcp is None:
        reason = f"the guest does not tell how {name} got its address{later}"
        return unknown(reason, row, remediation=LOOK)
    if first.dhcp:
        return passed(f"{name} uses DHCP", row)
    if many > 1 and facts.machine.in_azure:
        return _several(facts, first, row)
    return warned(
        f"{name} has {'static addresses' if many > 1 else 'a static address'}{later}",
        row,
        remediation=USE_DHCP if many == 1 else SEVERAL,
    )


def _several(facts: Facts, interface: Interface, row: Evidence) -> Outcome:
    """A static interface with several addresses in Azure: its first has to be the primary one there."""
    name, (address, *others) = clip(interface.name, 40), _addresses(interface)
    bare = address.partition("/")[0].strip()
    static = f"{name} is static, as an interface with {1 + len(others)} addresses has to be"
    primary = None if isinstance(facts.model, Unseen) else facts.model.primary_address
    if primary is None:
        return unknown(f"{static}; whether its first, {bare}, is the primary one in Azure was not seen", row)
    rows = (row, Evidence(Plane.INVENTORY, "primary address in Azure", None, clip(primary)))
    if bare != primary:
        reason = f"the first address of {name} is {bare}, and the primary one in Azure is {clip(primary, 40)}"
        return warned(reason, *rows, remediation=FIRST)
    return passed(f"{static}, and its first is the primary one in Azure", *rows)


def _addresses(interface: Interface) -> list[str]:
    """The IPv4 addresses that other machines can reach."""
    found = []
    for text in interface.addresses:
        try:
            address = ip_address(text.partition("/")[0].strip())
        except ValueError:
            continue
        if address.version == 4 and not (address.is_loopback or address.is_link_local):
            found.append(text)
    return found


@check(
    "guest-proxy",
    title="No proxy stands before Azure's own addresses",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="Wherever a proxy is set in the guest, the wire server (168.63.129.16) and the metadata service "
        "(169.254.169.254) are exempt from it, and the proxy asks for no login.",
        why="These two addresses exist for the guest alone: a proxy answers for itself, or not at all, and "
        "whoever asks through it talks to the wrong partner. The Linux agent goes to the wire server past "
        "every proxy, HttpProxy of waagent.conf too; the snapshot extension reads HttpProxy by itself, and "
        "inherits the environment of the agent's unit. Azure Backup supports no proxy with a login.",
        evidence="The proxies that were found, each with the place where it is set: the environment, "
        "/etc/environment, the agent's unit, HttpProxy of waagent.conf, WinHTTP and the like. An exemption "
        "counts in the place where it is written; for waagent.conf, which has none of its own, anywhere. "
        "Addresses, wildcards and networks are understood; a script that chooses the proxy is not run, and "
        "makes it unknown. Addresses of proxies may hold passwords and are never shown. The address "
        "may still be reached today: wire-server tells.",
        repair="Add both addresses to no_proxy or to the bypass list.",
        sources=(
            "Microsoft Learn: Azure Windows VM Agent overview (no proxy before the wire server)",
            "Microsoft Learn: Azure Backup support matrix (proxies without a login only)",
            "Azure/azure-support-scripts: VMAssist",
            "Azure/WALinuxAgent: README (HttpProxy.Host), restutil.py (no proxy for the wire server)",
            "Azure/azure-linux-extensions: VMBackup (HttpUtil.py reads HttpProxy)",
        ),
    ),
)
def guest_proxy(facts: Facts, _rules: Rules) -> Outcome:
    """Whether every proxy of the guest lets the platform's addresses through."""
    if skip := aside(facts):
        return skip
    guest = asked(facts)
    entries = known(guest.proxies)
    scripted = [place for place, address in entries if BY_SCRIPT in place.lower() and address.strip()]
    places = [place for place, address in entries if _is_proxy(place, address)]
    if not places and not scripted:
        return passed("no proxy is set", in_guest(guest, "proxies", "none"))
    row = in_guest(guest, "proxies", f"set in {listing((*places, *scripted))}")
    if faults := list(_proxy_faults(places, entries)):
        return warned("; ".join(what for what, _ in faults), row, remediation=faults[0][1])
    if scripted:
        return unknown("a script chooses the proxy, and what it exempts was not seen", row)
    return passed("the platform's addresses are exempt from every proxy", row)


def _proxy_faults(places: Sequence[str], entries: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What is wrong with the proxies, each with the step against it."""
    caught = ((place, hit) for place in places if (hit := _caught(place, entries)))
    for place, addresses in islice(caught, 1):
        reader = ", which the snapshot extension reads" if SET_BY_HOST in place.lower() else ""
        yield f"{' and '.join(addresses)} not exempt from the proxy of {clip(place, 60)}{reader}", EXEMPT
    logins = [place for place, address in entries if HIDDEN in address and place in places]
    for place in logins[:1]:
        yield f"the proxy of {clip(place, 60)} wants a login", NO_LOGIN


def _is_proxy(place: str, address: str) -> bool:
    others = (*EXEMPTIONS, *IRRELEVANT, BY_SCRIPT)
    return bool(address.strip()) and not any(word in place.lower() for word in others)


def _caught(place: str, entries: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The addresses of the platform that no list exempts from the proxy of this place."""
    own = place.split()[:1]
    exempt = [
        item
        for where, value in entries
        if any(word in where.lower() for word in EXEMPTIONS)
        and (where.split()[:1] == own or SET_BY_HOST in place.lower())
        for item in value.replace(";", ",").replace("|", ",").replace(" ", ",").split(",")
    ]
    return tuple(address for address in PLATFORM if not _exempt(address, exempt))


def _exempt(address: str, items: Iterable[str]) -> bool:
    return any(_covers(item.strip(), address) for item in items)


def _covers(item: str, address: str) -> bool:
    bare = item.partition("://")[2] or item
    if fnmatchcase(address, bare):
        return True
    try:
        return ip_address(address) in ip_network(bare, strict=False)
    except ValueError:
        return False
