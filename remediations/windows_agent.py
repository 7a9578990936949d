"""The Windows agent from its MSI: over what is there, or after what is there was put aside."""

import re
from collections.abc import Callable

from auditor.facts import Disk, Guest, Unseen, WindowsSetup
from auditor.plugin import Repair, remediation
from auditor.remedy import (
    Action,
    AgentInstaller,
    Answer,
    Case,
    Manual,
    Nothing,
    Remedy,
    RepairOptions,
    Risk,
    Work,
)
from remediations.windows_guest import UNHEARD, agent_of, deaf, halted, lost, windows_guest, work

LIMIT = 2400.0
PROCESSORS = ("AMD64", "ARM64")
AGAIN = ", and plan again."
HAND = (
    "Download the MSI for the guest's processor from the releases of Azure/WindowsVMAgent and run msiexec /i."
)

NO_INSTALLER = Manual(
    "no installer of the Windows agent was given",
    "Plan again with --windows-agent URL|FILE and --windows-agent-sha256 (the MSI of a release of "
    "Azure/WindowsVMAgent, for the guest's processor), or install it by hand.",
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"https://[A-Za-z0-9.-]+(?::\d+)?/[A-Za-z0-9._~/+,;=?&:@()-]*")
_SHARE = re.compile(r"\\\\[A-Za-z0-9._-]+(?:\\[A-Za-z0-9 ._~()$-]+)+")
_PUBLISHER = re.compile(r"[A-Za-z0-9 .,&()'-]{1,100}")
_SECRET = re.compile(r"[?&;](?:sig|token|code|x-amz-signature)=", re.IGNORECASE)

_SOURCES = (
    "Microsoft support: Troubleshoot the Azure Windows VM agent (reinstall, sc delete, StdRegProv)",
    "Azure/WindowsVMAgent: releases, one MSI per processor",
    "Microsoft Learn: msiexec, exit codes 1618, 1641 and 3010",
)
_HOW = (
    "A task of SYSTEM fetches the MSI (an https URL through the guest's proxy, a share, or the file that "
    "this program sends), checks its SHA-256 and its publisher's signature in a folder that only SYSTEM and "
    "Administrators may write, and runs msiexec /qn /norestart with a log right after it. "
)


@remediation(
    "windows-agent",
    title="Install the Windows VM agent",
    repairs=("vm-agent-installed", "vm-agent-version", "agent-service", "vm-agent-ready"),
    explanation=Repair(
        what="Installs the agent's MSI where there is no agent, over an older one, and over the same version "
        "where a service or its program is missing, does not start, or stays unheard after a restart.",
        why="The MSI brings both services and their programs; none of them is to be registered by hand.",
        how=_HOW
        + "Another installation that is under way (1618) is waited for, ten minutes at most. Then both "
        "services are set to start automatically, and have two minutes to run.",
        undo="None: an older agent is not put back. msiexec itself takes back an installation that fails.",
        never="It installs nothing while a restart of Windows is pending, a snapshot is being taken, WMI "
        "does not answer, the installer service is disabled or the disk is nearly full; nothing that is "
        "older than what is there, for another processor, or not signed by the publisher. It restarts "
        "Windows only with --allow-reboot.",
        sources=_SOURCES,
    ),
)
def windows_agent(case: Case) -> Answer:
    """The MSI over what is there, where that may help."""
    return _proposed(case, _need, _install)


@remediation(
    "windows-agent-clean",
    title="Install the Windows VM agent after putting the old one aside",
    repairs=("agent-service", "vm-agent-ready"),
    opt_in=True,
    explanation=Repair(
        what="Stops and deletes both services, moves C:\\WindowsAzure\\Packages and GuestAgent* aside, and "
        "installs the MSI: the last way, for an agent that no installation over it mends.",
        why="An agent that provisioning brought is unknown to Windows Installer, and a damaged registration "
        "of its services survives every installation over it.",
        how=_HOW + "The installer is checked before anything goes. In a guest whose services run by then it "
        "does nothing.",
        undo="Not by this program. The files and the services' registry keys are kept in the step's folder "
        "below C:\\ProgramData\\FleetAuditor.",
        never="It deletes no file, and no service that does not stop, and is never proposed where no agent "
        "was found.",
        sources=_SOURCES,
    ),
)
def windows_agent_clean(case: Case) -> Answer:
    """The MSI after the old agent went, where one is there that does not work."""
    return _proposed(case, _clean_need, _replace)


def _proposed(
    case: Case,
    need: Callable[[Case, Guest], str | Manual | Nothing],
    action: Callable[[Case, Guest, str, AgentInstaller], Action],
) -> Answer:
    guest = windows_guest(case)
    if isinstance(guest, Nothing):
        return guest
    why = need(case, guest)
    if not isinstance(why, str):
        return why
    if bar := _bar(case, guest):
        return bar
    installer = case.options.windows_agent
    if installer is None:
        return NO_INSTALLER
    if problem := _unusable(installer):
        return Manual(problem, "Give another --windows-agent, or install the agent by hand. " + HAND)
    return Remedy((action(case, guest, why, installer),))


# ---- whether it is needed ------------------------------------------------------------------------


def _need(case: Case, guest: Guest) -> str | Manual | Nothing:
    if isinstance(guest.agent, Unseen):
        return Nothing(f"the agent was not seen: {guest.agent.reason}")
    agent = agent_of(guest)
    if agent is None:
        return "the guest has no agent"
    if broken := lost(agent) or halted(agent):
        return broken
    if old := case.bad("vm-agent-version"):
        return old[0].summary
    if case.bad("vm-agent-ready"):
        return UNHEARD if deaf(case) else "both services run, but Azure hears nothing fresh from the agent"
    return Nothing("the agent is there, recent enough, and runs")


def _clean_need(_case: Case, guest: Guest) -> str | Manual | Nothing:
    agent = agent_of(guest)
    if agent is None:
        return Nothing("no agent was found that could be put aside")
    return lost(agent) or halted(agent) or Nothing("both services run, and start by themselves")


# ---- whether it may be ---------------------------------------------------------------------------


def _bar(case: Case, guest: Guest) -> Manual | None:
    """What stands in the way for certain; the guest looks again before it begins."""
    processor = (guest.architecture or "").upper()
    if processor not in PROCESSORS:
        return Manual(
            f"the agent is for {' and '.join(PROCESSORS)}, and the guest is {processor or 'not known'}",
            "Move the machine to a 64-bit Windows.",
        )
    floor = case.rules.number("windows-disk-low-megabytes")
    if isinstance(guest.disk, Disk) and guest.disk.free < floor * 1_048_576:
        return Manual(f"less than {floor:g} MB are free on {guest.disk.path}", f"Free some space{AGAIN}")
    return _setup_bar(guest.windows) if isinstance(guest.windows, WindowsSetup) else None


def _setup_bar(setup: WindowsSetup) -> Manual | None:
    if setup.std_reg_prov is False:
        return Manual(
            "WMI does not reach the registry (StdRegProv): the agent's MSI would fail with error 1722",
            f"Repair WMI (winmgmt /verifyrepository, then /salvagerepository){AGAIN}",
        )
    marks = setup.pending_reboot if isinstance(setup.pending_reboot, tuple) else ()
    if due := [mark for mark in marks if mark in ("component servicing", "Windows Update")]:
        return Manual(f"a restart of Windows is pending ({', '.join(due)})", f"Restart the guest{AGAIN}")
    named = setup.services if isinstance(setup.services, tuple) else ()
    if any(one.name.lower() == "msiserver" and one.start == "disabled" for one in named):
        return Manual(
            "the Windows Installer service is disabled",
            f"Run sc config msiserver start= demand{AGAIN}",
        )
    return None


def _unusable(installer: AgentInstaller) -> str | None:
    """Why a guest cannot be given this installer, or None."""
    if not _SHA256.fullmatch(installer.sha256.lower()):
        return "the installer's SHA-256 is none (64 hexadecimal digits are wanted)"
    if not _PUBLISHER.fullmatch(installer.publisher):
        return f"{installer.publisher!r} cannot be the publisher that a guest looks for"
    if installer.payload is not None:
        return None
    if "@" in installer.source.partition("?")[0] or _SECRET.search(installer.source):
        return "the installer's URL holds a secret, which every reader of the plan would see"
    if _URL.fullmatch(installer.source) or _SHARE.fullmatch(installer.source):
        return None
    return "the installer is neither an https URL without escapes (%), nor a share (\\\\server\\share\\file)"


# ---- what is done --------------------------------------------------------------------------------


def _install(case: Case, guest: Guest, why: str, installer: AgentInstaller) -> Action:
    agent = agent_of(guest)
    sound = agent is not None and not (lost(agent) or halted(agent))
    way = "update" if sound and case.bad("vm-agent-version") else "over"
    return Action(
        what=f"install the agent's MSI from {_origin(installer)}",
        why=why,
        act=_work(case, installer, way),
        expect="RdAgent and WindowsAzureGuestAgent run and start automatically, in the version of the MSI",
        risk=Risk.MEDIUM,
        reboot=case.options.allow_reboot,
    )


def _replace(case: Case, _guest: Guest, why: str, installer: AgentInstaller) -> Action:
    return Action(
        what="stop and delete the agent's services, put its files aside, and install the agent's MSI from "
        f"{_origin(installer)}",
        why=f"{why}, and an installation over it did not mend that",
        act=_work(case, installer, "clean"),
        expect="RdAgent and WindowsAzureGuestAgent run and start automatically, in the version of the MSI",
        risk=Risk.HIGH,
        reboot=case.options.allow_reboot,
    )


def _work(case: Case, installer: AgentInstaller, way: str) -> Work:
    return work(
        "windows_agent",
        "" if installer.payload else installer.source,
        installer.sha256.lower(),
        installer.publisher,
        f"{case.rules.number('windows-disk-low-megabytes'):.0f}",
        _reboot(case.options),
        way,
        scripts=("windows_agent",),
        limit=LIMIT,
        payload=installer.payload,
    )


def _reboot(options: RepairOptions) -> str:
    return "reboot" if options.allow_reboot else "stay"


def _origin(installer: AgentInstaller) -> str:
    return f"{installer.payload.path} (sent into the guest)" if installer.payload else installer.source
