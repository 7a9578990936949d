"""Logging: what comes from machines does not act on the terminal, and a full disk does not end a run."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from auditor import log
from auditor.credentials import Secret

FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_data_in_a_log_line_does_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(verbose=0, quiet=False, log_file=None)
    try:
        raise ValueError("\x1b[31mred")
    except ValueError:
        logging.getLogger("auditor").exception("a collector broke on %s", "vm\x1b]0;pwn\x07\u202e")
    said = capsys.readouterr().err
    assert said.startswith("ERROR auditor: a collector broke on vm<U+001B>]0;pwn<U+0007><U+202E>\nTraceback")
    assert said.endswith("ValueError: <U+001B>[31mred\n")


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full here")
def test_a_log_file_on_a_full_disk_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(verbose=0, quiet=True, log_file=FULL)
    for number in range(3):
        logging.getLogger("auditor").info("%d", number)
    with suppress(OSError):
        logging.getLogger().handlers[-1].close()
    assert capsys.readouterr().err == "the log file is not complete: [Errno 28] No space left on device\n"


def test_no_secret_reaches_the_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Secret('canary-"in"-the-log')
    file = tmp_path / "log.jsonl"
    log.configure(verbose=1, quiet=False, log_file=file)
    try:
        raise ValueError('refused: canary-"in"-the-log')
    except ValueError:
        logging.getLogger("auditor").exception("password %r", 'canary-"in"-the-log')
    logging.getLogger().handlers[-1].close()
    said, kept = capsys.readouterr().err, file.read_text()
    assert "canary" not in said + kept
    assert "password '***'" in said
    assert "ValueError: refused: ***" in said
    assert json.loads(kept)["exception"].endswith("ValueError: refused: ***")
