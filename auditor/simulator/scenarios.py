"""What a scenario is made of: the state of a machine, and what an audit must say about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from auditor.model import Platform, Status, Verdict

HOUR = 3600
DAY = 24 * HOUR


class Power(StrEnum):
    """The power states that occur, as the segment after `PowerState/`."""

    RUNNING = "running"
    STOPPED = "stopped"
    DEALLOCATED = "deallocated"


class Heartbeat(StrEnum):
    """What the instance view says of the agent."""

    READY = "ready"
    SILENT = "silent"
    NOT_READY = "not-ready"
    ABSENT = "absent"


class Where(StrEnum):
    """Which vault holds the item of a machine."""

    HOME = "home"
    SECOND = "second"
    ELSEWHERE = "elsewhere"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class ItemSpec:
    """One protected item as it will stand in a vault; `health_code` 0 sends no health details."""

    state: str = "Protected"
    status: str = "Healthy"
    health: str = "Passed"
    health_code: int = 400239
    last: str = "Completed"
    where: Where = Where.HOME
    policy: str = "DefaultPolicy"
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class ExtensionSpec:
    """One extension: how ARM, the handler and the extension itself report it."""

    publisher: str
    type: str
    version: str
    provisioning: str = "Succeeded"
    handler_code: str = "ProvisioningState/succeeded"
    handler_display: str = "Ready"
    code: str = "ProvisioningState/succeeded"
    display: str = "Provisioning succeeded"
    message: str = "Enable succeeded."
    in_view: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault, or none: the seeds of a machine and the verdict that they must lead to.

    `versions` are agent versions to choose from; `heartbeat_age` is in seconds.
    """

    name: str
    verdict: Verdict
    findings: Mapping[str, Status]
    platform: Platform | None = None
    power: Power = Power.RUNNING
    heartbeat: Heartbeat = Heartbeat.READY
    heartbeat_age: int = 20
    versions: tuple[str, ...] = ()
    extensions: tuple[ExtensionSpec, ...] = ()
    items: tuple[ItemSpec, ...] = (ItemSpec(),)
    provisioning: str = "Succeeded"
    job_error: int = 0
    region: str | None = None
