"""What agent and snapshot want of Windows: its certificate, its components, its shadow copies."""

from collections.abc import Iterator

from auditor.facts import Certificate, Facts, Guest, Service, Unseen, Vss, WindowsSetup, Writer, known
from auditor.model import Evidence, Outcome, Plane, Platform
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.asked import GUEST_PLANES, NO_AGENT, aside, asked
from checks.evidence import clip, in_guest, listing

RENEW = "Deallocate and start the VM: Azure then gives it a new certificate."
ENABLE = "Set the start type of this service back to manual or automatic."
RESTART_WRITERS = "Restart the services behind these writers, or the guest in its maintenance window."
INSTALL_DOTNET = "Install .NET Framework 4.5 or newer."
REPAIR_WMI = "Repair WMI (winmgmt /verifyrepository, then /salvagerepository) before installing an agent."
STRENGTHEN = "Set SchUseStrongCrypto to 1 for every .NET Framework of the guest, both 64-bit and 32-bit."
REBOOT = "Restart the guest in its maintenance window, and before an agent is installed."
STABLE, FIRST_FAILED = 1, 6


@check(
    "agent-certificate",
    title="The agent's certificate is valid",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="The newest certificate called TenantEncryptionCert in the machine's store is valid now.",
        why="The settings of the backup extension come encrypted for this certificate. Without it, or past "
        "its end, the agent is Ready and the extension cannot read its orders.",
        evidence="The validity of the newest of the certificates with that name: older ones stay in the "
        "store and mean nothing. It is judged by the auditor's clock. A machine outside Azure has none and "
        "is skipped; Linux agents keep theirs elsewhere.",
        repair="Deallocate and start the VM, which renews the certificate.",
        sources=(
            "Azure/azure-support-scripts: VMAssist (TenantEncryptionCert)",
            "Microsoft support: Troubleshoot the Azure Windows VM agent",
        ),
    ),
)
def agent_certificate(facts: Facts, _rules: Rules) -> Outcome:
    """Whether the certificate for protected settings is there and valid."""
    if skip := aside(facts, Platform.WINDOWS):
        return skip
    guest = asked(facts)
    if guest.agent is None:
        return NO_AGENT
    certificate = known(_setup(guest).certificate)
    if certificate is None:
        if not facts.machine.in_azure and guest.on_azure_host is not True:
            return skipped("the certificate comes with the move to Azure")
        row = in_guest(guest, "TenantEncryptionCert", "none")
        return failed("the agent has no certificate for protected settings", row, remediation=RENEW)
    return _validity(facts, guest, certificate)


def _validity(facts: Facts, guest: Guest, certificate: Certificate) -> Outcome:
    begin, end = certificate.not_before, certificate.not_after
    row = in_guest(guest, "TenantEncryptionCert", f"valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}")
    if facts.now > end:
        return failed(f"the certificate expired on {end:%Y-%m-%d}", row, remediation=RENEW)
    if facts.now < begin:
        return failed(f"the certificate is not valid before {begin:%Y-%m-%d}", row, remediation=RENEW)
    return passed(f"valid until {end:%Y-%m-%d}", row)


def _setup(guest: Guest) -> WindowsSetup:
    setup = known(guest.windows)
    return known(Unseen("the guest was not asked for it") if setup is None else setup)


@check(
    "windows-vss",
    title="Windows can take shadow copies",
    planes=(*GUEST_PLANES, Plane.JOBS),
    explanation=Explanation(
        what="No service that shadow copies need is disabled, and every VSS writer is stable.",
        why="An application-consistent backup asks each writer to pause its application. One that has failed "
        "costs the consistency, and after several such backups the backup itself.",
        evidence="The start types of the services, and the numbers that vssadmin prints for each writer; its "
        "words are in the guest's language and are not read. 1 is stable, 6 and more have failed, the rest "
        "wait for something. While a backup runs every writer passes through such states, so nothing is "
        "judged as long as a job of this machine runs. Stopped services are normal: they start on demand.",
        repair="Enable the service; restart the services behind the failed writers.",
        sources=(
            "Microsoft Learn: Troubleshoot backup errors on Azure VMs (ExtensionFailedVssWriterInBadState)",
            "Microsoft Learn: VSS_WRITER_STATE enumeration",
            "Microsoft Learn: vssadmin list writers",
        ),
    ),
)
def windows_vss(facts: Facts, _rules: Rules) -> Outcome:
    """Whether services and writers of the shadow copies are well, unless a backup runs."""
    if skip := aside(facts, Platform.WINDOWS):
        return skip
    guest = asked(facts)
    vss = known(guest.vss)
    if vss is None:
        return unknown("the shadow copy services were not found")
    if off := _disabled(vss.services):
        rows = (in_guest(guest, f"service {service.name}", "disabled") for service in off)
        return failed(f"{listing(one.name for one in off)} disabled", *rows, remediation=ENABLE)
    if isinstance(vss.writers, Unseen):
        return unknown(vss.writers.reason)
    return _writers(facts, guest, vss, vss.writers)


def _writers(facts: Facts, guest: Guest, vss: Vss, writers: tuple[Writer, ...]) -> Outcome:
    services = in_guest(guest, "services", f"{len(vss.services)}, none of them disabled")
    if not writers:
        return warned("no VSS writer answered", services, remediation=RESTART_WRITERS)
    restless = [writer for writer in writers if writer.state != STABLE or writer.error]
    if not restless:
        row = in_guest(guest, "writers", f"{len(writers)}, all stable")
        return passed("every VSS writer is stable", row, services)
    rows = tuple(_writer_row(guest, writer) for writer in restless[:4])
    if not isinstance(facts.jobs, Unseen) and facts.jobs.running:
        return unknown("a backup job runs, and meanwhile writers are never stable", _job_row(facts), *rows)
    broken = [writer.name for writer in restless if writer.state >= FIRST_FAILED]
    if broken:
        return failed(f"failed: {listing(broken)}", *rows, remediation=RESTART_WRITERS)
    names = listing(writer.name for writer in restless)
    return warned(f"not stable: {names}", *rows, remediation=RESTART_WRITERS)


def _writer_row(guest: Guest, writer: Writer) -> Evidence:
    error = "" if writer.error is None else f", error {writer.error}"
    return in_guest(guest, f"writer {clip(writer.name, 60)}", f"state {writer.state}{error}")


def _job_row(facts: Facts) -> Evidence:
    job = known(facts.jobs).running[0]
    return Evidence(Plane.JOBS, f"{clip(job.operation, 40)} job", job.started_at, clip(job.status))


def _disabled(services: tuple[Service, ...]) -> list[Service]:
    return [service for service in services if (service.start or "").lower() == "disabled"]


@check(
    "windows-prerequisites",
    title="Windows has what the agent and the backup need",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what=".NET is new enough and uses strong cryptography, WMI can write the registry, COM+ and the "
        "installer can start, and no restart is pending.",
        why="The snapshot extension is a .NET program that registers itself with COM+. The agent's MSI "
        "writes through WMI and fails without it, and an installation half done waits for a restart.",
        evidence="The Release number of .NET in the registry against dotnet-release, whether StdRegProv of "
        "WMI answers, the start types of COMSysApp, MSDTC and msiserver, and the marks of a pending restart. "
        "SchUseStrongCrypto matters where .NET is older than dotnet-strong-crypto-release, or where it is 0. "
        "That and a restart warn; everything else fails. What was not seen is named, and makes the check "
        "unknown where nothing seen fails. The registry is read as a 64-bit program reads it.",
        repair="Install .NET, repair WMI, enable the service, or restart the guest.",
        sources=(
            "Microsoft Learn: How to determine which .NET Framework versions are installed (378389 is 4.5)",
            "Microsoft Learn: Troubleshoot backup errors on Azure VMs (COM+, installer, secure network)",
            "Microsoft support: Troubleshoot the Azure Windows VM agent (StdRegProv, error 1722)",
        ),
    ),
)
def windows_prerequisites(facts: Facts, rules: Rules) -> Outcome:
    """Whether .NET, WMI, COM+ and the installer are ready."""
    if skip := aside(facts, Platform.WINDOWS):
        return skip
    guest = asked(facts)
    setup = _setup(guest)
    rows = tuple(_setup_rows(guest, setup))
    if lacks := list(setup_lacks(setup, rules)):
        return failed("; ".join(what for what, _ in lacks), *rows, remediation=lacks[0][1])
    hidden = (setup.dotnet, setup.std_reg_prov, setup.services, setup.pending_reboot, setup.strong_crypto)
    if gaps := [fact.reason for fact in hidden if isinstance(fact, Unseen)]:
        return unknown("; ".join(dict.fromkeys(gaps)), *rows)
    if setup.pending_reboot:
        return warned("a restart is pending", *rows, remediation=REBOOT)
    if _weak(setup, rules):
        return warned(".NET does not use strong cryptography", *rows, remediation=STRENGTHEN)
    return passed("everything is there", *rows)


def _weak(setup: WindowsSetup, rules: Rules) -> bool:
    """Whether .NET is told to use weak cryptography, or is old and not told to use strong."""
    old = isinstance(setup.dotnet, int) and setup.dotnet < rules.number("dotnet-strong-crypto-release")
    return setup.strong_crypto is False or (setup.strong_crypto is None and old)


def setup_lacks(setup: WindowsSetup, rules: Rules) -> Iterator[tuple[str, str]]:
    """What is missing for certain, each with the step that brings it."""
    if setup.dotnet is None:
        yield ".NET 4 is not installed", INSTALL_DOTNET
    elif isinstance(setup.dotnet, int) and setup.dotnet < rules.number("dotnet-release"):
        yield ".NET is older than 4.5", INSTALL_DOTNET
    if setup.std_reg_prov is False:
        yield "WMI cannot reach the registry (StdRegProv)", REPAIR_WMI
    if isinstance(setup.services, tuple):
        for service in _disabled(setup.services):
            yield f"{clip(service.name, 40)} is disabled", ENABLE


def _setup_rows(guest: Guest, setup: WindowsSetup) -> Iterator[Evidence]:
    if not isinstance(setup.dotnet, Unseen):
        yield in_guest(guest, ".NET release", str(setup.dotnet or "not installed"))
    if not isinstance(setup.std_reg_prov, Unseen):
        yield in_guest(guest, "StdRegProv", "answers" if setup.std_reg_prov else "does not answer")
    if isinstance(setup.services, tuple) and setup.services:
        states = (f"{service.name} {service.start or 'not seen'}" for service in setup.services)
        yield in_guest(guest, "services", listing(states, 6))
    if isinstance(setup.strong_crypto, bool):
        yield in_guest(guest, "SchUseStrongCrypto", "1" if setup.strong_crypto else "0")
    if isinstance(setup.pending_reboot, tuple):
        yield in_guest(guest, "pending restart", listing(setup.pending_reboot) or "none")
