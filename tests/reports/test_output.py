"""Report files are whole or absent, and a failure names its file."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auditor.errors import OutputError, UsageError
from auditor.model import AuditRun
from auditor.output import write_reports, write_whole
from auditor.plugin import renderer
from reports import AUDIT_RENDERERS as RENDERERS


@renderer("broken", suffix=".broken")
def broken(run: AuditRun) -> Iterator[bytes]:
    yield b"half of it"
    raise KeyError(run.id)


@renderer("other", suffix=".json")
def other(run: AuditRun) -> Iterator[bytes]:
    yield b"{}"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        write_whole(pipe, [b"a", b"b"])
        assert read.result(5) == b"ab"
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(file)
    for content in (b"first", b"second"):
        write_whole(link, [content])
        assert (link.is_symlink(), file.read_bytes()) == (True, content)
    assert names(tmp_path) == ["file", "link"]


def test_writes_every_format_into_a_new_folder(tmp_path: Path, demo_run: Callable[..., AuditRun]) -> None:
    folder = tmp_path / "a" / "b"
    run = demo_run(5)
    paths = write_reports(run, RENDERERS, folder)
    assert paths == [folder / "audit.html", folder / "audit.json"]
    assert names(folder) == ["audit.html", "audit.json"]
    for path, one in zip(paths, RENDERERS, strict=True):
        assert path.read_bytes() == b"".join(one.render(run))


def test_replaces_what_was_there(tmp_path: Path, demo_run: Callable[..., AuditRun]) -> None:
    (tmp_path / "audit.json").write_text("x" * 10_000_000)
    write_reports(demo_run(1), RENDERERS[1:], tmp_path)
    assert (tmp_path / "audit.json").stat().st_size < 100_000


@pytest.mark.skipif(sys.platform == "win32", reason="no umask")
def test_the_files_are_as_open_as_the_user_wants_them(
    tmp_path: Path, demo_run: Callable[..., AuditRun]
) -> None:
    before = os.umask(0o027)
    try:
        path = write_reports(demo_run(1), RENDERERS[1:], tmp_path)[0]
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_where_the_folder_should_be(tmp_path: Path, demo_run: Callable[..., AuditRun]) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="cannot create the folder") as caught:
        write_reports(demo_run(1), RENDERERS, tmp_path / "out")
    assert str(tmp_path / "out") in str(caught.value)
    assert isinstance(caught.value, UsageError)
    assert (tmp_path / "out").read_text() == "mine"


def test_one_format_in_the_way_does_not_cost_the_other(
    tmp_path: Path, demo_run: Callable[..., AuditRun]
) -> None:
    (tmp_path / "audit.html").mkdir()
    with pytest.raises(OutputError) as caught:
        write_reports(demo_run(2), RENDERERS, tmp_path)
    assert f"cannot write {tmp_path / 'audit.html'}" in str(caught.value)
    assert f"{tmp_path / 'audit.json'} was written" in str(caught.value)
    assert names(tmp_path) == ["audit.html", "audit.json"]


def test_a_crashing_renderer_leaves_the_old_report(tmp_path: Path, demo_run: Callable[..., AuditRun]) -> None:
    (tmp_path / "audit.broken").write_text("old")
    with pytest.raises(OutputError, match="the broken renderer crashed: KeyError"):
        write_reports(demo_run(1), [broken, *RENDERERS], tmp_path)
    assert (tmp_path / "audit.broken").read_text() == "old"
    assert names(tmp_path) == ["audit.broken", "audit.html", "audit.json"]


def test_two_renderers_of_one_file_are_refused(tmp_path: Path, demo_run: Callable[..., AuditRun]) -> None:
    with pytest.raises(OutputError, match=r"json and other would both write audit\.json"):
        write_reports(demo_run(1), [*RENDERERS, other], tmp_path)
    assert names(tmp_path) == []


LIMITED = """
import resource, sys, pathlib
from auditor.errors import OutputError
from auditor.output import write_reports
from auditor.plugin import renderer

@renderer("big", suffix=".big")
def big(run):
    for _ in range(64):
        yield b"x" * 4096

@renderer("small", suffix=".small")
def small(run):
    yield b"small"

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_reports(None, [big, small], pathlib.Path(sys.argv[1]))
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes to run into")
def test_no_room_for_the_file(tmp_path: Path) -> None:
    (tmp_path / "audit.big").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"cannot write {tmp_path / 'audit.big'}: File too large" in done.stdout
    assert names(tmp_path) == ["audit.big", "audit.small"]
    assert (tmp_path / "audit.big").read_text() == "old"
