"""ARM in trouble, through the program: the run ends, says what is missing, and no finding is dropped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor.plugin import load_checks
from auditor.simulator.server import RunningServer
from tests.cli.test_audit import report

Program = Callable[..., Any]
Faults = Callable[..., None]

LIST = "{subscription}/providers/Microsoft.Compute/virtualMachines[?]"
VIEW = "{vm}[?].*expand=instanceView"
ITEMS = "{vault}/backupProtectedItems[?]"
LATER = {"Retry-After": "600"}


@pytest.mark.parametrize(
    ("where", "fault", "reason"),
    [
        (LIST, {"status": 401}, "refused the sign-in"),
        (LIST, {"deny": True}, "Microsoft.Compute/virtualMachines/read"),
        (ITEMS, {"status": 404}, "not found"),
        (VIEW, {"status": 409}, "409 Conflict"),
        (VIEW, {"status": 429, "headers": LATER}, "throttles"),
        (VIEW, {"status": 429}, "throttles"),
        (LIST, {"status": 500}, "500 InternalServerError"),
        (ITEMS, {"status": 503, "headers": LATER}, "503 ServerBusy"),
        (LIST, {"truncate_json": True}, "not JSON"),
        (ITEMS, {"next_link_loop": True}, "nextLink comes round again"),
        (VIEW, {"drop_connection": True}, "no answer from Azure"),
    ],
    ids=[
        "401",
        "403",
        "404",
        "409",
        "429 with Retry-After",
        "429 without",
        "500",
        "503",
        "truncated",
        "nextLink loop",
        "dropped",
    ],
)
def test_a_lasting_fault_is_in_the_coverage_and_in_the_exit_code(
    program: Program,
    server: RunningServer,
    faults: Faults,
    tmp_path: Path,
    where: str,
    fault: dict[str, Any],
    reason: str,
) -> None:
    estate = server.estate
    vault = next(vault for vault in estate.vaults if vault.items)
    places = {"subscription": estate.subscriptions[0].id, "vm": estate.vms[0].key, "vault": vault.key}
    faults({"path_regex": where.format(**places), **fault})
    done = program("audit", "--format", "json", "--throttle-wait", "3", "--fail-on", "none")
    content = report(tmp_path)
    coverage, machines = content["coverage"], content["machines"]
    assert (done.returncode, done.stderr) == (3, "")
    hit = next(value for name, value in places.items() if f"{{{name}}}" in where)
    (limit,) = (limit for limit in coverage["limits"] if "classic" not in limit["reason"])
    assert hit in limit["scope"]
    assert reason in limit["reason"]
    assert reason in " ".join(done.stdout.split())
    blind = {vm.key for vm in estate.vms if where is LIST and vm.subscription == hit}
    assert {machine["id"] for machine in machines} == estate.truth().keys() - blind
    assert coverage["expected"] == coverage["audited"] == len(machines)
    assert all(len(machine["findings"]) == len(load_checks()) for machine in machines)


def test_a_token_that_expires_in_mid_run_costs_nothing(
    program: Program, server: RunningServer, faults: Faults, tmp_path: Path
) -> None:
    faults({"path_regex": "expand=instanceView", "status": 401, "after": 20, "times": 1})
    program("audit", "--format", "json", "--fail-on", "none")
    found = {machine["id"]: machine["verdict"] for machine in report(tmp_path)["machines"]}
    assert found == {key: truth.verdict for key, truth in server.estate.truth().items()}
