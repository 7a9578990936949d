"""A plan says what will be done, in which order, on whose guests; and for everything else why not."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.facts import Facts, Mismatch, Unseen
from auditor.model import RUN_COMMAND, Connection, Platform, Status, Verdict
from auditor.plugin import Remediation
from auditor.remedy import MachinePlan, Manual, Nothing, Remedy, RepairOptions, Unrepaired
from auditor.repair.document import parse_plan, plan_bytes, sealed
from auditor.repair.identity import refusals
from auditor.repair.planner import Reported, Wanted
from auditor.repair.proposals import undo_id
from auditor.repair.work import command
from tests.checks.estate import GUID, HOST, VM, guested, modelled, windowed
from tests.repair.bench import (
    EVERYTHING,
    PUSHED,
    READS,
    REINSTALL,
    RESTART,
    WAY_IN,
    allow,
    blind,
    broken,
    host,
    idle,
    make,
    manual,
    planned,
    reapply,
    reinstall,
    restart,
    vm,
)

OTHER = "0b0b0b0b-0000-0000-0000-000000000002"


def only(*facts: Facts, **words: Any) -> MachinePlan:
    (found,) = planned(*facts, **words).machines
    return found


def left(plan: MachinePlan, check: str = "agent-service") -> Unrepaired | None:
    return next((one for one in plan.unrepaired if check in one.checks), None)


def reached(facts: Facts, **changes: Any) -> Facts:
    return replace(facts, machine=replace(facts.machine, **changes))


# ---- what is done --------------------------------------------------------------------------------


def test_remediations_are_asked_in_order_and_each_is_a_stage() -> None:
    plan = only(host())
    assert [stage.remediation for stage in plan.stages] == ["agent-restart", "agent-reinstall"]
    assert [stage.repairs for stage in plan.stages] == [("agent-service",), ("agent-service",)]
    assert (plan.verdict, plan.before["agent-service"].status) == (Verdict.NOT_READY, Status.FAIL)


def test_a_step_says_everything_that_its_action_says() -> None:
    step = only(host(), remediations=[reinstall]).steps[0]
    assert (step.what, step.why, step.expect) == (REINSTALL.what, REINSTALL.why, REINSTALL.expect)
    assert (step.risk, step.reboot, step.channel) == (REINSTALL.risk, True, "ssh")
    assert (step.undo, step.undo_commands) == (None, ())


def test_the_plan_shows_the_very_script_that_is_sent() -> None:
    for step in planned(host(), vm()).steps:
        assert step.work is not None
        assert [one.text for one in step.commands] == [command(step.id, step.work).text]
        if step.undo is not None:
            assert [one.text for one in step.undo_commands] == [command(undo_id(step.id), step.undo).text]


def test_a_pushed_file_is_shown_by_its_digest() -> None:
    act = replace(RESTART.act, payload=PUSHED)  # type: ignore[type-var]
    pushing = make("push", "agent-service", answer=Remedy((replace(RESTART, act=act),)))
    file, script = only(host(), remediations=[pushing]).steps[0].commands
    assert (file.shell, script.shell) == ("", "sh")
    assert all(word in file.text for word in (PUSHED.path, PUSHED.sha256, "1234 bytes"))


def test_a_write_to_azure_is_shown_whole() -> None:
    facts = guested(VM, extensions_enabled=True)
    facts = modelled(facts, allow_extension_operations=False)
    step = only(facts, remediations=[allow]).steps[0]
    method, resource, body = step.commands[0].text.split(" ", 2)
    assert (step.channel, step.work, step.commands[0].shell) == ("azure", None, "")
    assert (method, resource) == ("PATCH", VM.machine.id)
    assert json.loads(body) == {"properties": {"osProfile": {"allowExtensionOperations": True}}}


def test_an_action_of_azure_is_its_last_segment() -> None:
    unready = replace(vm(), instance=Unseen("no answer"))
    assert planned(unready, remediations=[reapply]).steps == ()
    failing = replace(vm(), instance=replace(VM.instance, agent=None))  # type: ignore[type-var]
    options = RepairOptions(allowed=frozenset({"vm-reapply"}))
    step = only(failing, remediations=[reapply], options=options).steps[0]
    assert step.commands[0].text == f"POST {VM.machine.id}/reapply"


def test_ids_differ_within_a_plan_and_between_plans() -> None:
    first, second = planned(host(), vm(), host("db1")), planned(host())
    ids = [step.id for step in (*first.steps, *second.steps)]
    assert len(set(ids)) == len(ids) == 8
    assert {one.rpartition("-")[0] for one in ids[:6]} == {first.id.replace("-", "")[:12]}


def test_a_plan_keeps_who_the_guest_is_and_what_it_rests_on() -> None:
    plan = only(vm(firmware_id=GUID.lower()))
    assert (plan.identity.vm_id, plan.identity.firmware_id, plan.identity.hostname) == (
        GUID,
        GUID.lower(),
        "vm1",
    )
    assert plan.groups == ("10.1.2.0/24",)
    assert [line.partition(":")[0] for line in plan.rests_on] == ["agent-service"]
    assert "walinuxagent: inactive, enabled (service, 2026-11-22 12:00:00 UTC)" in plan.rests_on[0]


def test_a_step_that_stays_outside_rests_on_the_id_that_azure_has() -> None:
    plan = only(modelled(VM, allow_extension_operations=False), remediations=[allow])
    assert plan.steps
    assert (plan.identity.vm_id, plan.identity.hostname) == (GUID, None)


@pytest.mark.parametrize(
    ("address", "groups"),
    [("10.1.2.3", ("10.1.2.0/24",)), ("fd00::1:2", ("fd00::/64",)), ("web1.example.com", ())],
)
def test_the_network_is_a_group(address: str, groups: tuple[str, ...]) -> None:
    assert only(reached(host(), connection=replace(WAY_IN, address=address))).groups == groups


def test_subnets_that_azure_knows_are_the_groups_and_not_the_address() -> None:
    """In one order for all: two machines that wait for each other's turn would wait for ever."""
    network = "/subscriptions/s/resourcegroups/rg/providers/microsoft.network/virtualnetworks/net/subnets/"
    for subnets in ((f"{network}b", f"{network}a"), (f"{network}a", f"{network}b")):
        assert only(reached(vm(), subnets=subnets)).groups == (f"{network}a", f"{network}b")


def test_an_availability_set_is_a_group() -> None:
    shared = f"{VM.machine.id.rpartition('/virtualmachines')[0]}/availabilitysets/front"
    plan = only(modelled(vm(), availability_set=shared))
    assert plan.groups == (shared, "10.1.2.0/24")


def test_a_plan_is_sealed_and_read_back_whole() -> None:
    plan = planned(host(), vm(), VM)
    assert parse_plan(plan_bytes(plan), "plan.json") == plan


def test_the_scripts_that_look_are_part_of_the_plan() -> None:
    windows = make("w", "agent-service", answer=Remedy((RESTART,)))
    plan = planned(host(), remediations=[windows])
    assert [one.text for one in plan.reads] == [READS[0].text]
    stopped = windowed(HOST, agent_is={"active": "stopped", "services": ()})
    stopped = reached(stopped, platform=Platform.WINDOWS, connection=WAY_IN, id="host/win1", name="win1")
    both = planned(host(), stopped, remediations=[windows])
    assert [(one.shell, one.data) for one in both.reads] == [
        ("sh", ""),
        ("cmd", ""),
        ("powershell", "data of the probe"),
    ]
    assert planned(VM).reads == ()


# ---- what is not, and why ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remediations", "reason", "how"),
    [
        ([manual], "installed from source", "install the package"),
        ([idle], "idle: it runs", "unmask and enable it"),
        ([blind], "blind: nobody told", "unmask and enable it"),
        ([broken], "broken: it crashed: RuntimeError", "unmask and enable it"),
        ([idle, blind], "idle: it runs; blind: nobody told", "unmask and enable it"),
        (
            [make("empty", "agent-service", answer=Remedy(()))],
            "empty: it proposes no action",
            "unmask and enable it",
        ),
        ([], "no remediation repairs this check", "unmask and enable it"),
        ([replace(restart, opt_in=True)], "agent-restart may repair it", "--allow agent-restart"),
    ],
)
def test_what_nobody_repairs_says_why_and_how(remediations: list[Remediation], reason: str, how: str) -> None:
    plan = only(host(), remediations=remediations)
    found = left(plan)
    assert found is not None
    assert plan.stages == ()
    assert reason in found.reason
    assert how in found.how


def test_what_a_stage_repairs_is_not_left() -> None:
    plan = only(host(), remediations=[restart, manual, idle])
    assert [stage.remediation for stage in plan.stages] == ["agent-restart"]
    assert left(plan) is None


def test_an_opt_in_takes_part_where_it_is_allowed() -> None:
    options = RepairOptions(allowed=frozenset({"agent-restart"}))
    assert only(host(), remediations=[replace(restart, opt_in=True)], options=options).stages


def unproven(facts: Facts) -> Facts:
    return replace(facts, guest=replace(facts.guest, vm_id=None))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (reached(host(), connection=None), "no way into this guest: no guest connection is configured"),
        (reached(host(), unreachable="no private address"), "no way into this guest: no private address"),
        (reached(host(), left_out=True), "the connections file leaves this guest out"),
        (reached(vm(), connection=Connection("", transport=RUN_COMMAND)), "only Run Command leads"),
        (vm(transport=RUN_COMMAND), "only Run Command led"),
        (host(privileged=False), "the account is not root in this guest"),
        (host(privileged=False, platform="windows"), "the account is no administrator"),
        (unproven(vm()), "the guest shows no id"),
        (replace(vm(), model=Unseen("Azure was not asked")), "nobody told the id of this VM"),
        (modelled(vm(), vm_id=None), "nobody told the id of this VM"),
    ],
)
def test_a_guest_that_may_not_be_touched_gets_no_step(facts: Facts, reason: str) -> None:
    plan = only(facts, remediations=[restart, reinstall])
    found = left(plan)
    assert plan.stages == ()
    assert found is not None
    assert found.reason.startswith(reason)
    assert found.how


def test_the_board_proves_a_vm_in_either_byte_order() -> None:
    swapped = "0a0a0a0a-0000-0000-0000-000000000001"
    assert only(vm(vm_id=None, firmware_id=swapped)).stages


def test_a_guest_without_proof_does_not_hold_back_what_happens_outside() -> None:
    facts = unproven(modelled(vm(), allow_extension_operations=False))
    plan = only(facts, remediations=[restart, allow])
    assert [stage.remediation for stage in plan.stages] == ["vm-agent-property"]


def test_an_unseen_guest_says_that_there_is_no_way_in() -> None:
    facts = replace(reached(VM, connection=WAY_IN), guest=Unseen("connection refused"))
    facts = replace(facts, instance=replace(VM.instance, agent=None))  # type: ignore[type-var]
    asks = make(
        "agent-install", "vm-agent-installed", "vm-agent-ready", answer=Nothing("the guest is not seen")
    )
    found = left(only(facts, remediations=[asks]), "vm-agent-ready")
    assert found is not None
    assert found.reason == "agent-install: the guest is not seen; no way into this guest: connection refused"


def test_another_machines_guest_is_refused_whole() -> None:
    facts = modelled(vm(), allow_extension_operations=False)
    facts = replace(facts, guest=Mismatch("identity mismatch: another VM", shown=OTHER, wanted=GUID))
    plan = only(facts)
    assert plan.stages == ()
    found = left(plan, "guest-identity")
    assert found is not None
    assert "identity mismatch" in found.reason
    assert left(plan, "extensions-enabled") is found


def test_swapped_addresses_of_hosts_refuse_both() -> None:
    plan = planned(host("web1", hostname="db1"), host("db1", hostname="WEB1.example.com"), host("app1"))
    assert [bool(one.stages) for one in plan.machines] == [False, False, True]
    for one in plan.machines[:2]:
        assert "swapped" in str(left(one))


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web1", "web1"),
        ("web1.example.com", "web1"),
        ("WEB1", "web1.corp"),
        ("web1", "alias"),
        ("10.0.0.4", "x"),
    ],
)
def test_a_guests_own_name_is_no_swap(name: str, hostname: str) -> None:
    assert refusals([host(name, hostname=hostname), host("db1")]) == {}


def test_two_entries_that_lead_into_one_guest_refuse_both() -> None:
    facts = [host(name, hostname="web1", vm_id=OTHER) for name in ("web1", "alias")]
    assert {one.stages for one in planned(*facts).machines} == {()}
    clones = [host(name, vm_id=OTHER) for name in ("web1", "web2")]
    assert all(one.stages for one in planned(*clones).machines)


@given(st.permutations([host(name, hostname=name[::-1]) for name in ("ab", "ba", "cd", "dc", "ef")]))
def test_swaps_are_found_in_any_order(facts: list[Facts]) -> None:
    assert sorted(refusals(facts)) == ["host/ab", "host/ba", "host/cd", "host/dc"]


def test_a_shared_id_outside_azure_counts_only_where_boards_have_one() -> None:
    zeros = "00000000-0000-0000-0000-000000000000"
    assert refusals([host(name, hostname="same", firmware_id=zeros) for name in ("web1", "web2")]) == {}


# ---- what was asked for --------------------------------------------------------------------------


def test_a_machine_in_order_is_named_only_where_it_was_asked_for() -> None:
    checks = frozenset({"vm-agent-ready", "vault-in-region", "agent-service"})
    assert planned(VM, wanted=Wanted(checks)).machines == ()
    plan = only(VM, wanted=Wanted(checks, named=True))
    assert plan.unrepaired == (Unrepaired((), "nothing to do: 2 of 3 checks hold, and 1 do not apply"),)


def test_only_the_checks_asked_for_are_repaired_and_all_are_judged() -> None:
    plan = only(host(), wanted=Wanted(frozenset({"agent-service"})))
    assert {check for stage in plan.stages for check in stage.repairs} == {"agent-service"}
    assert plan.unrepaired == ()
    assert len(plan.before) > 20


def test_what_cannot_be_judged_is_named_with_its_reason() -> None:
    for wanted in (Wanted(named=True), Wanted(frozenset({"guest-clock"}))):
        found = left(only(host(), wanted=wanted), "guest-clock")
        assert found is not None
        assert found.reason == "could not be judged: the guest's clock was not seen"
    assert left(only(host()), "guest-clock") is None


def test_an_earlier_report_chooses_machines_and_checks() -> None:
    reported = {
        "host/web1": Reported(host().machine, frozenset({"agent-service", "vm-agent-installed"})),
        "host/gone": Reported(host("gone").machine, frozenset({"agent-service"})),
    }
    plan = planned(host(), host("db1"), wanted=Wanted(reported=reported))
    web, gone = plan.machines
    assert (web.machine.name, gone.machine.name) == ("web1", "gone")
    assert web.stages
    mended = left(web, "vm-agent-installed")
    assert mended is not None
    assert mended.reason.startswith("the report's finding no longer stands; now pass")
    assert (gone.verdict, gone.stages) == (Verdict.UNKNOWN, ())
    assert "did not find it" in gone.unrepaired[0].reason


@pytest.mark.parametrize(
    "change", [lambda one: replace(one, cloud="china"), lambda one: replace(one, checks=())]
)
def test_the_digest_covers_what_was_planned(change: Callable[[Any], Any]) -> None:
    plan = planned(host())
    with pytest.raises(Exception, match="changed after it was made"):
        parse_plan(plan_bytes(change(plan)), "plan.json")


def test_the_digest_hangs_on_no_order_within_a_set() -> None:
    """Another process reads the members of a set in another order, as two sets that were filled apart do."""
    names = [f"remediation-{number}" for number in range(40)]
    one, other = next(
        (frozenset(pair), frozenset(pair[::-1]))
        for pair in permutations(names, 2)
        if list(frozenset(pair)) != list(frozenset(pair[::-1]))
    )
    plan = planned(host())
    first, second = (sealed(replace(plan, options=RepairOptions(allowed=each))) for each in (one, other))
    assert first.digest == second.digest


def test_every_bad_finding_is_repaired_or_explained() -> None:
    facts = [host(), vm(), VM, unproven(vm()), modelled(VM, allow_extension_operations=False)]
    for one in facts:
        for plan in planned(one, remediations=[*EVERYTHING, manual]).machines:
            bad = {check for check, how in plan.before.items() if how.status in (Status.FAIL, Status.WARN)}
            told = {check for stage in plan.stages for check in stage.repairs}
            told |= {check for entry in plan.unrepaired for check in entry.checks}
            assert bad <= told


def test_answers_of_several_hands_keep_their_order() -> None:
    second = make("second", "agent-service", answer=Manual("never", "by hand"))
    plan = only(host(), remediations=[manual, second])
    reasons = [one.reason for one in plan.unrepaired if "agent-service" in one.checks]
    assert all(a != b for a, b in pairwise(reasons))
    assert reasons == ["installed from source", "never"]
