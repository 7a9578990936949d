"""Options shared by commands: the settings' table becomes a command's parameters."""

import inspect
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate

import typer

from auditor import log
from auditor.settings import OPTIONS, Option, Value, resolve

_LOGGING = ("config", "log_file", "quiet", "verbose")


@dataclass(frozen=True, slots=True)
class Given:
    """What the user gave a command: the resolved settings, and whether to keep quiet."""

    values: Mapping[str, Value]
    quiet: bool


def with_settings(
    command: Callable[Concatenate[Given, ...], None], without: Container[str] = ()
) -> Callable[..., None]:
    """Give a command every option of the settings' table, plus --config and the logging options.

    The parameters that the command has besides `Given` are options of its own; one of them takes the place of
    the setting of its name, and the settings named in `without` are no options of this command.
    """
    own = _own_parameters(command)

    @wraps(command)
    def wrapper(**arguments: Any) -> None:
        common = {name: arguments.pop(name) for name in _LOGGING}
        extra = {name: arguments.pop(name) for name in own}
        log.configure(verbose=common["verbose"], quiet=common["quiet"], log_file=common["log_file"])
        command(Given(resolve(arguments, file=common["config"]), common["quiet"]), **extra)

    table = [option for option in OPTIONS if option.name not in own and option.name not in without]
    parameters = [*own.values(), *map(_parameter, table), *_common_parameters()]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _own_parameters(command: Callable[..., None]) -> dict[str, inspect.Parameter]:
    parameters = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return {parameter.name: parameter.replace(kind=keyword) for parameter in parameters}


def _parameter(option: Option) -> inspect.Parameter:
    kind: Any = bool | None if option.boolean else list[str] | None if option.many else str | None
    info = typer.Option(
        f"{option.flag}/--no-{option.flag.removeprefix('--')}" if option.boolean else option.flag,
        help=f"{option.help} [env: {option.variable}]",
        metavar=None if option.boolean else option.metavar,
        show_default=False,
        rich_help_panel=option.panel,
    )
    return _keyword(option.name, Annotated[kind, info], None)


def _common_parameters() -> list[inspect.Parameter]:
    path = Path | None
    return [
        _keyword(
            "config",
            Annotated[path, typer.Option(help="Settings file [env: AUDITOR_CONFIG]", metavar="FILE")],
            None,
        ),
        _keyword(
            "log_file",
            Annotated[path, typer.Option(help="Write a log as JSON lines", metavar="FILE")],
            None,
        ),
        _keyword("quiet", Annotated[bool, typer.Option("--quiet", "-q", help="Errors only")], False),
        _keyword(
            "verbose",
            Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more")],
            0,
        ),
    ]


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
