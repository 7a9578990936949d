"""A journal in a new file, and processes that work with it besides."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from auditor.store.journal import SqliteJournal
from tests.store.sample import ROOT

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "auditor.db"


@pytest.fixture
def journal(store: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal.open(store) as opened:
        yield opened


@pytest.fixture
def start(store: Path) -> Iterator[Start]:
    """Start a process of tests/store/process.py on the store; it is ended with the test."""
    with ExitStack() as ending:

        def started(what: str, *arguments: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.store.process", what, str(store), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            ending.enter_context(process)
            ending.callback(process.kill)
            return process

        yield started


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
