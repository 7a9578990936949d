"""The registry, and the page that describes it."""

import re
from pathlib import Path

import pytest

from auditor.model import Plane
from auditor.plugin import Check, load_checks
from auditor.rules import load_rules
from checks import CHECKS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `([a-z-]+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PARTS = ("What.", "Why.", "How it is found.", "Traps.", "How it is repaired.", "Sources.")
CONTRACT = [
    "guest-identity",
    "vm-agent-installed",
    "vm-agent-ready",
    "agent-service",
    "vm-agent-version",
    "agent-auto-update",
    "agent-certificate",
    "extensions-enabled",
    "backup-extension",
    "extension-health",
    "vault-in-region",
    "backup-protection",
    "backup-health",
    "wire-server",
    "internet-connectivity",
    "guest-dhcp",
    "guest-proxy",
    "guest-clock",
    "guest-disk-space",
    "linux-python",
    "linux-freeze",
    "windows-prerequisites",
    "windows-vss",
    "os-supported",
    "agent-installable",
]
each = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)


def test_the_ids_are_a_contract() -> None:
    assert [check.id for check in CHECKS] == CONTRACT


def test_our_checks_come_through_their_entry_point() -> None:
    assert load_checks()[: len(CHECKS)] == CHECKS


def test_the_page_has_one_section_per_check_in_the_same_order() -> None:
    assert list(SECTIONS) == CONTRACT


@each
def test_a_section_opens_with_title_severity_and_planes(check: Check) -> None:
    severity = load_rules().severity(check.id, check.severity)
    planes = ", ".join(plane for plane in Plane if plane in check.planes)
    opening = SECTIONS[check.id].strip().splitlines()[0]
    assert opening == f"**{check.title}** · severity: {severity} · reads: {planes}"


@each
def test_a_section_has_every_part_in_order(check: Check) -> None:
    assert tuple(re.findall(r"^\*([A-Z][^*]*\.)\*", SECTIONS[check.id], re.MULTILINE)) == PARTS


@each
def test_a_section_names_the_sources_of_the_explanation(check: Check) -> None:
    assert tuple(re.findall(r"^- (.*)$", SECTIONS[check.id], re.MULTILINE)) == check.explanation.sources


def test_the_page_names_only_rules_that_exist() -> None:
    rules = load_rules()
    named = set(re.findall(r"`([a-z-]+-(?:minutes|floor|hours-\w+|codes))`", PAGE)) - {"error-codes"}
    assert named
    assert named <= set(rules.values)


@each
def test_an_explanation_is_complete(check: Check) -> None:
    explanation = check.explanation
    texts = (explanation.what, explanation.why, explanation.evidence, explanation.repair)
    assert all(text.endswith(".") and len(text) > 30 for text in texts)
    assert explanation.sources
