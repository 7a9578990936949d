"""Reading a rule-set file: every mistake is named with its file and key."""

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from auditor.errors import RuleSetError
from auditor.model import Severity
from auditor.rules.ruleset import Endpoint, Rule, Rules, Value

SHIPPED = "default.toml"
A_YEAR = 366 * 24 * 60
VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){1,3}")
TABLES = ("name", "severity", "rule", "endpoint")
RULE_KEYS = ("value", "source", "date")
ENDPOINT_TYPES: Mapping[str, type] = {"host": str, "port": int, "tls": bool, "why": str}

KINDS = {str: "a text", int: "a whole number", bool: "true or false"}


def load_rules(path: Path | None = None, checks: Collection[str] = ()) -> Rules:
    """The shipped rule set with `path` laid over it; raises `RuleSetError` naming file and key.

    `checks` are the ids that `[severity]` may name besides ours: those of installed plugins.
    """
    base = _shipped()
    if path is None:
        return base
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleSetError(f"cannot read rule set {path}: {error}") from error
    change = _parse(text, str(path))
    _refuse_unknown(str(path), "table", change, TABLES)
    return _overlay(base, change, str(path), checks)


def default_rules_text() -> str:
    """The shipped rule set as it stands in its file, to copy and change."""
    return (resources.files("auditor.rules") / SHIPPED).read_text(encoding="utf-8")


@cache
def _shipped() -> Rules:
    data = _parse(default_rules_text(), SHIPPED)
    return Rules(
        name=data["name"],
        severities=_severities(data["severity"], SHIPPED),
        values={key: _rule(SHIPPED, key, row, None) for key, row in data["rule"].items()},
        endpoints=_endpoints(data["endpoint"], SHIPPED),
    )


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RuleSetError(f"{where} is not valid TOML: {error}") from error


def _overlay(base: Rules, change: Mapping[str, Any], where: str, checks: Collection[str]) -> Rules:
    severity = _table(where, "severity", change.get("severity", {}))
    rules = _table(where, "rule", change.get("rule", {}))
    _refuse_unknown(where, "check in [severity]", severity, {*base.severities, *checks})
    _refuse_unknown(where, "rule", rules, base.values)
    values = {key: _rule(where, key, row, base.values[key]) for key, row in rules.items()}
    return Rules(
        name=_name(where, change.get("name", Path(where).name)),
        severities={**base.severities, **_severities(severity, where)},
        values={**base.values, **values},
        endpoints=_endpoints(change["endpoint"], where) if "endpoint" in change else base.endpoints,
    )


def _name(where: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RuleSetError(f"{where}: name is {value!r}, not a text")
    return value


def _table(where: str, key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RuleSetError(f"{where}: {key} is {value!r}, not a table; write [{key}]")
    return value


def _severities(table: Mapping[str, Any], where: str) -> dict[str, Severity]:
    known = [severity.value for severity in Severity]
    for check, value in table.items():
        if value not in known:
            raise RuleSetError(f"{where}: severity.{check} is {value!r}; known: {', '.join(known)}")
    return {check: Severity(value) for check, value in table.items()}


def _rule(where: str, key: str, row: object, shipped: Rule | None) -> Rule:
    table = _table(where, f"rule.{key}", row)
    _refuse_unknown(where, f"key in [rule.{key}]", table, RULE_KEYS)
    for name in RULE_KEYS:
        if name not in table:
            raise RuleSetError(f"{where}: rule.{key} has no {name}; every rule has {', '.join(RULE_KEYS)}")
    value = tuple(table["value"]) if isinstance(table["value"], list) else table["value"]
    if shipped is not None:
        _refuse_unlike(where, key, value, shipped.value)
    source, day = table["source"], table["date"]
    if not isinstance(source, str):
        raise RuleSetError(f"{where}: rule.{key}.source is {source!r}, not a text")
    if not isinstance(day, date) or isinstance(day, datetime):
        raise RuleSetError(f"{where}: rule.{key}.date is {day!r}, not a date such as 2026-03-25")
    return Rule(value, source, day)


def _refuse_unlike(where: str, key: str, value: Value, shipped: Value) -> None:
    if _kind(value) != _kind(shipped):
        raise RuleSetError(f"{where}: rule.{key}.value is {value!r}, not {_kind(shipped)}")
    if isinstance(value, int | float) and not 0 <= value <= A_YEAR:
        raise RuleSetError(f"{where}: rule.{key}.value is {value!r}, not from 0 to {A_YEAR}")
    if key.endswith("-floor") and not VERSION.fullmatch(str(value)):
        raise RuleSetError(f"{where}: rule.{key}.value is {value!r}, not a version such as 2.7.41491.1010")


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case tuple():
            return "a list of " + (" and ".join(sorted({_kind(item) for item in value})) or "nothing")
        case _:
            return "a rule's value"


def _endpoints(rows: object, where: str) -> tuple[Endpoint, ...]:
    if not isinstance(rows, list):
        raise RuleSetError(f"{where}: endpoint is {rows!r}, not a list; write [[endpoint]]")
    return tuple(_endpoint(where, f"endpoint {number}", row) for number, row in enumerate(rows, 1))


def _endpoint(where: str, name: str, row: object) -> Endpoint:
    table = _table(where, name, row)
    _refuse_unknown(where, f"key in {name}", table, ENDPOINT_TYPES)
    for key, kind in ENDPOINT_TYPES.items():
        if key not in table:
            raise RuleSetError(f"{where}: {name} has no {key}")
        if type(table[key]) is not kind:
            raise RuleSetError(f"{where}: {name}: {key} is {table[key]!r}, not {KINDS[kind]}")
    if not 0 < table["port"] < 65536:
        raise RuleSetError(f"{where}: {name}: port is {table['port']!r}, not one from 1 to 65535")
    return Endpoint(table["host"], table["port"], table["tls"], table["why"])


def _refuse_unknown(where: str, what: str, given: Iterable[str], known: Iterable[str]) -> None:
    names = sorted(known)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise RuleSetError(f"{where}: unknown {what}: {name!r}; {hint}known: {', '.join(names)}")
