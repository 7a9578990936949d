"""Standard output that takes no more: one line says so, whatever was being printed."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from auditor.errors import OutputError


class _Told(io.FileIO):
    """A file that remembers why it could not be written to, and is silent from then on."""

    failure: OSError | None = None

    def write(self, data: bytes, /) -> int | None:  # type: ignore[override]
        if self.failure is not None:
            return len(data)
        try:
            return super().write(data)
        except BrokenPipeError:  # a reader that goes away (`| head`) is no failure
            raise
        except OSError as error:
            self.failure = error
            raise


@contextmanager
def standard_output() -> Iterator[None]:
    """Raise `OutputError` for what standard output did not take, and leave every other error as it is."""
    told = _watched()
    try:
        yield
    except OSError as error:
        if told is None or error is not told.failure:
            raise
        raise OutputError(f"cannot write to standard output: {error.strerror or error}") from error


@contextmanager
def summary_of(what: str) -> Iterator[None]:
    """Print a summary of what is written already: an output that does not take it costs no exit code."""
    try:
        # rich ends the program where nobody reads on (`| head`)
        with suppress(SystemExit):
            yield
    except OSError as error:
        typer.echo(f"the summary cannot be printed: {error.strerror}; {what}", err=True)
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - stays until the program ends


def _watched() -> _Told | None:
    """Standard output by way of a file that tells; None where it is closed, or somebody else's."""
    if not isinstance(sys.stdout, io.TextIOWrapper) or sys.stdout is not sys.__stdout__:
        return None
    before = sys.stdout
    told = _Told(before.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(told),
        encoding=before.encoding,
        errors=before.errors,
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )
    return told
