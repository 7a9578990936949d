"""extensions-enabled and agent-auto-update."""

from dataclasses import replace

import pytest

from auditor.facts import AZURE_NOT_ASKED, Facts, Unseen
from auditor.model import Status
from tests.checks.estate import HOST, VM, agentless, finding, guested, linux, modelled, said, windowed

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
REFUSED = Unseen("the host key changed")
HIDDEN = Unseen("/etc/waagent.conf is not readable")
FORBIDDEN = modelled(allow_extension_operations=False)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        # both planes
        (guested(linux()), PASS, "extensions are allowed"),
        (guested(linux(), extensions_enabled=False), FAIL, "told not to handle extensions"),
        (guested(linux(FORBIDDEN)), FAIL, "the VM does not allow extensions"),
        (guested(linux(), extensions_enabled=HIDDEN), UNKNOWN, "not readable"),
        (guested(linux(), extensions_enabled=None), UNKNOWN, "configuration was not found"),
        (guested(linux(), agent_is=None, extensions_enabled=None), SKIP, "no agent is installed"),
        (windowed(), PASS, "the VM allows them"),
        (windowed(FORBIDDEN), FAIL, "does not allow"),
        # Azure alone: not set means allowed, and the finding says what was not looked at
        (VM, PASS, "the agent's own configuration was not looked at"),
        (modelled(allow_extension_operations=True), PASS, "not looked at"),
        (FORBIDDEN, FAIL, "does not allow"),
        # a guest that was to be asked
        (replace(VM, guest=REFUSED), UNKNOWN, "the host key changed"),
        (replace(FORBIDDEN, guest=REFUSED), FAIL, "does not allow"),
        (guested(linux(), extensions_enabled=False, vm_id="other"), UNKNOWN, "identity mismatch"),
        # the guest alone
        (HOST, PASS, "extensions are allowed"),
        (guested(HOST, extensions_enabled=False), FAIL, "told not to"),
        (windowed(HOST), SKIP, "Windows agents have no such setting"),
        (replace(VM, model=AZURE_NOT_ASKED), SKIP, "no guest connection"),
        (agentless(FORBIDDEN), SKIP, "crash-consistent"),
    ],
)
def test_extensions_enabled(facts: Facts, status: Status, text: str) -> None:
    got, words = said("extensions-enabled", facts)
    assert (got, text in words) == (status, True), words


def test_both_settings_stand_in_the_evidence() -> None:
    rows = finding("extensions-enabled", guested(linux(), extensions_enabled=False)).evidence
    assert [(row.source, row.value) for row in rows] == [
        ("allowExtensionOperations", "not set, which means true"),
        ("Extensions.Enabled", "n"),
    ]


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (guested(linux(), auto_update=True), PASS, "updates itself"),
        (guested(linux(), auto_update=False), WARN, "automatic update is off"),
        (guested(HOST, auto_update=False), WARN, "automatic update is off"),
        (guested(linux(), auto_update=HIDDEN), UNKNOWN, "not readable"),
        (guested(linux(), auto_update=None), UNKNOWN, "was not found"),
    ],
)
def test_agent_auto_update(facts: Facts, status: Status, text: str) -> None:
    got, words = said("agent-auto-update", facts)
    assert (got, text in words) == (status, True), words
