"""What is asked inside a guest: a few fixed scripts, and how their output becomes facts."""

import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from importlib import resources

from auditor.errors import HostError, RuleSetError
from auditor.facts import Guest, Unseen
from auditor.hosts import Script
from auditor.probe.answer import Answer, Probe
from auditor.probe.parse import parse
from auditor.probe.windows import windows_probe
from auditor.rules import Endpoint
from auditor.text import one_line

__all__ = ["Answer", "Probe", "linux_probe", "linux_script", "parse", "windows_probe"]

_LINUX = (
    "linux_words", "linux_machine", "linux_storage", "linux_agent", "linux_network", "linux_interfaces",
    "linux_firewall", "linux",
)  # fmt: skip
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:-]{0,252})")


def linux_probe(endpoints: Iterable[Endpoint]) -> Probe:
    """The Linux probe: one script, one round trip; raises `RuleSetError` for an unusable endpoint."""
    return Probe((Script(linux_script(endpoints)),), _read_linux)


def _read_linux(answers: Sequence[Answer], observed_at: datetime, transport: str) -> Guest:
    answer = answers[0]
    if isinstance(answer, Unseen):
        raise HostError(answer.reason)
    try:
        return parse(answer.stdout, observed_at=observed_at, transport=transport)
    except HostError as error:
        said = one_line(answer.stderr)
        told = f"; it complained: {said}" if said else ""
        raise HostError(f"{error} (exit status {answer.exit_status}){told}") from error


def linux_script(endpoints: Iterable[Endpoint]) -> str:
    """The Linux probe with its endpoints as quoted arguments; raises `RuleSetError` for an unusable one."""
    arguments = " ".join(shlex.quote(_argument(endpoint)) for endpoint in endpoints)
    return f"set -- {arguments}\n{_linux()}"


def _argument(endpoint: Endpoint) -> str:
    if not _HOST.fullmatch(endpoint.host) or not 0 < endpoint.port < 65536:
        raise RuleSetError(f"the endpoint {endpoint.host!r}:{endpoint.port} is no host name and port")
    return f"{'tls' if endpoint.tls else 'tcp'}/{endpoint.port}/{endpoint.host}"


@cache
def _linux() -> str:
    folder = resources.files(__package__)
    return "\n".join((folder / f"{part}.sh").read_text(encoding="utf-8") for part in _LINUX)
