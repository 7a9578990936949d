"""What the present identity may do, before anything starts: one row per thing to know."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from auditor.azure.estate import Azure
from auditor.azure.rights import AUDIT, OPTIONAL, REMEDIATE, Examination, Seen, allowed, best_read
from auditor.errors import SourceError

OK, MISSING, UNKNOWN = "ok", "missing", "unknown"
_CREDENTIALS = (
    "Sign in (az login), run with a managed identity, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
    "AZURE_CLIENT_SECRET."
)
_SUBSCRIPTION = "Assign the role of roles/audit.json to this identity at the subscription."


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at: `status` is "ok", "missing" or "unknown", `way_out` what a person does.

    `needed` is false for what only an option of the program uses.
    """

    subject: str
    status: str
    detail: str
    way_out: str = ""
    needed: bool = True


async def diagnose_azure(azure: Azure, subscriptions: Collection[str] = ()) -> tuple[Diagnosis, ...]:
    """Whether somebody is signed in, what is visible, and each right of both roles; nothing is changed.

    Audits read everywhere, since any vault may hold a machine. What changes machines is wanted in the
    `subscriptions` (ids) with machines in scope; everywhere, where none of these is visible.
    """
    wanted = frozenset((*AUDIT, *REMEDIATE))
    try:
        found = await azure.examine(wanted)
    except SourceError as error:
        return (signed_out(error),)
    repaired = [seen for seen in found.seen if seen.id in subscriptions] or found.seen
    rows = [
        Diagnosis("Azure: sign-in", OK, "Azure accepts the identity"),
        *_visible(found, repaired),
        *(_right(found.seen, action, "audit", why) for action, why in AUDIT.items()),
        *(_right(repaired, action, "remediate", why) for action, why in REMEDIATE.items()),
        *(_optional(repaired, action, why) for action, why in OPTIONAL.items()),
    ]
    return tuple(rows)


def signed_out(error: SourceError) -> Diagnosis:
    """That nobody is signed in."""
    return Diagnosis("Azure: sign-in", MISSING, str(error), _CREDENTIALS)


def _visible(found: Examination, repaired: Collection[Seen]) -> Iterator[Diagnosis]:
    for seen in found.seen:
        subject = f"Azure: subscription {seen.name}"
        if seen.problem is not None:
            yield Diagnosis(subject, UNKNOWN, seen.problem, _SUBSCRIPTION)
        else:
            roles = "both roles" if seen in repaired else "no machine in scope, only audit rights"
            yield Diagnosis(subject, OK, f"{seen.id}, {seen.state}; examined: {roles}")
    for limit in found.limits:
        yield Diagnosis(f"Azure: {limit.scope}", MISSING, limit.reason, _SUBSCRIPTION)


def _right(where: Collection[Seen], action: str, role: str, why: str) -> Diagnosis:
    status, detail = _standing(where, action)
    way_out = "" if status == OK else f"Assign the role of roles/{role}.json at the subscriptions."
    needed = "managementGroups" not in action
    return Diagnosis(f"Azure: {role}: {action}", status, f"{detail}; for: {why}", way_out, needed)


def _standing(where: Collection[Seen], action: str) -> tuple[str, str]:
    """Whether an action may be done in all of these: what the permissions say, and what a read proved."""
    read = best_read(where, action)
    if read is not None and read.refused:
        return MISSING, f"Azure refused it ({read.said})"
    known = [seen for seen in where if seen.problem is None]
    lacking = [seen for seen in known if not allowed(seen.permissions, action)]
    if lacking:
        return MISSING, "; ".join(_where(seen, action) for seen in lacking)
    if read is not None and not read.worked:
        return UNKNOWN, f"a read failed: {read.said}"
    if not known or len(known) < len(where):
        return UNKNOWN, "not all permissions could be read"
    return OK, "allowed, and a read worked" if read else "allowed, and not tried"


def _where(seen: Seen, action: str) -> str:
    """Where in a subscription the right is missing."""
    held = [group for group, permissions in seen.groups.items() if allowed(permissions, action)]
    name = seen.name
    if not held:
        return f"not in {name}"
    rest = [group for group in seen.groups if group not in held]
    return f"in {name} only in the resource groups {', '.join(held)}" + (
        f", not in {', '.join(rest)}" if rest else ""
    )


def _optional(where: Collection[Seen], action: str, why: str) -> Diagnosis:
    lacking = [seen.name for seen in where if not allowed(seen.permissions, action)]
    subject = f"Azure: optional: {action}"
    if not lacking and where:
        return Diagnosis(subject, OK, f"allowed; for: {why}", needed=False)
    return Diagnosis(
        subject,
        MISSING,
        f"not in {', '.join(lacking) or 'any subscription'}",
        f"Only for those who want to {why}: it lets its holder run anything in every guest.",
        needed=False,
    )
