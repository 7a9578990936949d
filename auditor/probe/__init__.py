"""What is asked inside a guest: one script, one round trip, one JSON document back."""

import re
import shlex
from collections.abc import Iterable
from functools import cache
from importlib import resources

from auditor.errors import RuleSetError
from auditor.probe.parse import parse
from auditor.rules import Endpoint

__all__ = ["linux_script", "parse"]

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:-]{0,252})")


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
    return (resources.files(__package__) / "linux.sh").read_text(encoding="utf-8")
