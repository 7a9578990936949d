"""Logging: warnings on the terminal, everything as JSON lines in a file when asked."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson

from auditor.credentials import hide
from auditor.errors import SettingsError
from auditor.text import visible

# Loggers of libraries that print request headers, and with them tokens, at debug level.
_NEVER_DEBUG = (
    *("azure", "msal", "urllib3", "asyncio", "paramiko", "asyncssh", "aiohttp"),
    *("winrm", "requests", "requests_ntlm", "requests_kerberos", "spnego", "gssapi", "keyring"),
)


class Lines(logging.Formatter):
    """Readable lines without secrets; what acts on a terminal in the data is spelled out."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, with the exception's text below it."""
        return visible(hide(super().format(record)), keep="\n")


class JsonLines(logging.Formatter):
    """One JSON object per record: time, level, logger, message, and the exception's text, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _storable(record.getMessage()),
        }
        if record.exc_info:
            entry["exception"] = _storable(self.formatException(record.exc_info))
        return orjson.dumps(entry).decode()


def _storable(text: str) -> str:
    return hide(text).encode("utf-8", "replace").decode()


class LogFile(logging.FileHandler):
    """A log file; when it cannot be written any more (a full disk), one line says so and the run goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self._failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's signature
        """Say once what is wrong."""
        if not self._failed:
            self._failed = True
            print(f"the log file is not complete: {sys.exc_info()[1]}", file=sys.stderr)


def configure(*, verbose: int, quiet: bool, log_file: Path | None) -> None:
    """Set up the root logger; raises `SettingsError` when the log file cannot be written."""
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.ERROR if quiet else (logging.WARNING, logging.INFO)[min(verbose, 1)])
    console.setFormatter(Lines("%(levelname)s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [console]
    if log_file is not None:
        handlers.append(_file_handler(log_file))
    logging.basicConfig(level=logging.DEBUG if log_file else console.level, handlers=handlers, force=True)
    for name in _NEVER_DEBUG:
        logging.getLogger(name).setLevel(logging.WARNING)


def _file_handler(path: Path) -> logging.Handler:
    try:
        handler = LogFile(path)
    except OSError as error:
        raise SettingsError(f"--log-file: cannot write {path}: {error.strerror}") from error
    handler.setFormatter(JsonLines())
    return handler
