"""The Windows probe: a few fixed scripts, and how their answers become facts."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from auditor.errors import HostError
from auditor.facts import Guest
from auditor.hosts import Script, Shell
from auditor.probe.answer import Answer, Probe
from auditor.rules import Endpoint


def windows_probe(endpoints: Iterable[Endpoint]) -> Probe:
    """The Windows probe; raises `RuleSetError` for an unusable endpoint."""
    tuple(endpoints)
    return Probe((Script("ver", Shell.CMD),), _read)


def _read(_answers: Sequence[Answer], _observed_at: datetime, _transport: str) -> Guest:
    raise HostError("Windows guests are not read yet")
