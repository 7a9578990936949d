"""What a rule set holds once it is read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import date, timedelta

from auditor.errors import RuleSetError
from auditor.model import Severity

Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One value with the place it was read and the day it was true."""

    value: Value
    source: str
    date: date


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place on the internet that a guest tries to reach; TLS is verified when `tls` is true."""

    host: str
    port: int
    tls: bool
    why: str


@dataclass(frozen=True, slots=True)
class Rules:
    """A rule set, checked and complete."""

    name: str
    severities: Mapping[str, Severity]
    values: Mapping[str, Rule]
    endpoints: tuple[Endpoint, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of all that is judged by, whatever the rule set is called."""
        values = {key: rule.value for key, rule in self.values.items()}
        content = [dict(self.severities), values, [astuple(endpoint) for endpoint in self.endpoints]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def severity(self, check: str, default: Severity) -> Severity:
        """The severity of a check, or the check's own where the rule set names none."""
        return self.severities.get(check, default)

    def text(self, key: str) -> str:
        """The value of a rule as text."""
        return str(self._rule(key).value)

    def texts(self, key: str) -> tuple[str, ...]:
        """The value of a rule as a list of texts."""
        value = self._rule(key).value
        return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)

    def number(self, key: str) -> float:
        """The value of a rule as a number; raises `RuleSetError` where it is none."""
        value = self._rule(key).value
        if isinstance(value, int | float):
            return float(value)
        raise RuleSetError(f"rule set {self.name}: rule {key!r} is {value!r}, not a number")

    def minutes(self, key: str) -> timedelta:
        """The value of a rule, a number of minutes."""
        return timedelta(minutes=self.number(key))

    def hours(self, key: str) -> timedelta:
        """The value of a rule, a number of hours."""
        return timedelta(hours=self.number(key))

    def _rule(self, key: str) -> Rule:
        try:
            return self.values[key]
        except KeyError:
            raise RuleSetError(f"rule set {self.name} has no rule {key!r}") from None
