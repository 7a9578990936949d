"""agent-service."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import Facts, Service, Unseen
from auditor.model import Status
from tests.checks.estate import GUEST_AGENT, HOST, RD_AGENT, finding, guested, linux, said, windowed

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
UNREAD = Unseen("the chassis tag is not readable")


def services(*found: Service) -> Facts:
    return windowed(agent_is={"services": found})


def rd_agent(**changes: Any) -> Facts:
    return services(replace(RD_AGENT, **changes), GUEST_AGENT)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (windowed(), PASS, "both services run"),
        (rd_agent(start="delayed"), PASS, "both services run"),
        (rd_agent(name="RDAGENT"), PASS, "both services run"),
        # the telemetry service is not asked for, whatever it does
        (services(RD_AGENT, GUEST_AGENT, Service("WindowsAzureTelemetryService", "stopped")), PASS, "both"),
        (services(RD_AGENT), FAIL, "the service WindowsAzureGuestAgent does not exist"),
        (services(GUEST_AGENT), FAIL, "the service RdAgent does not exist"),
        (services(), FAIL, "the service RdAgent does not exist"),
        (rd_agent(present=False), FAIL, "the program of RdAgent is missing"),
        (rd_agent(present=None), PASS, "both services run"),
        (rd_agent(state="stopped"), FAIL, "RdAgent is stopped"),
        (rd_agent(state="stopped", start="disabled"), FAIL, "RdAgent is stopped and disabled"),
        (rd_agent(state="paused"), FAIL, "RdAgent is paused"),
        (rd_agent(state="stop-pending"), FAIL, "RdAgent hangs while stopping"),
        (
            services(replace(RD_AGENT, state="stopped"), replace(GUEST_AGENT, state="stop-pending")),
            FAIL,
            "RdAgent is stopped; WindowsAzureGuestAgent hangs while stopping",
        ),
        (rd_agent(state="start-pending"), WARN, "RdAgent is still starting"),
        (rd_agent(start="manual"), WARN, "runs but its start is manual"),
        (rd_agent(start="disabled"), WARN, "runs but its start is disabled"),
        (rd_agent(start=None), PASS, "both services run"),
        (rd_agent(state=None), UNKNOWN, "the state of RdAgent was not seen"),
        (services(replace(RD_AGENT, state=None), replace(GUEST_AGENT, state="stopped")), FAIL, "stopped"),
        (windowed(agent_is=Unseen("reg said nothing")), UNKNOWN, "reg said nothing"),
    ],
)
def test_windows(facts: Facts, status: Status, text: str) -> None:
    got, words = said("agent-service", facts)
    assert (got, text in words) == (status, True), words


def unit(facts: Facts = HOST, **changes: Any) -> Facts:
    azure_host = changes.pop("azure", True)
    return guested(facts, agent_is=changes, on_azure_host=azure_host)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (HOST, PASS, "walinuxagent runs"),
        (guested(linux()), PASS, "walinuxagent runs"),
        (unit(unit="waagent"), PASS, "waagent runs"),
        (unit(active="reloading"), PASS, "runs"),
        (unit(enabled=None), PASS, "runs"),
        (unit(enabled="static"), PASS, "runs"),
        (unit(enabled="disabled"), WARN, "runs but is disabled"),
        (unit(enabled="masked"), WARN, "runs but is masked"),
        (unit(active="inactive"), FAIL, "walinuxagent is inactive and enabled"),
        (unit(active="inactive", enabled="disabled"), FAIL, "inactive and disabled"),
        (unit(active="inactive", enabled="masked"), FAIL, "inactive and masked"),
        (unit(active="failed"), FAIL, "failed and enabled"),
        (unit(unit=None, active="not-found", enabled=None), FAIL, "no service that would start it"),
        (unit(unit=None, active="not-found", enabled=None, azure=False), FAIL, "no service"),
        (unit(active="activating"), FAIL, "activating and enabled"),
        (unit(active=None), UNKNOWN, "was not seen"),
        (guested(HOST, agent_is=Unseen("systemctl hangs")), UNKNOWN, "systemctl hangs"),
        # Debian's unit starts on Azure hosts only
        (unit(active="inactive", azure=False), SKIP, "on an Azure host only"),
        (unit(active="inactive", azure=UNREAD), UNKNOWN, "the chassis tag is not readable"),
        (unit(active="inactive", enabled="masked", azure=False), FAIL, "masked"),
        (unit(active="inactive", enabled="disabled", azure=False), FAIL, "disabled"),
        (unit(active="failed", azure=False), FAIL, "failed"),
        (unit(active="failed", azure=UNREAD), FAIL, "failed"),
        (unit(linux(), active="inactive"), FAIL, "inactive"),
    ],
)
def test_linux(facts: Facts, status: Status, text: str) -> None:
    got, words = said("agent-service", facts)
    assert (got, text in words) == (status, True), words


def test_each_service_stands_in_the_evidence() -> None:
    rows = finding("agent-service", services(RD_AGENT)).evidence
    assert [(row.source, row.value.partition(", C:")[0]) for row in rows] == [
        ("service RdAgent", "running, automatic"),
        ("service WindowsAzureGuestAgent", "not found"),
    ]


def test_the_next_step_fits_the_fault() -> None:
    assert "MSI" in str(finding("agent-service", services(RD_AGENT)).remediation)
    assert "automatically" in str(finding("agent-service", rd_agent(state="stopped")).remediation)
    assert "unmask" in str(finding("agent-service", unit(active="inactive", enabled="masked")).remediation)
