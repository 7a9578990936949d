"""Report files, written whole or not at all: the names are fixed, never taken from data."""

import logging
import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from auditor.errors import OutputError
from auditor.model import AuditRun
from auditor.plugin import Renderer

logger = logging.getLogger(__name__)


def write_reports(run: AuditRun, renderers: Sequence[Renderer], directory: Path) -> list[Path]:
    """Write `audit<suffix>` for every renderer into `directory` and return the paths.

    Each file replaces its predecessor in one step. One that cannot be written does not keep the
    others from being written; then `OutputError` names every file that is missing, and why.
    """
    _refuse_clashes(renderers)
    _make(directory)
    written, problems = [], []
    for renderer in renderers:
        path = directory / _name(renderer)
        try:
            write_whole(path, renderer.render(run))
        except OSError as error:
            problems.append(f"cannot write {path}: {error.strerror or error}")
        except Exception as error:  # a stranger's renderer may raise anything; the other formats are kept
            logger.exception("renderer %s crashed", renderer.id)
            problems.append(
                f"cannot write {path}: the {renderer.id} renderer crashed: {type(error).__name__}"
            )
        else:
            written.append(path)
    if problems:
        raise OutputError("; ".join([*problems, *(f"{path} was written" for path in written)]))
    return written


def _name(renderer: Renderer) -> str:
    return f"audit{renderer.suffix}"


def _refuse_clashes(renderers: Sequence[Renderer]) -> None:
    owners: dict[str, str] = {}
    for renderer in renderers:
        name = _name(renderer)
        if name in owners:
            raise OutputError(f"{owners[name]} and {renderer.id} would both write {name}; choose one of them")
        owners[name] = renderer.id


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {directory}: {error.strerror or error}") from error


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file in one step, so that nobody ever sees half of it; raises `OSError`.

    A device or a pipe is written to, never replaced; a link stays and its file is written.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            file.writelines(chunks)
    else:
        _replace(path.resolve() if path.is_symlink() else path, chunks)
    logger.info("wrote %s", path)


def _replace(path: Path, chunks: Iterable[bytes]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
