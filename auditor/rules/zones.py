"""Windows time-zone names, as Azure writes them, and the zones they stand for."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, tzinfo
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def time_zone(name: str) -> tzinfo | None:
    """The zone of a Windows name, without regard to case; None where nobody knows it.

    None too where this machine has no time-zone data (Windows without the package tzdata).
    """
    if name.strip().lower() == "utc":
        return UTC
    known = windows_zones().get(name.strip().lower())
    try:
        return ZoneInfo(known) if known else None
    except ZoneInfoNotFoundError:
        return None


@cache
def windows_zones() -> Mapping[str, str]:
    """IANA names by the Windows name in lower case."""
    text = (resources.files("auditor.rules") / "windows-zones.toml").read_text(encoding="utf-8")
    return {name.lower(): zone for name, zone in tomllib.loads(text)["zone"].items()}
