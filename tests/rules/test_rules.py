"""Rule sets: what ships, what a user's file changes, and how each mistake is named."""

import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import RuleSetError
from auditor.model import Severity
from auditor.rules import Endpoint, Rule, default_rules_text, load_rules
from checks import CHECKS
from checks.versions import parse_version

SHIPPED = load_rules()
DATED = 'source = "us"\ndate = 2026-01-02\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_check_has_a_severity_and_nothing_else_has() -> None:
    assert set(SHIPPED.severities) == {check.id for check in CHECKS}


def test_every_shipped_rule_has_a_source_and_a_date() -> None:
    for rule in SHIPPED.values.values():
        assert rule.source
        assert date(2017, 1, 1) <= rule.date <= date(2026, 12, 31)


@pytest.mark.parametrize("key", [key for key in SHIPPED.values if key.endswith("-floor")])
def test_every_floor_is_a_version(key: str) -> None:
    assert parse_version(SHIPPED.text(key)) is not None


def test_the_numbers_that_the_checks_rest_on() -> None:
    assert SHIPPED.text("windows-agent-floor") == "2.6.1198.718"
    assert SHIPPED.text("windows-agent-support-floor") == "2.7.41491.1010"
    assert SHIPPED.text("linux-agent-floor") == "2.2.20"
    assert SHIPPED.text("linux-agent-support-floor") == "2.2.53.1"
    assert SHIPPED.minutes("heartbeat-minutes") == timedelta(minutes=15)
    assert SHIPPED.minutes("settle-minutes") == timedelta(minutes=10)
    assert SHIPPED.minutes("transition-minutes") == timedelta(minutes=20)
    assert SHIPPED.hours("recovery-point-hours-daily") == timedelta(hours=48)
    assert SHIPPED.texts("healthy-codes") == ("0", "400239")
    assert all(endpoint.tls and endpoint.port == 443 for endpoint in SHIPPED.endpoints)


def test_a_copy_of_the_shipped_file_changes_nothing(tmp_path: Path) -> None:
    assert load_rules(write(tmp_path, default_rules_text())) == SHIPPED


def test_the_digest_goes_by_what_is_judged_by_and_not_by_the_name(tmp_path: Path) -> None:
    assert load_rules(write(tmp_path, 'name = "mine"\n')).digest == SHIPPED.digest
    changed = [
        '[severity]\nbackup-health = "blocker"\n',
        f"[rule.heartbeat-minutes]\nvalue = 30.5\n{DATED}",
        '[[endpoint]]\nhost = "a.example"\nport = 443\ntls = true\nwhy = "ours"\n',
    ]
    digests = {load_rules(write(tmp_path, text)).digest for text in changed}
    assert len(digests | {SHIPPED.digest}) == 4


def test_a_partial_file_changes_only_what_it_holds(tmp_path: Path) -> None:
    text = f'[severity]\nbackup-health = "blocker"\n[rule.heartbeat-minutes]\nvalue = 30.5\n{DATED}'
    rules = load_rules(write(tmp_path, text))
    assert rules.severity("backup-health", Severity.INFO) is Severity.BLOCKER
    assert rules.minutes("heartbeat-minutes") == timedelta(minutes=30.5)
    assert rules.values["heartbeat-minutes"] == Rule(30.5, "us", date(2026, 1, 2))
    assert {**rules.severities, "backup-health": Severity.DEGRADED} == SHIPPED.severities
    assert {**rules.values, "heartbeat-minutes": SHIPPED.values["heartbeat-minutes"]} == SHIPPED.values
    assert rules.endpoints == SHIPPED.endpoints


@pytest.mark.parametrize(("text", "name"), [("", "mine.toml"), ('name = "ours"', "ours")])
def test_a_rule_set_is_called_by_its_name_or_its_file(tmp_path: Path, text: str, name: str) -> None:
    assert load_rules(write(tmp_path, text)).name == name


def test_endpoints_replace_the_shipped_ones(tmp_path: Path) -> None:
    text = '[[endpoint]]\nhost = "proxy.example"\nport = 8080\ntls = false\nwhy = "ours"\n'
    assert load_rules(write(tmp_path, text)).endpoints == (Endpoint("proxy.example", 8080, False, "ours"),)
    assert load_rules(write(tmp_path, "endpoint = []")).endpoints == ()


def test_a_strangers_check_may_have_a_severity(tmp_path: Path) -> None:
    path = write(tmp_path, '[severity]\nour-own = "info"\n')
    assert load_rules(path, ["our-own"]).severity("our-own", Severity.BLOCKER) is Severity.INFO
    with pytest.raises(RuleSetError, match="our-own"):
        load_rules(path)


def rule(key: str, value: str, more: str = DATED) -> str:
    return f"[rule.{key}]\nvalue = {value}\n{more}"


ENDPOINT = '[[endpoint]]\nhost = "a"\nport = 443\ntls = true\nwhy = "w"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not toml", "is not valid TOML"),
        (f"name = {'9' * 5000}", "is not valid TOML"),
        (f"name = {'[' * 10_000}", "is not valid TOML"),
        ("[limits]\na = 1\n", "unknown table: 'limits'; known: endpoint, name, rule, severity"),
        ("name = 5", "name is 5, not a text"),
        ('name = " "', "not a text"),
        ("severity = 5", "severity is 5, not a table"),
        ('[severity]\nvm-agent-redy = "info"\n', "did you mean 'vm-agent-ready'"),
        ('[severity]\nwire-server = "fatal"\n', "severity.wire-server is 'fatal'; known: blocker, degraded"),
        ("[severity]\nwire-server = 1\n", "severity.wire-server is 1"),
        ("[severity]\nwire-server = [1]\n", "severity.wire-server is [1]"),
        ("rule = []", "rule is [], not a table"),
        ("[rule]\nheartbeat-minutes = 5\n", "rule.heartbeat-minutes is 5, not a table"),
        (rule("heartbeat-minute", "5"), "did you mean 'heartbeat-minutes'"),
        (rule("heartbeat-minutes", "5", "source = 's'\ndate = 2026-01-02\nwhy = 'x'"), "'why'"),
        (f"[rule.heartbeat-minutes]\n{DATED}", "rule.heartbeat-minutes has no value"),
        (rule("heartbeat-minutes", "5", "date = 2026-01-02"), "rule.heartbeat-minutes has no source"),
        (rule("heartbeat-minutes", "5", "source = 's'"), "rule.heartbeat-minutes has no date"),
        (rule("heartbeat-minutes", "5", "source = 5\ndate = 2026-01-02"), "source is 5, not a text"),
        (rule("heartbeat-minutes", "5", "source = 's'\ndate = 'today'"), "date is 'today', not a date"),
        (
            rule("heartbeat-minutes", "5", "source = 's'\ndate = 2026-01-02T03:04:05Z"),
            "not a date such as 2026-03-25",
        ),
        (rule("heartbeat-minutes", "'15'"), "value is '15', not a number"),
        (rule("heartbeat-minutes", "true"), "value is True, not a number"),
        (rule("heartbeat-minutes", "-1"), "not from 0 to"),
        (rule("heartbeat-minutes", "nan"), "not from 0 to"),
        (rule("heartbeat-minutes", "inf"), "not from 0 to"),
        (rule("windows-agent-floor", "2.6"), "value is 2.6, not a text"),
        (rule("windows-agent-floor", "'newest'"), "not a version such as"),
        (rule("healthy-codes", "0"), "not a list of a number"),
        (rule("healthy-codes", "[0, 'x']"), "not a list of a number"),
        (rule("healthy-codes", "[]"), "not a list of a number"),
        (rule("extension-types", "{ a = 1 }"), "not a list of a text"),
        ("endpoint = 5", "endpoint is 5, not a list"),
        ("endpoint = [5]", "endpoint 1 is 5, not a table"),
        (ENDPOINT + ENDPOINT.replace('host = "a"\n', ""), "endpoint 2 has no host"),
        (ENDPOINT.replace("443", "'443'"), "port is '443', not a whole number"),
        (ENDPOINT.replace("443", "true"), "port is True"),
        (ENDPOINT.replace("443", "0"), "not one from 1 to 65535"),
        (ENDPOINT.replace("443", "65536"), "not one from 1 to 65535"),
        (ENDPOINT.replace("tls = true", "tls = 1"), "tls is 1"),
        (ENDPOINT + "path = '/'\n", "unknown key in endpoint 1: 'path'"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RuleSetError) as caught:
        load_rules(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleSetError, match=r"nowhere\.toml"):
        load_rules(tmp_path / "nowhere.toml")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'name = "\xe9"')
    with pytest.raises(RuleSetError, match=r"latin\.toml"):
        load_rules(latin)


TOML = st.recursive(
    st.sampled_from(["1", "-2.5", "true", "'text'", "2026-01-02", "[]"]),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]")
        | inner.map(lambda item: f"{{ value = {item}, host = {item} }}")
    ),
    max_leaves=5,
)


@given(
    st.sampled_from(["name", "severity", "rule", "endpoint", "rule.settle-minutes", "severity.wire-server"]),
    TOML,
)
def test_any_toml_is_a_rule_set_or_a_named_mistake(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: str
) -> None:
    path = write(tmp_path_factory.mktemp("rules"), f"{key} = {value}\n")
    tomllib.loads(path.read_text(encoding="utf-8"))
    said = str(path)
    try:
        load_rules(path)
    except RuleSetError as error:
        said = str(error)
    assert str(path) in said


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda: SHIPPED.text("no-such-rule"), "no rule 'no-such-rule'"),
        (lambda: SHIPPED.number("windows-agent-floor"), "not a number"),
    ],
)
def test_a_check_that_asks_wrongly_is_told(read: object, words: str) -> None:
    with pytest.raises(RuleSetError, match=words):
        read()  # type: ignore[operator]


def test_one_text_reads_as_a_list_of_one() -> None:
    assert SHIPPED.texts("windows-agent-floor") == ("2.6.1198.718",)
