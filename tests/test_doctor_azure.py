"""What the doctor says of an identity, on the wire of the simulated estate with real role assignments."""

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from auditor.azure.estate import open_azure
from auditor.azure.rights import AUDIT, OPTIONAL, REMEDIATE, Permission, allowed
from auditor.doctor import Diagnosis, diagnose_azure
from auditor.simulator.estate import build_estate
from auditor.simulator.faults import Fault
from auditor.simulator.permissions import Grant
from auditor.simulator.server import serve_estate
from auditor.simulator.world import Options

ESTATE = build_estate(60, 7)
EVERYTHING = Grant()
FIRST, SECOND, THIRD = (f"/subscriptions/{sub.id}" for sub in ESTATE.subscriptions)
JOBS = "Microsoft.RecoveryServices/Vaults/backupJobs/read"
Diagnose = Callable[..., dict[str, Diagnosis]]


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", ESTATE.tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", ESTATE.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", ESTATE.client_secret)


def diagnose(
    *grants: Grant, faults: Iterable[Fault] = (), machines_in: Iterable[str] = ()
) -> dict[str, Diagnosis]:
    async def run() -> tuple[Diagnosis, ...]:
        options = Options(grants=grants)
        async with (
            serve_estate(ESTATE, options=options, faults=faults) as server,
            open_azure(server.url, ca_bundle=server.ca_pem, max_wait=1) as azure,
        ):
            rows = await diagnose_azure(azure, {path.rpartition("/")[2] for path in machines_in})
            assert not any(server.stats.requests[kind] for kind in ("vm.patch", "vm.reapply", "item.backup"))
            return rows

    rows = asyncio.run(run())
    assert len({row.subject for row in rows}) == len(rows)
    assert all(row.way_out for row in rows if row.status != "ok")
    return {row.subject: row for row in rows}


def missing(rows: dict[str, Diagnosis]) -> set[str]:
    return {subject.rpartition(": ")[2] for subject, row in rows.items() if row.status == "missing"}


def role(name: str) -> dict[str, list[str]]:
    content: dict[str, list[str]] = json.loads(
        (Path(__file__).resolve().parent.parent / "roles" / f"{name}.json").read_text(encoding="utf-8")
    )
    return content


def test_an_owner_may_do_everything() -> None:
    rows = diagnose(EVERYTHING)
    assert {row.status for row in rows.values()} == {"ok"}
    assert len(rows) == 1 + len(ESTATE.subscriptions) + len(AUDIT) + len(REMEDIATE) + len(OPTIONAL)


def test_every_read_is_proven_but_those_that_need_a_change_first() -> None:
    rows = diagnose(EVERYTHING)
    untried = {subject.rpartition(": ")[2] for subject, row in rows.items() if "not tried" in row.detail}
    reads = {action for action in untried if action.endswith("/read")}
    assert reads == {
        "Microsoft.Compute/locations/operations/read",
        "Microsoft.Management/managementGroups/descendants/read",
        "Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems/operationsStatus/read",
    }


def test_the_role_for_audits_lacks_what_repairs_need() -> None:
    rows = diagnose(Grant(actions=tuple(role("audit")["Actions"])))
    assert missing(rows) == {*REMEDIATE, *OPTIONAL}
    assert not rows[f"Azure: optional: {next(iter(OPTIONAL))}"].needed


def test_both_roles_are_enough() -> None:
    grants = [Grant(actions=tuple(role(name)["Actions"])) for name in ("audit", "remediate")]
    assert missing(diagnose(*grants)) == set(OPTIONAL)


def test_a_right_that_is_taken_out_is_missing_unless_another_role_gives_it() -> None:
    without = Grant(not_actions=("Microsoft.RecoveryServices/*/backupJobs/*",))
    assert missing(diagnose(without)) == {JOBS}
    assert missing(diagnose(without, Grant(actions=("*/read",)))) == set()


def test_a_right_in_one_subscription_is_named_with_the_others() -> None:
    rows = diagnose(Grant(FIRST), Grant(SECOND, not_actions=(JOBS,)), Grant(THIRD))
    row = rows[f"Azure: audit: {JOBS}"]
    assert (row.status, missing(rows)) == ("missing", {JOBS})
    assert row.detail.startswith("not in Contoso Development;")


def test_a_right_in_some_resource_groups_is_named_with_them() -> None:
    reads = Grant(actions=("*/read",))
    writes = Grant(f"{FIRST}/resourceGroups/rg-web", ("Microsoft.Compute/virtualMachines/write",))
    row = diagnose(reads, writes)["Azure: remediate: Microsoft.Compute/virtualMachines/write"]
    assert row.status == "missing"
    assert "in Contoso Production only in the resource groups rg-web, not in" in row.detail
    assert "not in Contoso Platform" in row.detail


READER = Grant(actions=("*/read",))


@pytest.mark.parametrize(
    ("machines_in", "wanted"),
    [((FIRST,), set()), ((SECOND,), set(REMEDIATE)), ((FIRST, THIRD), set(REMEDIATE)), ((), set(REMEDIATE))],
)
def test_repairs_need_rights_only_where_there_are_machines(
    machines_in: tuple[str, ...], wanted: set[str]
) -> None:
    rows = diagnose(READER, Grant(FIRST), machines_in=machines_in)
    assert missing(rows) - set(OPTIONAL) == {action for action in wanted if not action.endswith("/read")}
    examined = {name for name, row in rows.items() if row.detail.endswith("examined: both roles")}
    assert len(examined) == (len(machines_in) or 3)


def test_a_read_that_another_subscription_refuses_is_no_lack_here() -> None:
    rows = diagnose(EVERYTHING, faults=[Fault(f"{THIRD}/.*recoveryPoints", deny=True)], machines_in=[FIRST])
    assert missing(rows) == set()


def test_audits_read_everywhere_whatever_is_in_scope() -> None:
    without = Grant(THIRD, not_actions=("Microsoft.RecoveryServices/*/backupJobs/*",))
    assert missing(diagnose(Grant(FIRST), Grant(SECOND), without, machines_in=[FIRST])) == {JOBS}


def test_a_denial_that_the_permissions_do_not_show_is_found_by_the_read() -> None:
    rows = diagnose(EVERYTHING, faults=[Fault("backupJobs", deny=True)])
    row = rows[f"Azure: audit: {JOBS}"]
    assert (row.status, missing(rows)) == ("missing", {JOBS})
    assert "Azure refused it" in row.detail


@pytest.mark.parametrize("fault", [Fault("backupJobs", status=500), Fault("backupJobs", truncate_json=True)])
def test_a_read_that_fails_otherwise_proves_nothing(fault: Fault) -> None:
    assert diagnose(EVERYTHING, faults=[fault])[f"Azure: audit: {JOBS}"].status == "unknown"


def test_permissions_that_cannot_be_read_leave_the_rights_unknown() -> None:
    rows = diagnose(EVERYTHING, faults=[Fault("Microsoft.Authorization/permissions", status=500)])
    assert {row.status for subject, row in rows.items() if "remediate" in subject} == {"unknown"}
    assert rows["Azure: subscription Contoso Platform"].status == "unknown"


def test_nobody_signed_in_is_the_one_thing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    (row,) = diagnose(EVERYTHING).values()
    assert (row.subject, row.status) == ("Azure: sign-in", "missing")
    assert "wrong" not in row.detail


@pytest.mark.parametrize(
    ("actions", "taken_out", "action", "may"),
    [
        (("*",), (), JOBS, True),
        (("*/read",), (), JOBS, True),
        (("*/read",), (), "Microsoft.Compute/virtualMachines/write", False),
        (("microsoft.recoveryservices/vaults/backupjobs/READ",), (), JOBS, True),
        (("Microsoft.RecoveryServices/Vaults/*",), ("*/backupJobs/*",), JOBS, False),
        (("Microsoft.RecoveryServices/Vaults/backupJobs",), (), JOBS, False),
        (("Microsoft.RecoveryServices/Vaults.backupJobs/read",), (), JOBS, False),
        ((), (), JOBS, False),
    ],
)
def test_what_a_role_allows(
    actions: tuple[str, ...], taken_out: tuple[str, ...], action: str, may: bool
) -> None:
    assert allowed([Permission(actions, taken_out)], action) is may
