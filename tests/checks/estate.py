"""One healthy Windows VM, seen by both planes, and one plain Linux host: tests change one fact at a time."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.facts import (
    Agent,
    Attempt,
    Backup,
    Certificate,
    Facts,
    Guest,
    GuestAgent,
    InstanceView,
    Jobs,
    Policy,
    ProtectedItem,
    Service,
    StatusCode,
    Unseen,
    Vault,
    VmModel,
    Vss,
    WindowsSetup,
    Writer,
    known,
)
from auditor.judge import judge
from auditor.model import Finding, Machine, Platform, Status
from auditor.rules import load_rules
from checks import CHECKS

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
VM_ID = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg/providers/microsoft.compute/virtualmachines/vm1"
GUID = "0A0A0A0A-0000-0000-0000-000000000001"
RULES = load_rules()
BY_ID = {check.id: check for check in CHECKS}


def ago(**span: float) -> datetime:
    """A moment before the run's clock."""
    return NOW - timedelta(**span)


def status(code: str = "ProvisioningState/succeeded", **more: Any) -> StatusCode:
    """An instance-view status, a minute old unless said otherwise."""
    return StatusCode(code, **{"level": "Info", "display": "Ready", "at": ago(minutes=1), **more})


def agent(version: str | None = "2.7.41491.1095", **more: Any) -> Agent:
    """The vmAgent block; further words describe its one status."""
    return Agent(version, (status(**more),))


MODEL = VmModel(GUID, "Succeeded", True, None, True, ago(days=90), NOW)
VIEW = InstanceView("running", agent(), (), (), NOW)
VAULT = Vault("/subscriptions/s/vaults/home", "home", "westeurope", SUBSCRIPTION)
POLICY = Policy("/policies/default", "DefaultPolicy", "V1", schedule="Daily 02:00 UTC")
ITEM = ProtectedItem(
    id="/items/vm1",
    vault=VAULT,
    vm_id=VM_ID,
    protection_state="Protected",
    protection_status="Healthy",
    health_status="Passed",
    last_backup_status="Completed",
    last_backup_at=ago(hours=9),
    last_recovery_point=ago(hours=9),
    policy=POLICY,
)
BACKUP = Backup((ITEM,), (VAULT,), (), NOW)
ASIDE = Unseen("no guest connection is configured for this machine", expected=False)
MACHINE = Machine(VM_ID, "vm1", Platform.WINDOWS, "azure", "westeurope", SUBSCRIPTION, "rg")
VM = Facts(MACHINE, NOW, MODEL, VIEW, BACKUP, Jobs((), None, NOW), ASIDE)

REACHED = (Attempt("http://168.63.129.16/?comp=versions", "ok"), Attempt("168.63.129.16:32526", "ok"))
GUEST = Guest(
    platform="linux",
    observed_at=NOW,
    transport="ssh",
    privileged=True,
    agent=GuestAgent(
        "/usr/sbin/waagent", "2.7.3.0", "2.13.0.2", unit="walinuxagent", active="active", enabled="enabled"
    ),
    extensions_enabled=True,
    snapshot_extension=("1.0.9220.0",),
    wire_server=REACHED,
    on_azure_host=True,
    endpoints=(Attempt("login.microsoftonline.com:443", "ok"),),
)
RD_AGENT = Service("RdAgent", "running", "automatic", r"C:\WindowsAzure\Packages\WaAppAgent.exe", True)
GUEST_AGENT = Service(
    "WindowsAzureGuestAgent",
    "running",
    "automatic",
    r"C:\WindowsAzure\Agent\WindowsAzureGuestAgent.exe",
    True,
)
WINDOWS = Guest(
    platform="windows",
    observed_at=NOW,
    transport="winrm",
    privileged=True,
    os_name="Windows Server 2022 Datacenter",
    os_version="10.0.20348",
    architecture="AMD64",
    agent=GuestAgent(
        r"C:\WindowsAzure\Packages\WaAppAgent.exe",
        "2.7.41491.1095",
        "2.7.41491.1092",
        unit="RdAgent",
        active="running",
        enabled="automatic",
        services=(RD_AGENT, GUEST_AGENT),
    ),
    snapshot_extension=("1.0.91.0",),
    wire_server=REACHED,
    on_azure_host=True,
    endpoints=(Attempt("login.microsoftonline.com:443", "ok"),),
    vss=Vss((Service("VSS", "stopped", "manual"),), (Writer("System Writer", 1, 0),)),
    windows=WindowsSetup(
        dotnet=528049,
        std_reg_prov=True,
        services=(Service("COMSysApp", "stopped", "manual"), Service("MSDTC", "running", "delayed")),
        certificate=Certificate("CN=Windows Azure CRP Certificate Generator", ago(days=30), ago(days=-330)),
    ),
)
HOST = Facts(Machine("host/web1", "web1", Platform.LINUX, "hosts.yaml"), NOW, guest=GUEST)


def finding(check: str, facts: Facts) -> Finding:
    """The one finding of one check, as the judge makes it."""
    (only,) = judge(facts, [BY_ID[check]], RULES).findings
    return only


def linux(facts: Facts = VM) -> Facts:
    """The same machine as a Linux VM."""
    return replace(facts, machine=replace(facts.machine, platform=Platform.LINUX))


def viewed(facts: Facts = VM, **changes: Any) -> Facts:
    """The same machine with another instance view."""
    return replace(facts, instance=replace(VIEW, **changes))


def operated(facts: Facts = VM, code: str = "succeeded", **span: float) -> Facts:
    """The same machine, with its last operation that long ago."""
    last = StatusCode(f"ProvisioningState/{code}", at=ago(**span) if span else None)
    return replace(facts, instance=replace(known(facts.instance), operation=last))


def modelled(facts: Facts = VM, **changes: Any) -> Facts:
    """The same machine with another resource model."""
    return replace(facts, model=replace(MODEL, **changes))


def backed(facts: Facts = VM, **changes: Any) -> Facts:
    """The same machine with other words of Recovery Services."""
    return replace(facts, backup=replace(BACKUP, **changes))


def item(**changes: Any) -> ProtectedItem:
    """The protected item, changed."""
    return replace(ITEM, **changes)


def items(*changes: Mapping[str, Any]) -> Facts:
    """The machine with one item per set of changes."""
    return backed(items=tuple(item(**change) for change in changes))


def guested(facts: Facts = VM, *, agent_is: Any = "same", **changes: Any) -> Facts:
    """The same machine with a guest that answered; `agent_is` changes the agent's fields or replaces it."""
    found: Any = GUEST.agent
    if isinstance(agent_is, dict):
        found = replace(found, **agent_is)
    elif agent_is != "same":
        found = agent_is
    return replace(facts, guest=replace(GUEST, **{"agent": found, **changes}))


def windowed(facts: Facts = VM, *, agent_is: Any = "same", **changes: Any) -> Facts:
    """The same machine with a Windows guest that answered; `agent_is` as in `guested`."""
    found: Any = WINDOWS.agent
    if isinstance(agent_is, dict):
        found = replace(found, **agent_is)
    elif agent_is != "same":
        found = agent_is
    return replace(facts, guest=replace(WINDOWS, **{"agent": found, **changes}))


def said(check: str, facts: Facts) -> tuple[Status, str]:
    """Status and words of the one finding of one check."""
    found = finding(check, facts)
    return found.status, found.reason or found.summary


def agentless(facts: Facts = VM) -> Facts:
    """The same machine under a crash-consistent-only policy."""
    return backed(facts, items=(item(policy=replace(POLICY, crash_consistent_only=True)),))
