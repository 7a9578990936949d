"""Settings: defaults < file < environment < command line, each value with the place it came from.

`OPTIONS` is the one table: the command line, the environment variables, the settings file, the
help texts and `auditor config show` are all made from it.
"""

import difflib
import math
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from platformdirs import user_config_path

from auditor.errors import SettingsError
from auditor.inventory.scope import Scope

FILE_NAME = "auditor.toml"
PREFIX = "AUDITOR_"

Parse = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    return value


def _path(value: Any) -> Path:
    if "\0" in _text(value):
        raise ValueError("must be a path, and holds a NUL character")
    return _expanded(value)


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # ~name of nobody, or a user without a home
        raise ValueError("must be a path whose ~ names a home folder") from error


def _number(value: Any) -> float:
    """The value as a finite number, 0 where it is none."""
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _count(value: Any) -> int:
    number = _number(value)
    if number < 1 or number != int(number):
        raise ValueError("must be a whole number of 1 or more")
    return int(number)


def _seconds(value: Any) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError("must be a number of seconds above 0")
    return number


def _flag(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError("must be true or false")


def _choice(*words: str) -> Parse:
    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return parse


def _tag(value: Any) -> tuple[str, str]:
    key, equals, content = _text(value).partition("=")
    if not equals or not key.strip():
        raise ValueError("must be key=value")
    return key.strip(), content


@dataclass(frozen=True, slots=True)
class Option:
    """One setting; `many` makes it repeatable, `split` lets commas separate values everywhere."""

    name: str
    parse: Parse
    default: Any
    help: str
    many: bool = False
    split: bool = False
    metavar: str = "TEXT"
    panel: str = "Machines"

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()


OPTIONS = (
    Option(
        "cloud",
        _text,
        "public",
        "public, usgovernment, china, or an ARM endpoint URL",
        metavar="CLOUD",
        panel="Azure",
    ),
    Option(
        "ca_bundle",
        _path,
        None,
        "PEM file with a private CA, for login and ARM alike",
        metavar="FILE",
        panel="Azure",
    ),
    Option(
        "azure", _flag, None, "Audit Azure too (default: unless only --inventory is given)", panel="Azure"
    ),
    Option("subscription", _text, (), "Subscription id or name (default: all visible)", many=True),
    Option("management_group", _text, (), "Every subscription below this group", many=True),
    Option("resource_group", _text, (), "Only machines of this resource group", many=True),
    Option("vm", _text, (), "Only machines of this name or resource id", many=True),
    Option("tag", _tag, (), "Only machines with this tag", many=True, metavar="KEY=VALUE"),
    Option("location", _text, (), "Only machines of this region", many=True),
    Option("inventory", _path, (), "Hosts file (YAML or CSV) of machines", many=True, metavar="FILE"),
    Option(
        "known_hosts",
        _path,
        None,
        "SSH known_hosts file (default: the user's)",
        metavar="FILE",
        panel="Guests",
    ),
    Option(
        "host_key_policy", _choice("strict", "accept-new"), "strict", "strict or accept-new", panel="Guests"
    ),
    Option("rules", _path, None, "Rule-set file laid over the shipped rules", metavar="FILE", panel="Checks"),
    Option("check", _text, (), "Run only these checks", many=True, split=True, metavar="ID", panel="Checks"),
    Option(
        "skip_check",
        _text,
        (),
        "Run all but these checks",
        many=True,
        split=True,
        metavar="ID",
        panel="Checks",
    ),
    Option(
        "fail_on",
        _choice("not-ready", "at-risk", "none"),
        "not-ready",
        "Verdict that fails the run: not-ready, at-risk or none",
        metavar="VERDICT",
        panel="Report",
    ),
    Option(
        "format",
        _text,
        ("html", "json"),
        "Report formats",
        many=True,
        split=True,
        metavar="FORMAT",
        panel="Report",
    ),
    Option("output", _path, Path("out"), "Folder for the reports", metavar="DIR", panel="Report"),
    Option("concurrency", _count, 64, "Machines asked at the same time", metavar="N"),
    Option("connect_timeout", _seconds, 10.0, "Seconds to reach a guest", metavar="SECONDS", panel="Guests"),
    Option(
        "host_deadline", _seconds, 60.0, "Seconds for a guest, all in all", metavar="SECONDS", panel="Guests"
    ),
    Option(
        "throttle_wait",
        _seconds,
        900.0,
        "Seconds to wait while Azure throttles",
        metavar="SECONDS",
        panel="Azure",
    ),
)
_BY_NAME = {option.name: option for option in OPTIONS}


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and the place that set it."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, validated."""

    cloud: str
    ca_bundle: Path | None
    azure: bool
    scope: Scope
    inventory: tuple[Path, ...]
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
    plain["azure"] = _with_azure(values)
    return Settings(scope=scope, **plain)


def _with_azure(values: Mapping[str, Value]) -> bool:
    chosen = values["azure"].value
    if chosen is not None:
        return bool(chosen)
    selectors = ("cloud", "subscription", "management_group", "resource_group")
    return not values["inventory"].value or any(values[name].origin != "default" for name in selectors)


def find_file(environment: Mapping[str, str]) -> Path | None:
    """The settings file: AUDITOR_CONFIG, else the present folder's, else the user's."""
    if named := environment.get(PREFIX + "CONFIG"):
        try:
            return _expanded(named)
        except ValueError as error:
            raise SettingsError(f"environment AUDITOR_CONFIG: {error}; got {named!r}") from error
    candidates = (Path(FILE_NAME), user_config_path("auditor", appauthor=False) / FILE_NAME)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _from_file(path: Path | None) -> dict[str, Value]:
    if path is None:
        return {}
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
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
