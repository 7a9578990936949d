"""The contract between a probe and whoever runs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from auditor.facts import Guest, Unseen
from auditor.hosts import CommandResult, Script

Answer = CommandResult | Unseen
"""What one script left behind, or why it could not be run to its end."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The scripts for one guest, to be run in this order, and what reads their answers.

    `read` takes one answer per script, the time of the last one and the transport; it raises `HostError`
    where nothing usable came back.
    """

    scripts: tuple[Script, ...]
    read: Callable[[Sequence[Answer], datetime, str], Guest]
