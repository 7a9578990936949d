"""What the remediations of Windows guests share: the guest, its services, and batches as work."""

from functools import cache
from importlib import resources

from auditor.facts import Guest, GuestAgent, Service, Unseen
from auditor.hosts import Shell
from auditor.model import Platform, Status
from auditor.remedy import Case, Manual, Nothing, Payload, Work

SERVICES = ("RdAgent", "WindowsAzureGuestAgent")
UNHEARD = Manual(
    "the guest does not reach 168.63.129.16, so Azure would not hear the agent either",
    "Let the guest reach 168.63.129.16 on ports 80 and 32526: look at its firewall, its routes and its "
    "network; wire-server and guest-firewall say what is in the way.",
)
_FINE = ("running", "start-pending")
_AUTOMATIC = ("automatic", "delayed")


def windows_guest(case: Case) -> Guest | Nothing:
    """The guest, where it is a Windows that was seen."""
    guest = case.facts.guest
    if isinstance(guest, Unseen):
        return Nothing(f"the guest was not seen: {guest.reason}")
    if guest.platform.lower() != Platform.WINDOWS:
        return Nothing("for Windows only")
    return guest


def agent_of(guest: Guest) -> GuestAgent | None:
    """The agent that was found in the guest; None also where it was not seen."""
    return guest.agent if isinstance(guest.agent, GuestAgent) else None


def services(agent: GuestAgent) -> dict[str, Service]:
    """The agent's required services that exist, by their own names."""
    found = {service.name.lower(): service for service in agent.services}
    return {name: found[name.lower()] for name in SERVICES if name.lower() in found}


def lost(agent: GuestAgent) -> str | None:
    """What of the agent no restart brings back, or None."""
    there = services(agent)
    for name in SERVICES:
        if name not in there:
            return f"the service {name} does not exist"
        if there[name].present is False:
            return f"the program of {name} is missing"
    return None


def halted(agent: GuestAgent) -> str | None:
    """Which services do not run, or would not at the next start of Windows; None where all is well."""
    said = []
    for name, service in services(agent).items():
        if service.state is not None and service.state not in _FINE:
            said.append(f"{name} is {service.state}")
        elif service.start is not None and service.start not in _AUTOMATIC:
            said.append(f"{name} starts {service.start}")
    return "; ".join(said) or None


def deaf(case: Case) -> bool:
    """Whether the guest is known not to reach the wire server."""
    found = case.findings.get("wire-server")
    return found is not None and found.status is Status.FAIL


def work(
    name: str, *arguments: str, scripts: tuple[str, ...] = (), limit: float, payload: Payload | None = None
) -> Work:
    """A batch of this folder with the services' part behind it, and the PowerShell scripts that it calls."""
    parts = [_text(f"{name}.cmd"), _text("windows_services.cmd")]
    parts += [f"::file {script}.ps1\n{_text(f'{script}.ps1')}" for script in scripts]
    return Work(Shell.CMD, "".join(parts), arguments, limit=limit, payload=payload)


@cache
def _text(file: str) -> str:
    return (resources.files(__package__) / file).read_text(encoding="ascii")
