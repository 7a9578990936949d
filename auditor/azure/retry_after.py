"""What ARM says about its quotas: in headers, and sometimes only in the text of a 429."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

ARM_READS = "ArmReads"
_MESSAGE = re.compile(
    r"\b(?:try|retry|wait)\b[^.]{0,40}?\b(\d{1,6}(?:\.\d{1,3})?)['\"]?\s*(ms|milli|min|sec|s\b)",
    re.IGNORECASE,
)
_UNITS = {"ms": 0.001, "milli": 0.001, "min": 60.0, "sec": 1.0, "s": 1.0}
_PER_READS = (
    "x-ms-ratelimit-remaining-subscription-reads",
    "x-ms-ratelimit-remaining-subscription-global-reads",
    "x-ms-ratelimit-remaining-tenant-reads",
)
_PER_ACTION = "x-ms-ratelimit-remaining-subscription-resource-requests"
_PER_POLICY = "x-ms-ratelimit-remaining-resource"


def hint_of(headers: Mapping[str, str], body: str = "") -> float | None:
    """Seconds to wait: retry-after-ms, Retry-After (seconds or a date), else the message; None if unsaid."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (milliseconds := _number(headers.get(name))) is not None:
            return milliseconds / 1000
    if value := headers.get("Retry-After"):
        seconds = _number(value)
        return seconds if seconds is not None else _until(value)
    if found := _MESSAGE.search(body):
        return float(found[1]) * _UNITS[found[2].lower()]
    return None


def remaining_of(headers: Mapping[str, str], policy: str) -> float | None:
    """How many requests the headers leave to a policy; None where they do not say."""
    if policy == ARM_READS:
        counts = [_number(headers.get(name)) for name in _PER_READS]
    elif policy.startswith("Microsoft.RecoveryServices/"):
        counts = [_number(headers.get(_PER_ACTION))]
    else:
        counts = _per_policy(headers.get(_PER_POLICY, ""), policy)
    return min((count for count in counts if count is not None), default=None)


def _per_policy(header: str, policy: str) -> list[float | None]:
    """Counts of "Microsoft.Compute/LowCostGetSubscriptionMaximum;23999,…" whose name fits.

    Older names ("LowCostGet3Min") count as the subscription's.
    """
    per_resource = policy.endswith("Resource")
    stem = policy.removesuffix("Resource").lower()
    counts = []
    for part in header.split(",") if header else ():
        name, _, count = part.strip().rpartition(";")
        name = name.rpartition("/")[2].lower()
        if name.startswith(stem) and name.endswith("resource") == per_resource:
            counts.append(_number(count))
    return counts


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
