"""Settings: defaults < file < environment < command line, each value with the place it came from.

`OPTIONS` is the one table: the command line, the environment variables, the settings file, the
help texts and `auditor config show` are all made from it.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from platformdirs import user_config_path

from auditor.errors import SettingsError
from auditor.inventory.scope import Scope
from auditor.settings.options import OPTIONS, PREFIX, Option
from auditor.settings.values import expanded

__all__ = ["OPTIONS", "Option", "Settings", "Value", "find_file", "resolve", "settings"]

FILE_NAME = "auditor.toml"
_BY_NAME = {option.name: option for option in OPTIONS}


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and the place that set it."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, validated.

    `azure` tells whether Azure is asked at all, `list_vms` whether its VMs are part of the run.
    """

    cloud: str
    ca_bundle: Path | None
    azure: bool
    list_vms: bool
    scope: Scope
    inventory: tuple[Path, ...]
    target_region: str | None
    connections: Path | None
    user: str | None
    key: Path | None
    ssh_config: Path | None
    run_command: bool
    command_timeout: float
    known_hosts: Path | None
    host_key_policy: str
    rules: Path | None
    check: tuple[str, ...]
    skip_check: tuple[str, ...]
    fail_on: str
    format: tuple[str, ...]
    output: Path
    concurrency: int
    connect_timeout: float
    host_deadline: float
    throttle_wait: float


def resolve(
    command_line: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
    *,
    read_file: bool = True,
) -> dict[str, Value]:
    """Every option's value and origin; raises `SettingsError` naming the origin of a bad value."""
    environment = os.environ if environment is None else environment
    values = {option.name: Value(option.default, "default") for option in OPTIONS}
    if read_file:
        values |= _from_file(file or find_file(environment))
    values |= _from_environment(environment)
    values |= _from_command_line(command_line)
    return values


def settings(values: Mapping[str, Value]) -> Settings:
    """The typed settings of resolved values."""
    plain = {name: value.value for name, value in values.items()}
    scope = Scope(
        subscriptions=plain.pop("subscription"),
        management_groups=plain.pop("management_group"),
        resource_groups=plain.pop("resource_group"),
        vms=plain.pop("vm"),
        tags=plain.pop("tag"),
        locations=plain.pop("location"),
    )
    plain["list_vms"] = _with_azure(values)
    vaults_alone = plain["inventory"] and plain["target_region"] and plain["azure"] is None
    plain["azure"] = plain["list_vms"] or bool(vaults_alone)
    return Settings(scope=scope, **plain)


def _with_azure(values: Mapping[str, Value]) -> bool:
    """Whether Azure's VMs are audited; a cloud alone says only where the vaults of a target region are."""
    chosen = values["azure"].value
    if chosen is not None:
        return bool(chosen)
    selectors = ["subscription", "management_group", "resource_group"]
    if not values["target_region"].value:
        selectors.append("cloud")
    return not values["inventory"].value or any(values[name].origin != "default" for name in selectors)


def find_file(environment: Mapping[str, str]) -> Path | None:
    """The settings file: AUDITOR_CONFIG, else the present folder's, else the user's."""
    if named := environment.get(PREFIX + "CONFIG"):
        try:
            return expanded(named)
        except ValueError as error:
            raise SettingsError(f"environment AUDITOR_CONFIG: {error}; got {named!r}") from error
    candidates = (Path(FILE_NAME), user_config_path("auditor", appauthor=False) / FILE_NAME)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _from_file(path: Path | None) -> dict[str, Value]:
    if path is None:
        return {}
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"cannot read settings file {path}: {error}") from error
    origin = f"file {path}"
    return {option.name: _value(option, data[key], origin) for key, option in _file_options(data, path)}


def _file_options(data: Mapping[str, Any], path: Path) -> list[tuple[str, Option]]:
    names = {key: key.replace("-", "_") for key in data}
    for key, name in names.items():
        if name not in _BY_NAME:
            raise SettingsError(f"settings file {path}: unknown setting {key!r}{_hint(name)}")
        if key != name and name in data:
            raise SettingsError(f"settings file {path}: {key!r} and {name!r} are the same setting; keep one")
    return [(key, _BY_NAME[name]) for key, name in names.items()]


def _from_environment(environment: Mapping[str, str]) -> dict[str, Value]:
    values = {}
    for option in OPTIONS:
        raw = environment.get(option.variable)
        if raw:
            content = raw.split(",") if option.many else raw
            values[option.name] = _value(option, content, f"environment {option.variable}")
    return values


def _from_command_line(given: Mapping[str, Any]) -> dict[str, Value]:
    return {
        name: _value(_BY_NAME[name], value, "command line")
        for name, value in given.items()
        if value is not None and value != []
    }


def _value(option: Option, raw: Any, origin: str) -> Value:
    try:
        return Value(_many(option, raw) if option.many else option.parse(raw), origin)
    except (ValueError, TypeError) as error:
        place = option.flag if origin == "command line" else origin
        raise SettingsError(f"{place}: {option.name} {error}; got {raw!r}") from error


def _many(option: Option, raw: Any) -> tuple[Any, ...]:
    items = [raw] if isinstance(raw, str) else cast("Sequence[Any]", raw)
    if not isinstance(items, list | tuple):
        raise ValueError("must be a list")
    if option.split:
        items = [part for item in items for part in (item.split(",") if isinstance(item, str) else [item])]
    return tuple(option.parse(item.strip() if isinstance(item, str) else item) for item in items)


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, _BY_NAME, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(_BY_NAME)}"
