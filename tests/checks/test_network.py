"""wire-server and internet-connectivity."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import Attempt, Facts, Unseen, known
from auditor.model import Status
from tests.checks.estate import HOST, REACHED, VM, agent, agentless, ago, finding, guested, linux, viewed

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
HTTP, PLUGIN = REACHED
NO_HTTP = replace(HTTP, stage="tcp", detail="timed out")
NO_PLUGIN = replace(PLUGIN, stage="tcp", detail="refused")
STALE = viewed(agent=agent(at=ago(hours=3)))
TIMED_OUT = Unseen("no banner within 10 s")


def wired(
    *attempts: Attempt, facts: Facts = VM, privileged: bool = True, azure: bool | Unseen | None = True
) -> Facts:
    return guested(linux(facts), wire_server=attempts, privileged=privileged, on_azure_host=azure)


def outside(**changes: Any) -> Facts:
    """A host that is not in Azure, and reaches no wire server."""
    return guested(HOST, wire_server=(NO_HTTP, NO_PLUGIN), on_azure_host=False, **changes)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (wired(*REACHED), PASS, "the guest reaches it"),
        (wired(*REACHED, privileged=False), PASS, "the guest reaches it"),
        (wired(NO_HTTP, PLUGIN), FAIL, "does not reach port 80"),
        (wired(HTTP, NO_PLUGIN), FAIL, "does not reach port 32526"),
        (wired(NO_HTTP, NO_PLUGIN), FAIL, "port 80 and 32526"),
        (wired(replace(HTTP, stage="http", detail="503"), PLUGIN), FAIL, "port 80"),
        # a failed attempt without rights proves nothing
        (wired(HTTP, NO_PLUGIN, privileged=False), PASS, "inferred"),
        (wired(HTTP, NO_PLUGIN, privileged=False, facts=STALE), UNKNOWN, "rights prove nothing"),
        (wired(NO_HTTP, NO_PLUGIN, privileged=False, facts=STALE), UNKNOWN, "no fresh heartbeat"),
        # not asked in the guest: inferred, and said so
        (VM, PASS, "inferred: a heartbeat"),
        (STALE, UNKNOWN, "no guest connection is configured for this machine; there is no fresh heartbeat"),
        (viewed(agent=agent("Unknown", code="ProvisioningState/Unavailable")), UNKNOWN, "no fresh"),
        (viewed(power_state="deallocated", agent=None), UNKNOWN, "deallocated"),
        (viewed(power_state="stopped"), UNKNOWN, "stopped"),
        (replace(VM, instance=Unseen("403")), UNKNOWN, "for this machine; 403"),
        (replace(VM, guest=TIMED_OUT), PASS, "inferred"),
        (replace(STALE, guest=TIMED_OUT), UNKNOWN, "no banner within 10 s; there is no fresh heartbeat"),
        (guested(wire_server=Unseen("no tool to connect")), PASS, "inferred"),
        (guested(wire_server=()), PASS, "inferred"),
        (guested(STALE, wire_server=()), UNKNOWN, "made no attempt"),
        (guested(STALE, wire_server=(NO_HTTP,), vm_id="other"), UNKNOWN, "identity mismatch"),
        (agentless(STALE), SKIP, "crash-consistent"),
        # outside Azure there is none
        (wired(NO_HTTP, NO_PLUGIN, facts=HOST, azure=False), SKIP, "not in Azure"),
        (wired(NO_HTTP, NO_PLUGIN, facts=HOST, azure=None), SKIP, "not in Azure"),
        (wired(NO_HTTP, NO_PLUGIN, facts=HOST, azure=Unseen("no tag")), SKIP, "nothing shows that"),
        (wired(NO_HTTP, NO_PLUGIN, facts=HOST, azure=True), FAIL, "port 80 and 32526"),
        (wired(NO_HTTP, NO_PLUGIN, facts=HOST, azure=True, privileged=False), UNKNOWN, "prove nothing"),
        (wired(*REACHED, facts=HOST, azure=None), PASS, "reaches it"),
        (guested(HOST, wire_server=Unseen("not tried as root"), on_azure_host=False), SKIP, "not in Azure"),
        (guested(HOST, wire_server=Unseen("not tried as root"), on_azure_host=True), UNKNOWN, "not tried"),
        (replace(HOST, guest=TIMED_OUT), UNKNOWN, "no banner within 10 s"),
    ],
)
def test_wire_server(facts: Facts, status: Status, text: str) -> None:
    found = finding("wire-server", facts)
    words = found.reason or found.summary
    assert (found.status, text in words) == (status, True), words


def test_an_inference_shows_the_heartbeat_it_rests_on() -> None:
    (row,) = finding("wire-server", VM).evidence
    assert (row.plane, row.source, row.observed_at) == ("instance-view", "vmAgent", ago(minutes=1))


def test_a_failed_attempt_shows_where_it_ended() -> None:
    rows = finding("wire-server", wired(HTTP, NO_PLUGIN)).evidence
    assert [row.value for row in rows] == ["ok", "tcp: refused"]


def test_a_firewall_that_would_cut_a_host_off_after_its_move_warns() -> None:
    rule = "iptables filter: -P OUTPUT DROP"
    found = finding("wire-server", outside(firewall=(rule,)))
    assert (found.status, found.summary) == (WARN, "after the move the guest's firewall would cut it off")
    assert [row.value for row in found.evidence] == [rule]
    unread = finding("wire-server", outside(firewall=Unseen("no root")))
    assert unread.status is SKIP
    assert "after a move it has to reach 168.63.129.16" in (unread.reason or "")


@pytest.mark.parametrize(("stage", "step"), [("dns", "resolve public names"), ("tcp", "Open these")])
def test_what_an_endpoint_wants_depends_on_the_step_that_failed(stage: str, step: str) -> None:
    found = finding("internet-connectivity", guested(HOST, endpoints=(Attempt("a:443", stage),)))
    assert found.summary == f"not reached from where the machine is now: a:443 ({stage})"
    assert step in (found.remediation or "")


def test_the_rules_of_the_guests_firewall_stand_beside_a_failure() -> None:
    drop = "-A OUTPUT -d 168.63.129.16/32 -j DROP"
    facts = replace(VM, guest=replace(known(wired(NO_HTTP, NO_PLUGIN).guest), firewall=(drop,)))
    row = finding("wire-server", facts).evidence[-1]
    assert (row.source, row.value) == ("firewall rule", drop)
    well = replace(VM, guest=replace(known(wired(*REACHED).guest), firewall=(drop,)))
    assert "firewall rule" not in {row.source for row in finding("wire-server", well).evidence}


LOGIN = Attempt("login.microsoftonline.com:443", "ok")
ARM = Attempt("management.azure.com:443", "ok")


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (guested(endpoints=(LOGIN, ARM)), PASS, "every endpoint reached"),
        (
            guested(endpoints=(LOGIN, replace(ARM, stage="dns"))),
            FAIL,
            "not reached: management.azure.com:443 (dns)",
        ),
        (
            guested(endpoints=(replace(LOGIN, stage="tls"), replace(ARM, stage="tcp"))),
            FAIL,
            "(tls), management",
        ),
        (guested(HOST, endpoints=(LOGIN,)), PASS, "every endpoint"),
        (guested(endpoints=()), UNKNOWN, "no endpoint was tried"),
        (guested(endpoints=Unseen("the probe has no tool for TLS")), UNKNOWN, "no tool for TLS"),
        (VM, UNKNOWN, "no guest connection"),
        (replace(HOST, guest=TIMED_OUT), UNKNOWN, "no banner within 10 s"),
        (guested(endpoints=(replace(ARM, stage="dns"),), vm_id="other"), UNKNOWN, "identity mismatch"),
    ],
)
def test_internet_connectivity(facts: Facts, status: Status, text: str) -> None:
    found = finding("internet-connectivity", facts)
    words = found.reason or found.summary
    assert (found.status, text in words) == (status, True), words


def test_proxies_are_named_by_their_place_never_by_their_address() -> None:
    facts = guested(
        endpoints=(replace(ARM, stage="tcp"),), proxies=(("https_proxy", "http://joe:s3cret@proxy:3128"),)
    )
    rows = finding("internet-connectivity", facts).evidence
    assert rows[0].value == "set in https_proxy"
    assert not any("s3cret" in row.value for row in rows)
