"""Who a guest is, and why one may not be touched: an address that is out of date leads into a stranger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from uuid import UUID

from auditor.facts import Facts, Guest, Mismatch, Unseen, same_id
from auditor.model import RUN_COMMAND, SSH, WINRM, Machine, Platform
from auditor.remedy import Identity

NO_WAY = "no way into this guest"
CONNECT = "give it a connection in the hosts file, or a rule of --connections"


@dataclass(frozen=True, slots=True)
class Barred:
    """Why this tool does not touch a guest, and what a person does."""

    reason: str
    how: str


def identity(facts: Facts) -> Identity:
    """Who the guest says it is; nothing where it was not seen."""
    guest = facts.guest
    if isinstance(guest, Unseen):
        return Identity()
    return Identity(_text(guest.vm_id), _text(guest.firmware_id), guest.hostname)


def azure_identity(facts: Facts) -> Identity:
    """Who the machine is to Azure, for steps that never enter the guest."""
    return Identity(None if isinstance(facts.model, Unseen) else facts.model.vm_id)


def barred(facts: Facts) -> Barred | None:
    """Why no step can be sent into this guest, or None: no way in, no rights, or no proof of who it is."""
    return _without_way(facts.machine) or _behind(facts)


def _without_way(machine: Machine) -> Barred | None:
    connection = machine.connection
    if machine.left_out:
        return Barred("the connections file leaves this guest out", "take its rule back to have it repaired")
    if machine.unreachable:
        return Barred(f"{NO_WAY}: {machine.unreachable}", CONNECT)
    if connection is None:
        return Barred(f"{NO_WAY}: no guest connection is configured for this machine", CONNECT)
    if connection.transport not in (SSH, WINRM):
        return Barred("only Run Command leads into this guest, which rests on the agent itself", CONNECT)
    return None


def _behind(facts: Facts) -> Barred | None:
    """What was found behind the way in."""
    if isinstance(facts.guest, Unseen):
        return Barred(f"{NO_WAY}: {facts.guest.reason}", "mend the connection, and plan again")
    if facts.guest.transport == RUN_COMMAND:
        return Barred("only Run Command led into this guest, which rests on the agent itself", CONNECT)
    return _without_rights(facts.guest) or _unproven(facts, facts.guest)


def _without_rights(guest: Guest) -> Barred | None:
    if guest.privileged:
        return None
    if guest.platform == Platform.WINDOWS:
        return Barred(
            "the account is no administrator of this guest", "sign in with one that is, and plan again"
        )
    return Barred(
        "the account is not root in this guest, and sudo gives it no shell without a password",
        "sign in as root, allow sudo, or name a sudo_password for this guest, and plan again",
    )


def _unproven(facts: Facts, guest: Guest) -> Barred | None:
    """A VM of Azure proves itself by its id; any other machine by its pinned key or certificate."""
    if not facts.machine.in_azure:
        return None
    if isinstance(facts.model, Unseen) or not facts.model.vm_id:
        return Barred(
            "nobody told the id of this VM, so its guest cannot be proven to be it",
            "plan with --azure, and an identity that may read the VM",
        )
    shown = [one for one in (_text(guest.vm_id), _text(guest.firmware_id)) if one]
    if any(same_id(one, facts.model.vm_id) for one in shown):
        return None
    return Barred(
        "the guest shows no id, so it cannot be proven to be this VM",
        "see why neither the metadata service nor the board tells one, or repair it by hand",
    )


def refusals(seen: Sequence[Facts]) -> dict[str, Barred]:
    """The machines whose guests are others than was meant: by id, each with the reason."""
    found = {
        facts.machine.id: Barred(facts.guest.reason, "correct the address, and plan again")
        for facts in seen
        if isinstance(facts.guest, Mismatch)
    }
    for one, other, reason in (*_same_guest(seen), *_swapped(seen)):
        found.setdefault(one.id, Barred(reason.format(other.name), _CORRECT))
        found.setdefault(other.id, Barred(reason.format(one.name), _CORRECT))
    return found


_CORRECT = "correct the hosts file (names, addresses, azure_id), and plan again"


def _same_guest(seen: Sequence[Facts]) -> Iterable[tuple[Machine, Machine, str]]:
    """Pairs of machines that lead into one guest: by id and name, as clones may share an id."""
    known: dict[tuple[str, str | None], Machine] = {}
    for facts in seen:
        who = identity(facts)
        ids = {_uuid(one) for one in (who.vm_id, who.firmware_id) if one} - {None}
        for key in ((one, who.hostname) for one in ids if one):
            first = known.setdefault(key, facts.machine)
            if first.id != facts.machine.id:
                yield first, facts.machine, "its guest shows the same id and name as the guest of {}"


def _swapped(seen: Sequence[Facts]) -> Iterable[tuple[Machine, Machine, str]]:
    """Pairs outside Azure where the guest of one goes by the name of the other."""
    plain = [facts for facts in seen if not facts.machine.in_azure]
    entries = {name: facts.machine for facts in plain for name in _names(facts.machine.name)}
    for facts in plain:
        guest = facts.guest
        if isinstance(guest, Unseen) or not guest.hostname or _named(facts.machine, guest.hostname):
            continue
        for name in _names(guest.hostname):
            if name in entries and entries[name].id != facts.machine.id:
                words = "two addresses look swapped: a guest goes by the name of another entry (with {})"
                yield facts.machine, entries[name], words
                break


def _named(machine: Machine, hostname: str) -> bool:
    return bool(_names(machine.name) & _names(hostname))


def _names(name: str) -> set[str]:
    """The name whole and without its domain; an address has one form only."""
    whole = name.strip().casefold()
    try:
        ip_address(whole)
    except ValueError:
        return {whole, whole.partition(".")[0]}
    return {whole}


def _uuid(text: str) -> str | None:
    """A comparable id; boards without one show zeros, ones or words, and some reverse the byte order."""
    try:
        found = UUID(text.strip())
    except ValueError:
        return None
    return None if found.int in (0, 2**128 - 1) else min(str(found), str(UUID(bytes=found.bytes_le)))


def _text(fact: str | Unseen | None) -> str | None:
    return fact if isinstance(fact, str) and fact.strip() else None
