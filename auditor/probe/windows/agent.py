"""The Azure agent, as the guest shows it."""

from collections.abc import Sequence

from auditor.facts import Certificate, GuestAgent, LogTail, Service, Unseen
from auditor.probe import readers
from auditor.probe.readers import Malformed
from auditor.probe.windows.heard import Heard
from auditor.probe.windows.registry import Sections
from auditor.text import one_line

SERVICES = ("RdAgent", "WindowsAzureGuestAgent")


def agent(heard: Heard) -> GuestAgent | Unseen | None:
    """The agent; None where the guest was searched and has neither its services nor its files."""
    registry = heard.registry
    found = {name: heard.service(name) for name in SERVICES}
    # a service that could not be read is no service that does not exist
    services = tuple(
        Service(name) if isinstance(service, Unseen) else service
        for name, service in found.items()
        if service is not None
    )
    files = registry.of("files")
    if isinstance(files, Unseen):
        return files
    hidden = [service for service in found.values() if isinstance(service, Unseen)]
    if len(hidden) == len(services) and not files:
        return hidden[0] if hidden else None
    main = found["RdAgent"]
    service = main if isinstance(main, Service) else None
    version, problem = _version(heard, main)
    goal_state = registry.value("agent", "GuestAgentVersion")
    return GuestAgent(
        path=(service.path if service else None) or _file(files),
        daemon_version=version,
        goal_state_version=readers.text(goal_state),
        unit=service.name if service else None,
        active=service.state if service else None,
        enabled=service.start if service else None,
        problem=problem,
        origin=_origin(registry),
        services=services,
    )


def _version(heard: Heard, service: Service | Unseen | None) -> tuple[str | None, str | None]:
    """The version of WaAppAgent.exe, or why there is none."""
    if not isinstance(service, Service):
        return None, None if isinstance(service, Unseen) else "the service RdAgent does not exist"
    program = heard.program("RdAgent")
    if isinstance(program, Unseen):
        return None, f"the version of WaAppAgent.exe was not seen: {program.reason}"
    version = readers.text(program.get("version"))
    if version is None and program.get("present") is False:
        return None, f"the program of RdAgent is missing: {readers.text(program.get('path')) or 'no path'}"
    return version, None if version else "WaAppAgent.exe shows no version"


def _file(files: Sequence[str]) -> str | None:
    named = [line.strip() for line in files if line.strip().lower().endswith("\\waappagent.exe")]
    return one_line(named[-1], 400) if named else None


def _origin(registry: Sections) -> str | None:
    """An MSI leaves its name among the installed programs; an agent from provisioning has none there."""
    lines = registry.of("msi")
    if isinstance(lines, Unseen):
        return None
    return "msi" if any("Windows Azure VM Agent" in line for line in lines) else "provisioned"


def snapshot_extension(registry: Sections) -> tuple[str, ...] | Unseen:
    """The versions of the backup extension that were unpacked on the system drive."""
    folders = registry.folders("snapshot")
    if isinstance(folders, Unseen):
        return folders
    versions = tuple(name for name in folders if name[:1].isdigit())
    if folders and not versions:
        return Unseen(f"the folder of the extension could not be listed: {one_line(' '.join(folders))}")
    return tuple(one_line(version, 60) for version in versions[: readers.ITEMS])


def certificate(value: object) -> Certificate:
    """A certificate: {"subject", "not_before", "not_after"}, times in seconds since 1970."""
    fields = readers.mapping(value)
    begin, end = readers.instant(fields.get("not_before")), readers.instant(fields.get("not_after"))
    if begin is None or end is None:
        raise Malformed
    return Certificate(readers.word(fields.get("subject")), begin, end)


def log_tail(value: object) -> LogTail:
    """The end of a log: {"path", "changed", "lines"}."""
    fields = readers.mapping(value)
    lines = tuple(line for line in readers.items(fields.get("lines"), readers.log_line) if line)
    return LogTail(readers.word(fields.get("path")), lines, readers.instant(fields.get("changed")))
