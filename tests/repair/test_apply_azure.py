"""Repairs of VMs of a simulated estate, from plan to proof; backups, identities and tags close gates."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from auditor import repairs
from auditor.azure.patience import Patience as AzurePatience
from auditor.cli.planning import make_plan
from auditor.model import Machine
from auditor.plugin import load_checks, load_remediations
from auditor.remedy import MachineRecord, Plan, RepairOptions, Result
from auditor.repair.apply import Pace, Patience
from auditor.repair.document import sealed
from auditor.settings import Settings, resolve, settings
from auditor.simulator.estate import build_estate
from auditor.simulator.faults import Fault
from auditor.simulator.guest_effects import known_by
from auditor.simulator.guest_states import GuestState
from auditor.simulator.guest_work import Effect, Workshop
from auditor.simulator.guests import SshGuests
from auditor.simulator.inside import look_inside
from auditor.simulator.run import environment
from auditor.simulator.server import EstateServer, RunningServer
from auditor.store.journal import SqliteJournal

STOPPED = "agent-service"
VERSION = "2.13.0.2"


@dataclass
class Site:
    """An estate, the insides of two of its VMs (one healthy, one whose agent is stopped), and a plan.

    Azure does not hear of what happens in the guests while it is `deaf`.
    """

    server: RunningServer
    guests: SshGuests
    wanted: Settings
    store: Path
    known: dict[str, Effect]
    deaf: bool = False
    plan: Plan = field(init=False)

    def make(self) -> Plan:
        """Audit, and plan."""
        work = make_plan(self.wanted, load_checks(), load_remediations(), RepairOptions())
        self.plan = asyncio.run(work).plan
        self.known.update(known_by(self.plan))
        return self.plan

    @property
    def broken(self) -> Machine:
        """The VM whose agent is stopped."""
        (only,) = (one.machine for one in self.plan.machines if one.stages)
        return only

    def apply(self, *, backup_now: bool = False) -> MachineRecord:
        """Apply the plan; what became of its one machine."""
        order = repairs.Order(
            self.wanted,
            load_checks(),
            pace=Pace(canary=0),
            patience=Patience(settle=5.0, confirm=5.0, pause=0.1),
            backup_now=backup_now,
            azure=AzurePatience(pause=0.2, backup_pause=1.0),
        )
        with SqliteJournal.open(self.store) as journal:
            run = asyncio.run(repairs.apply_plan(self.plan, order, journal, repairs.Operator()))
        (only,) = run.machines
        return only

    @property
    def touched(self) -> int:
        """How often any step's work ran in any guest."""
        return self.guests.executions.total()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    estate = build_estate(60, 1)
    known: dict[str, Effect] = {}
    with EstateServer(estate) as server:

        def heard(machine: str, state: GuestState) -> None:
            if not places[0].deaf and state.told("agent")["active"] == "active":
                server.agent_reports(machine, VERSION)

        places: list[Site] = []
        with SshGuests(look_inside(estate).linux, Workshop(known, on_change=heard)) as guests:
            for name, value in environment(server).items():
                monkeypatch.setenv(name, value)
            given = {
                "cloud": server.url,
                "ca_bundle": str(server.ca_pem),
                "inventory": [str(guests.hosts_file)],
                "known_hosts": str(guests.known_hosts),
                "ssh_config": "none",
                "check": [STOPPED],
            }
            wanted = settings(resolve(given, environment={}, read_file=False))
            places.append(Site(server, guests, wanted, tmp_path / "auditor.db", known))
            yield places[0]


def test_a_stopped_agent_is_started_and_heard_by_azure(site: Site) -> None:
    site.make()
    record = site.apply()
    assert record.result is Result.VERIFIED, record.reason
    assert site.touched == 1
    assert record.after[STOPPED].status == "pass"
    assert any(gate.startswith("backup-running: open") for gate in record.gates)


def test_a_repair_that_azure_does_not_hear_of_is_not_confirmed(site: Site) -> None:
    site.make()
    site.deaf = True
    record = site.apply()
    assert record.result is Result.NOT_CONFIRMED
    assert "vm-agent-ready" in record.reason
    assert site.touched == 1


def test_a_repaired_machine_is_backed_up_to_the_end(site: Site) -> None:
    site.make()
    record = site.apply(backup_now=True)
    assert record.result is Result.VERIFIED, record.reason
    assert record.backup.startswith("Completed, ")


def job(site: Site) -> None:
    site.server.start_job(site.broken.id)


def restore(site: Site) -> None:
    site.server.start_job(site.broken.id, operation="Restore")


def job_in_an_older_vault(site: Site) -> None:
    world = site.server.world
    own = {state.vault.id.lower() for state, _ in world.items_of_vm(site.broken.id)}
    site.server.start_job(site.broken.id, next(key for key in world.vaults if key not in own))


def denied(site: Site) -> None:
    site.server.faults.add(Fault("/backupJobs", deny=True))


def throttled(site: Site) -> None:
    site.server.faults.add(Fault("/backupJobs", status=429, headers={"Retry-After": "3600"}))


def locked(site: Site) -> None:
    site.server.tag(site.broken.id, "auditor:skip", "yes")


@pytest.mark.parametrize(
    ("happening", "words"),
    [
        (job, "backup-running: a job (Backup, InProgress) is at work"),
        (restore, "backup-running: a job (Restore, InProgress) is at work"),
        (job_in_an_older_vault, "backup-running: a job (Backup, InProgress) is at work"),
        (denied, "backup-running: the jobs could not be read"),
        (throttled, "backup-running: the jobs could not be read"),
        (locked, "lock: the tag auditor:skip is set"),
    ],
)
def test_what_happens_between_plan_and_apply_stops_the_machine(
    site: Site, happening: Callable[[Site], None], words: str
) -> None:
    site.make()
    happening(site)
    record = site.apply()
    assert record.result is Result.REFUSED
    assert words in record.reason
    assert site.touched == 0


def test_two_swapped_addresses_are_noticed_when_a_plan_is_made(site: Site) -> None:
    document = json.loads(site.guests.hosts_file.read_text(encoding="utf-8"))
    one, other = document["hosts"]
    one["port"], other["port"] = other["port"], one["port"]
    site.guests.hosts_file.write_text(json.dumps(document), encoding="utf-8")
    plan = site.make()
    assert [machine.machine.name for machine in plan.machines if machine.stages] == []
    assert site.touched == 0


def test_an_address_that_leads_elsewhere_after_the_plan_is_noticed(site: Site) -> None:
    plan = site.make()
    hosts = json.loads(site.guests.hosts_file.read_text(encoding="utf-8"))["hosts"]
    (stranger,) = (one["port"] for one in hosts if one["azure_id"].lower() != site.broken.id)
    assert site.broken.connection
    misled = replace(site.broken, connection=replace(site.broken.connection, port=stranger))
    machines = (replace(one, machine=misled) if one.stages else one for one in plan.machines)
    site.plan = sealed(replace(plan, machines=tuple(machines)))
    record = site.apply()
    assert record.result is Result.REFUSED
    assert "identity" in record.reason
    assert site.touched == 0
