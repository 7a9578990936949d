"""What the batches of repairs do to a simulated Windows guest.

A model of their effects, by the SHA-256 of their texts: it runs neither cmd nor PowerShell nor msiexec, and
proves nothing about them. A batch that changes is unknown until its model was looked at again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from auditor.remedy import NOTHING_STATUS, REBOOT_STATUS, REFUSED_STATUS
from auditor.simulator.windows.state import (
    AGENT_FOLDER,
    AUTOMATIC,
    DISABLED,
    GUEST_AGENT,
    MICROSOFT,
    RUNNING,
    SESSION,
    STOPPED,
    VERSIONS,
    WindowsService,
    WindowsState,
    text,
)

PROGRAM = rf"{AGENT_FOLDER}\WaAppAgent.exe"
_SERVICES = {"RdAgent": PROGRAM, "WindowsAzureGuestAgent": GUEST_AGENT}
_MEGABYTE = 1_048_576
_BUSY_LIMIT = 20
_REBOOTS = (
    rf"{VERSIONS}\Component Based Servicing\RebootPending",
    rf"{VERSIONS}\WindowsUpdate\Auto Update\RebootRequired",
)


@dataclass(frozen=True, slots=True)
class Msi:
    """The installer that a guest fetches; its hash is the one that is demanded where none is given."""

    version: str = "2.7.41491.1183"
    sha256: str = ""
    signature: str = "Valid"
    signer: str = "Microsoft Corporation"


@dataclass(frozen=True, slots=True)
class WindowsTrouble:
    """What goes wrong with repairs in one guest.

    msiexec ends `busy` times with 1618, then with `exit_code`. `stuck` services never come up. `unfetched`
    says why the installer cannot be fetched. A work that is `interrupted` ends with a restart of Windows.
    `seconds` is how long a work takes.
    """

    msi: Msi = Msi()
    busy: int = 0
    exit_code: int = 0
    stuck: frozenset[str] = frozenset()
    unfetched: str = ""
    snapshot: bool = False
    interrupted: bool = False
    seconds: float = 0.02


@dataclass(frozen=True, slots=True)
class Scene:
    """What a work finds: the guest, its own arguments, the trouble, and the hash of a file that was sent."""

    state: WindowsState
    arguments: tuple[str, ...]
    trouble: WindowsTrouble
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a work leaves behind: the guest's state, its exit status, what it printed."""

    state: WindowsState
    exit_status: int = 0
    output: str = ""


Effect = Callable[[Scene], Outcome]


def restarted(scene: Scene) -> Outcome:
    """Both services set to start automatically and started; first stopped where the way is "restart"."""
    state = scene.state
    for name in _SERVICES:
        if name not in state.services:
            return Outcome(state, REFUSED_STATUS, f"REFUSED: the service {name} does not exist.")
    if scene.arguments == ("start",) and all(_runs(state, name) for name in _SERVICES):
        return Outcome(state, NOTHING_STATUS, "NOTHING: both services run, and start by themselves.")
    if scene.arguments == ("restart",) and scene.trouble.snapshot:
        return Outcome(state, REFUSED_STATUS, "REFUSED: a snapshot is being taken.")
    return _started(state, scene.trouble, 0)


def installed(scene: Scene) -> Outcome:
    """The agent's MSI fetched, checked and installed."""
    for refusal in _refusals(scene):
        return Outcome(scene.state, REFUSED_STATUS, f"REFUSED: {refusal}.")
    *_, way = scene.arguments
    if way == "clean" and all(_runs(scene.state, name) for name in _SERVICES):
        return Outcome(scene.state, NOTHING_STATUS, "NOTHING: both services run.")
    lost = scene.trouble.unfetched or ("" if scene.arguments[0] or scene.payload else "no file was sent")
    if lost:
        return Outcome(scene.state, 1, f"AUDITOR-FAILED the installer was not fetched: {lost}")
    if problem := _unverified(scene):
        return Outcome(scene.state, REFUSED_STATUS, f"AUDITOR-REFUSED the installer: {problem}")
    if way == "update" and _version(scene.state) == scene.trouble.msi.version:
        return Outcome(scene.state, NOTHING_STATUS, "NOTHING: this version is installed.")
    return _msiexec(_without(scene.state) if way == "clean" else scene.state, scene.trouble)


def _refusals(scene: Scene) -> Iterator[str]:
    state, needed = scene.state, int(scene.arguments[3])
    if any(state.registry.get(key) for key in _REBOOTS):
        yield "a restart of Windows is pending"
    if "\\WindowsAzure\\" in state.registry.get(SESSION, {}).get("PendingFileRenameOperations", ("", ""))[1]:
        yield "files of the agent wait for a restart of Windows"
    if state.services["msiserver"].start == DISABLED:
        yield "the Windows Installer service is disabled"
    if not state.std_reg_prov:
        yield "WMI does not reach the registry"
    if scene.trouble.snapshot:
        yield "volume shadow copies: a snapshot is being taken"
    if state.free < needed * _MEGABYTE:
        yield f"only {state.free // _MEGABYTE} MB are free, {needed} are needed"


def _unverified(scene: Scene) -> str | None:
    source, wanted, publisher, *_ = scene.arguments
    msi = scene.trouble.msi
    found = (msi.sha256 or wanted) if source else scene.payload
    if found != wanted:
        return f"its SHA-256 is {found}"
    if msi.signature != "Valid":
        return f"its signature is {msi.signature}"
    if msi.signer != publisher:
        return f"it is signed by {msi.signer}"
    there = _version(scene.state)
    if there and _numbers(there) > _numbers(msi.version):
        return f"the agent here is newer: {there}, not {msi.version}"
    return None


def _msiexec(state: WindowsState, trouble: WindowsTrouble) -> Outcome:
    code = 1618 if trouble.busy >= _BUSY_LIMIT else trouble.exit_code
    said = "Another installation is under way.\n" * min(trouble.busy, _BUSY_LIMIT)
    if code not in (0, 3010, 1641):
        return Outcome(state, 1, f"{said}FAILED: msiexec ended with {code}; the end of its log stands above.")
    version = trouble.msi.version
    for name, path in _SERVICES.items():
        state = state.with_service(name, WindowsService(image=path)).with_file(path, version)
    key = rf"{MICROSOFT}\Virtual Machine\Guest"
    state = state.with_value(key, "GuestAgentVersion", text(version))
    state = state.with_value(rf"{MICROSOFT}\Windows Azure", "VmId", text(state.vm_id))
    uninstall = rf"{VERSIONS}\Uninstall\{{simulated-agent}}"
    state = state.with_value(uninstall, "DisplayName", text(f"Windows Azure VM Agent - {version}"))
    state = replace(state, certificate=state.certificate or (0, 365))
    return _started(state, trouble, REBOOT_STATUS if code else 0, f"{said}msiexec ended with {code}.\n")


def _started(state: WindowsState, trouble: WindowsTrouble, status: int, said: str = "") -> Outcome:
    stuck = []
    for name in _SERVICES:
        service = state.services[name]
        fails = name in trouble.stuck or service.image not in state.files
        stuck += [name] if fails else []
        changed = replace(service, start=AUTOMATIC, state=STOPPED if fails else RUNNING)
        state = state.with_service(name, changed)
    if status:
        return Outcome(state, status, f"{said}Windows has to be restarted to finish the installation.")
    if stuck:
        return Outcome(state, 1, f"{said}FAILED: {stuck[0]} did not come up within two minutes.")
    return Outcome(state, 0, f"{said}Both services run, and start by themselves.")


def _without(state: WindowsState) -> WindowsState:
    return (
        state.with_service("RdAgent", None)
        .with_service("WindowsAzureGuestAgent", None)
        .without_files(AGENT_FOLDER)
    )


def _runs(state: WindowsState, name: str) -> bool:
    service = state.services.get(name)
    return service is not None and (service.start, service.state) == (AUTOMATIC, RUNNING)


def _version(state: WindowsState) -> str | None:
    service = state.services.get("RdAgent")
    return state.files.get(service.image) if service else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


EFFECTS: Mapping[str, Effect] = {
    "f558b94e89183ac9e396895f3f5d86a836a9f3f2faee5d1ee0a32758fb8119e5": restarted,
    "aab49fe4f6afff14c95c95952d44a854beff24b7a2bae3a6a1e1a662fcdf950a": installed,
}
"""What each known work does, by its `digest`."""
