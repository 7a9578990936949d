"""Logging: warnings on the terminal, everything as JSON lines in a file when asked."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson

from auditor.errors import SettingsError

# Loggers of libraries that print request headers, and with them tokens, at debug level.
_NEVER_DEBUG = ("azure", "msal", "urllib3", "asyncio", "paramiko", "asyncssh", "aiohttp")


class JsonLines(logging.Formatter):
    """One JSON object per record: time, level, logger, message, and the exception's text."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().encode("utf-8", "replace").decode(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry).decode()


def configure(*, verbose: int, quiet: bool, log_file: Path | None) -> None:
    """Set up the root logger; raises `SettingsError` when the log file cannot be written."""
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.ERROR if quiet else (logging.WARNING, logging.INFO)[min(verbose, 1)])
    console.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [console]
    if log_file is not None:
        handlers.append(_file_handler(log_file))
    logging.basicConfig(level=logging.DEBUG if log_file else console.level, handlers=handlers, force=True)
    for name in _NEVER_DEBUG:
        logging.getLogger(name).setLevel(logging.WARNING)


def _file_handler(path: Path) -> logging.Handler:
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--log-file: cannot write {path}: {error.strerror}") from error
    handler.setFormatter(JsonLines())
    return handler
