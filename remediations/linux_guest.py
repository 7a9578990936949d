"""What the remediations of Linux guests share: the guest, and scripts as work with its gates."""

from functools import cache
from importlib import resources

from auditor.facts import Disk, Guest, GuestAgent, Unseen
from auditor.hosts import Shell
from auditor.model import Platform, Status
from auditor.remedy import Case, Nothing, Payload, Work


def linux_guest(case: Case) -> Guest | Nothing:
    """The guest, where it is a Linux that was seen."""
    guest = case.facts.guest
    if isinstance(guest, Unseen):
        return Nothing(f"the guest was not seen: {guest.reason}")
    if guest.platform.lower() != Platform.LINUX:
        return Nothing("for Linux only")
    return guest


def agent_of(guest: Guest) -> GuestAgent | None:
    """The agent that was found in the guest; None also where it was not seen."""
    return guest.agent if isinstance(guest.agent, GuestAgent) else None


def sound(guest: Guest, agent: GuestAgent) -> bool:
    """Whether nothing that the guest shows speaks against the agent's program."""
    if agent.path is None or (agent.problem and not agent.timed_out):
        return False
    return isinstance(guest.python, Unseen) or guest.python is None or guest.python.imports_agent is not False


def failing(case: Case, check: str) -> bool:
    """Whether this check failed, and did not just warn."""
    found = case.findings.get(check)
    return found is not None and found.status is Status.FAIL


def no_room(case: Case, guest: Guest) -> bool:
    """Whether the file system of the agent's folder is known to be as good as full."""
    floor = case.rules.number("disk-floor-megabytes") * 1_000_000
    return isinstance(guest.disk, Disk) and guest.disk.free < floor


def work(
    *scripts: str, arguments: tuple[str, ...] = (), limit: float = 300.0, payload: Payload | None = None
) -> Work:
    """Scripts of this folder as one: their `gates` first, as the guard and once more, then their `act`."""
    body = "\n".join(_script(name) for name in ("linux_words", *scripts))
    guard = f'{body}\ngates "$@"'
    return Work(Shell.SH, f'{guard}\nact "$@"', arguments, guard, limit, payload)


@cache
def _script(name: str) -> str:
    return (resources.files(__package__) / f"{name}.sh").read_text(encoding="utf-8")
