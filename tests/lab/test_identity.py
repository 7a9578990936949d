"""Guests that stand for VMs of a simulated Azure: the right addresses, and two of them swapped."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from auditor.model import Platform
from auditor.simulator.estate import build_estate
from auditor.simulator.run import environment
from auditor.simulator.server import EstateServer, RunningServer
from auditor.simulator.vms import Vm
from auditor.simulator.world import Options
from tests.lab.estate import Report, audit, entry, write_known_hosts
from tests.lab.guests import Guest
from tests.lab.lab import Lab
from tests.lab.system import network_namespace

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

PAIR = ("healthy", "stopped")


@pytest.fixture(scope="module")
def azure(lab: Lab) -> Iterator[RunningServer]:
    """A simulated Azure on the operator's own loopback."""
    with network_namespace(lab.network.operator):
        server = EstateServer(build_estate(60, 1), options=Options(enforce_quotas=False))
        running = server.__enter__()
    yield running
    server.__exit__(None, None, None)


@pytest.fixture
def vms(azure: RunningServer, lab: Lab, estate: Mapping[str, Guest]) -> Iterator[tuple[Vm, ...]]:
    """Two running Linux VMs; each guest of the pair shows the id of one."""
    ready = [
        vm for vm in azure.estate.vms if vm.platform is Platform.LINUX and vm.scenario.verdict == "ready"
    ]
    before = dict(lab.services.identities)
    for name, vm in zip(PAIR, ready, strict=False):
        lab.services.identities[estate[name].address] = {"vmId": vm.model["properties"]["vmId"]}
    yield tuple(ready[: len(PAIR)])
    lab.services.identities.update(before)


def look(lab: Lab, azure: RunningServer, folder: Path, vms: tuple[Vm, ...], guests: list[Guest]) -> Report:
    """A run over both VMs, each reached at the address of one guest."""
    write_known_hosts(folder, {guest.address: guest.host_key for guest in guests})
    entries = [
        entry(lab, guest, name=vm.name, azure_id=vm.key) for vm, guest in zip(vms, guests, strict=True)
    ]
    names = [word for vm in vms for word in ("--vm", vm.key)]
    return audit(lab, folder, entries, "--azure", *names, **environment(azure))


def test_the_right_guests_count(
    lab: Lab, azure: RunningServer, vms: tuple[Vm, ...], estate: Mapping[str, Guest], tmp_path: Path
) -> None:
    report = look(lab, azure, tmp_path, vms, [estate[name] for name in PAIR])
    assert [report.finding(vm.name, "guest-identity")["status"] for vm in vms] == ["pass", "pass"]
    assert [report.finding(vm.name, "agent-service")["status"] for vm in vms] == ["pass", "fail"]


def test_swapped_addresses_are_loud_and_nothing_else_counts(
    lab: Lab, azure: RunningServer, vms: tuple[Vm, ...], estate: Mapping[str, Guest], tmp_path: Path
) -> None:
    report = look(lab, azure, tmp_path, vms, [estate[name] for name in reversed(PAIR)])
    for vm in vms:
        found = report.finding(vm.name, "guest-identity")
        assert (found["status"], "another machine answered" in found["summary"]) == ("fail", True)
        service = report.finding(vm.name, "agent-service")
        assert (service["status"], "identity mismatch" in service["reason"]) == ("unknown", True)
    assert report.exit_status == 20
