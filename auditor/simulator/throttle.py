"""The service's own limits: token buckets with the documented sizes, and the headers that count down.

Sources: azure-compute-docs, compute-throttling-limits (2024-05-27); recorded headers for the rest.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Policy:
    """A bucket: `size` tokens at most, `per_minute` flow back."""

    name: str
    size: int
    per_minute: float


@dataclass(frozen=True, slots=True)
class Meter:
    """What a kind of request costs: one token of each named bucket.

    `per_resource` and `per_subscription` are Microsoft.Compute's; `per_action` is the hourly count of
    Microsoft.RecoveryServices; `header` names the ARM-wide counter that the answer carries.
    """

    per_resource: Policy | None = None
    per_subscription: Policy | None = None
    per_action: Policy | None = None
    header: str = "global-reads"


def _compute(name: str, resource: tuple[int, int] | None, subscription: tuple[int, int]) -> Meter:
    per_resource = Policy(f"{name}Resource", resource[1], resource[0]) if resource else None
    header = "global-reads" if name.endswith(("Get", "GetOperation")) else "writes"
    return Meter(
        per_resource, Policy(f"{name}SubscriptionMaximum", subscription[1], subscription[0]), header=header
    )


def _hourly(action: str, limit: int) -> Meter:
    return Meter(per_action=Policy(action, limit, limit / 60), header="resource-requests")


LOW_COST_GET = _compute("LowCostGet", (12, 36), (8000, 24000))
HIGH_COST_GET = _compute("HighCostGet", None, (300, 900))
GET_OPERATION = _compute("GetOperation", (15, 45), (5000, 15000))
UPDATE_VM = _compute("UpdateVM", (4, 12), (500, 1500))
DELETE_VM = _compute("DeleteVM", (4, 12), (500, 1500))
ARM_READ = Meter(header="reads")
ARM_WRITE = Meter(header="writes")
FREE = Meter(header="")

RECOVERY_LIMITS = {
    "Microsoft.RecoveryServices/vaults/backupProtectedItems/read": 150,
    "Microsoft.RecoveryServices/vaults/backupJobs/read": 400,
    "Microsoft.RecoveryServices/vaults/backupPolicies/read": 150,
    "Microsoft.RecoveryServices/vaults/backupProtectableItems/read": 150,
    "Microsoft.RecoveryServices/vaults/backupstorageconfig/read": 150,
    "Microsoft.RecoveryServices/vaults/backupconfig/read": 150,
    "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems/read": 150,
    "Microsoft.RecoveryServices/vaults/backupOperations/read": 300,
}


def recovery(action: str) -> Meter:
    """The meter of one action of the backup service."""
    return _hourly(action, RECOVERY_LIMITS[action])


_ARM_COUNTERS = {
    "global-reads": Policy("global-reads", 16500, 16500),
    "reads": Policy("reads", 250, 1500),
    "writes": Policy("writes", 1200, 20),
}


@dataclass(slots=True)
class Stats:
    """What was served: requests by kind, and how many were answered 429 for their quota."""

    requests: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.requests.values())

    @property
    def too_many(self) -> int:
        """All answers 429 that the quotas caused."""
        return sum(self.throttled.values())


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request beyond its quota: which bucket, and in how many seconds one token is back."""

    policy: Policy
    wait: int


class Quotas:
    """Every bucket of the estate; refilled by the clock that the caller hands in (seconds).

    Buckets that are not enforced stay full, and the headers say so.
    """

    def __init__(self, enforce: bool = True) -> None:
        self.enforce = enforce
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def charge(self, meter: Meter, subscription: str, resource: str, now: float) -> dict[str, str] | Refusal:
        """Take one token of each bucket: the headers that tell what remains, or a refusal."""
        parts = []
        for policy, scope in ((meter.per_subscription, subscription), (meter.per_resource, resource)):
            if policy is None:
                continue
            left = self._take(policy, scope, now)
            if isinstance(left, Refusal):
                return left
            parts.append(f"Microsoft.Compute/{policy.name};{left}")
        headers = {"x-ms-ratelimit-remaining-resource": ",".join(parts)} if parts else {}
        counter = meter.per_action or _ARM_COUNTERS.get(meter.header)
        if counter is not None:
            left = self._take(counter, subscription, now)
            if isinstance(left, Refusal):
                return left
            headers[f"x-ms-ratelimit-remaining-subscription-{meter.header}"] = str(left)
        return headers

    def _take(self, policy: Policy, scope: str, now: float) -> int | Refusal:
        if not self.enforce:
            return policy.size
        key = (policy.name, scope)
        tokens, since = self._buckets.get(key, (float(policy.size), now))
        tokens = min(policy.size, tokens + (now - since) * policy.per_minute / 60)
        if tokens < 1:
            self._buckets[key] = (tokens, now)
            return Refusal(policy, int((1 - tokens) * 60 / policy.per_minute) + 1)
        self._buckets[key] = (tokens - 1, now)
        return int(tokens - 1)
