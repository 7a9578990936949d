"""The Linux agent's package, by the distribution's own package manager."""

from auditor.facts import Guest, GuestAgent, Package, Python, Unseen
from auditor.plugin import Repair, remediation
from auditor.remedy import Action, Answer, Case, Manual, Nothing, Payload, Remedy, Risk, Work
from remediations.linux_guest import agent_of, linux_guest, no_room, sound, work

LIMIT = 1800.0
SCRIPTS = ("linux_deb", "linux_rpm", "linux_package")
SOURCE = Manual(
    "the agent belongs to no package: it was installed from source, and a package beside it would clash",
    "Remove that installation the way it was made, without its folder /var/lib/waagent, then install the "
    "distribution's package and plan again; or keep it up to date by hand.",
)
NO_ROOM = Manual(
    "there is too little free disk for a package",
    "Free some space (guest-disk-space says where), and plan again.",
)
NO_PYTHON = Manual(
    "the Python of the system is missing or broken, and this tool does not touch the system's own Python",
    "Reinstall the distribution's python3 (RHEL: platform-python) by its package manager, then plan again.",
)
OLD_PYTHON = Manual(
    "the Python of the system is too old for the agent, and this tool does not touch the system's own Python",
    "Upgrade the distribution.",
)
NOTHING_NEWER = Manual(
    "the guest's package sources, as it last read them, offer no newer agent than the one that is there",
    "Switch the agent's own update on (linux-agent-config, agent-auto-update), renew the package lists if "
    "they are old, or send a newer package of the distribution (--linux-package).",
)


@remediation(
    "linux-agent",
    title="Install or repair the Linux agent's package",
    repairs=("vm-agent-installed", "agent-service", "linux-python"),
    explanation=Repair(
        what="Puts the agent's package right by apt, dnf, yum, zypper or tdnf, and its service with it: "
        "unmasked, enabled, running. Where only the service is masked, disabled or stopped, the package is "
        "left alone.",
        why="A missing, damaged or half-installed agent takes no snapshots. The distribution's own package "
        "is the one that its updates and its Python fit.",
        how="Package and unit go by the guest's own names (Debian: waagent with walinuxagent.service). Other "
        "package managers are waited for. A damaged agent is installed again, since a plain install would do "
        "nothing. An interrupted configuration is ended; the folder of an earlier agent, which Debian's "
        "package stumbles over, goes aside and comes back. A first install starts nothing before it is "
        "marked as provisioned, so that no host keys are made anew. A file sent by --linux-package is "
        "installed instead, after its SHA-256, its name and its version were checked in the guest; it need "
        "not be signed.",
        undo="None: taking the package out again would delete the state of the extensions.",
        never="It never removes or purges a package, and refuses where the package manager would (Debian's "
        "waagent conflicts with network-manager), or would replace one by the agent. It changes no "
        "configuration file that is there, installs nothing older, leaves installations from source and the "
        "system's Python alone, and does not touch a guest whose disk is full or read-only, whose dpkg was "
        "interrupted with other packages, or whose file systems are being frozen.",
        sources=(
            "Debian package waagent 2.7.3.0-4.1 (postinst, postrm, conflicts)",
            "Microsoft Learn: Azure Linux VM Agent overview (installation by the distribution's packages)",
            "Azure/WALinuxAgent: README (Provisioning, /var/lib/waagent/provisioned)",
            "apt-get(8): --reinstall, --no-remove; dpkg(1): --force-confold",
        ),
    ),
)
def linux_agent(case: Case) -> Answer:
    """The package and its service, as far as they are wrong."""
    guest = linux_guest(case)
    if isinstance(guest, Nothing):
        return guest
    if isinstance(guest.agent, Unseen):
        return Nothing(f"the agent was not seen: {guest.agent.reason}")
    agent = guest.agent
    if agent is None:
        return NO_ROOM if no_room(case, guest) else Remedy((_install(case, guest),))
    if agent.origin == "source":
        return SOURCE
    return _present(case, guest, agent)


def _present(case: Case, guest: Guest, agent: GuestAgent) -> Answer:
    if manual := _python_problem(case, guest):
        return manual
    action = _needed(case, guest, agent)
    if action is None:
        return Nothing("the agent's package is whole, and its service runs and starts at boot")
    mends_package = action.risk is not Risk.LOW
    return NO_ROOM if mends_package and no_room(case, guest) else Remedy((action,))


def _needed(case: Case, guest: Guest, agent: GuestAgent) -> Action | None:
    if agent.origin == "package" and agent.package is None:
        return _finish(case, guest)
    if not sound(guest, agent) or agent.unit is None or (agent.active or "").lower() == "not-found":
        return _reinstall(case, guest, agent)
    if case.bad("agent-service"):
        return _wake(case, guest, agent)
    if agent.problem and agent.timed_out:
        return None
    return _reinstall(case, guest, agent) if case.bad("linux-python") else None


def _python_problem(case: Case, guest: Guest) -> Manual | None:
    if not case.bad("linux-python"):
        return None
    python = guest.python
    if not isinstance(python, Python) or python.version is None:
        return NO_PYTHON
    if python.imports_agent is not False and not python.problem:
        return OLD_PYTHON
    return None


def _wake(case: Case, guest: Guest, agent: GuestAgent) -> Action:
    state = " and ".join(word for word in (agent.active, agent.enabled) if word)
    return Action(
        what=f"unmask, enable and start the service {agent.unit}; the package is left alone",
        why=f"the agent's program is sound, and its service is {state}",
        act=_work(case, guest, "wake"),
        expect=_running(guest),
    )


def _install(case: Case, guest: Guest) -> Action:
    payload = _payload(case, guest)
    return Action(
        what=f"install the agent's package {_source(guest, payload)}, unmask and enable its service"
        + ("" if _later(guest) else ", and start it"),
        why="the guest has no VM agent",
        act=_work(case, guest, "install", payload),
        expect=f"the package is installed, no other one removed; {_running(guest)}",
        risk=Risk.MEDIUM,
    )


def _finish(case: Case, guest: Guest) -> Action:
    payload = _payload(case, guest)
    return Action(
        what="end the interrupted installation of the agent's package; /var/lib/waagent goes aside and comes "
        "back where the package stumbles over it; unmask, enable and start its service",
        why="the package manager was interrupted with the agent's package, which is not whole",
        act=_work(case, guest, "install", payload),
        expect=f"the package is installed, /var/lib/waagent has its content; {_running(guest)}",
        risk=Risk.MEDIUM,
    )


def _reinstall(case: Case, guest: Guest, agent: GuestAgent) -> Action:
    payload = _payload(case, guest)
    python = guest.python.problem if isinstance(guest.python, Python) else None
    problem = agent.problem or python or "part of its package is missing"
    return Action(
        what=f"install the agent's package over itself {_source(guest, payload)}; its configuration and its "
        "state stay; unmask, enable and start its service",
        why=f"the agent does not start as it is: {problem}",
        act=_work(case, guest, "reinstall", payload),
        expect=f"the agent tells its version; {_running(guest)}",
        risk=Risk.MEDIUM,
    )


@remediation(
    "agent-update",
    title="Update the Linux agent's package",
    repairs=("vm-agent-version",),
    explanation=Repair(
        what="Installs the newer version of the agent's package that the guest's package sources offer, or "
        "the one sent by --linux-package, in place.",
        why="Backups fail with agents below the floor, and Microsoft gives no help below the support floor.",
        how="By the distribution's package manager, with the same gates as linux-agent; the agent is "
        "restarted and has to stay up. Windows agents are updated by windows-agent.",
        undo="None: an older agent is not put back.",
        never="It installs nothing older, removes nothing, and changes no configuration file. It says so "
        "where the distribution offers nothing newer.",
        sources=(
            "Microsoft Learn: Update the Azure Linux Agent",
            "Microsoft support: Minimum version support for VM agents in Azure",
        ),
    ),
)
def agent_update(case: Case) -> Answer:
    """A newer package, where one is known or may be."""
    guest = linux_guest(case)
    if isinstance(guest, Nothing):
        return guest
    agent = agent_of(guest)
    if agent is None:
        return Nothing("no agent was found that could be updated")
    if agent.origin == "source":
        return SOURCE
    if agent.package is None:
        return Nothing("the agent's package is not whole, which comes first")
    return _newer(case, guest, agent)


def _newer(case: Case, guest: Guest, agent: GuestAgent) -> Answer:
    if no_room(case, guest):
        return NO_ROOM
    payload = _payload(case, guest)
    if payload is None and _newest(guest, agent):
        return NOTHING_NEWER
    return Remedy((_update(case, guest, agent, payload),))


def _newest(guest: Guest, agent: GuestAgent) -> bool:
    """Whether the package lists of the guest name no other version than the one that is there."""
    offered = guest.installable
    if isinstance(offered, Unseen):
        return False
    return offered is None or offered.version == agent.package_version


def _update(case: Case, guest: Guest, agent: GuestAgent, payload: Payload | None) -> Action:
    return Action(
        what=f"update the package {agent.package} {_source(guest, payload)}, and restart the agent",
        why=f"the version {agent.package_version or agent.daemon_version} is below the floor",
        act=_work(case, guest, "update", payload),
        expect=f"a newer version than {agent.package_version or agent.daemon_version}; {_running(guest)}",
        risk=Risk.MEDIUM,
    )


def _work(case: Case, guest: Guest, mode: str, payload: Payload | None = None) -> Work:
    start = "later" if _later(guest) else "start"
    room = str(int(case.rules.number("disk-floor-megabytes")))
    return work(*SCRIPTS, arguments=(mode, start, room), limit=LIMIT, payload=payload)


def _source(guest: Guest, payload: Payload | None) -> str:
    if payload is not None:
        return f"from the file {payload.path} ({payload.size} bytes, SHA-256 {payload.sha256})"
    if isinstance(guest.installable, Package):
        offered = guest.installable
        return f"by {offered.manager} ({offered.name} {offered.version or ''}".rstrip() + ", or newer)"
    return "by the guest's package manager"


def _payload(case: Case, guest: Guest) -> Payload | None:
    """The file that the user gave, where it is of the guest's kind, as far as that is known."""
    given = case.options.linux_package
    if given is None or not isinstance(guest.installable, Package):
        return given
    debian = guest.installable.manager == "apt"
    return given if given.path.lower().endswith(".deb" if debian else ".rpm") else None


def _later(guest: Guest) -> bool:
    """Whether the agent is to start in Azure, and the guest is not there yet."""
    return guest.on_azure_host is False


def _running(guest: Guest) -> str:
    return (
        "its service is enabled, and starts in Azure" if _later(guest) else "its service is enabled and runs"
    )
