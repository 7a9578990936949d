"""A probe in one script and back: through a real sh, and for any text that comes back."""

import base64
import gzip
import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import HostError
from auditor.hosts import CommandResult, Script, Shell
from auditor.probe import linux_probe, parse
from auditor.probe.bundle import BEGIN, END, UNPACKED, bundle, unbundle
from auditor.rules import Endpoint

SH = (Script("echo hello"),)
WINDOWS = (
    Script('reg query "HKLM\\SOFTWARE" & ver', Shell.CMD),
    Script("'it''s'", Shell.POWERSHELL, b'{"a": 1}'),
)


def packed(content: bytes) -> str:
    encoded = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    return f"Enable succeeded: \n[stdout]\n{BEGIN}{encoded}{END}\n"


def run(script: str) -> str:
    done = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


@pytest.mark.parametrize("text", ["echo hello", "echo hello; exit 3", "printf 'hello\\n' # end"])
def test_a_shell_script_comes_back_as_it_spoke(text: str) -> None:
    scripts = (Script(text),)
    assert unbundle(run(bundle(scripts)), scripts) == [CommandResult(0, b"hello\n")]


def test_the_real_probe_comes_back_within_the_limit() -> None:
    probe = linux_probe([Endpoint("127.0.0.1", 1, True, "nobody")])
    output = run(bundle(probe.scripts))
    assert len(output) < 4096
    (answer,) = unbundle(output, probe.scripts)
    assert isinstance(answer, CommandResult)
    assert parse(answer.stdout, observed_at=datetime.now(UTC), transport="run-command").platform == "linux"


def test_without_tools_to_pack_the_answer_comes_plain(tmp_path: Path) -> None:
    """As on a guest that has neither gzip nor base64."""
    (tmp_path / "cat").symlink_to("/bin/cat")
    text = "printf 'AUDITOR-PROBE-BEGIN {} AUDITOR-PROBE-END'; exit 0"
    done = subprocess.run(
        ["/bin/sh", "-s"],
        input=bundle((Script(text),)).encode(),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    assert unbundle(done.stdout.decode(), SH) == [
        CommandResult(0, b"AUDITOR-PROBE-BEGIN {} AUDITOR-PROBE-END")
    ]


def test_windows_scripts_stand_whole_in_the_bundle() -> None:
    text = bundle(WINDOWS)
    for script in WINDOWS:
        assert f"@'\n{script.text}\n'@" in text
    assert unbundle(packed(json.dumps(["one", "zwei: ä"]).encode()), WINDOWS) == [
        CommandResult(0, b"one"),
        CommandResult(0, "zwei: ä".encode()),
    ]


@pytest.mark.parametrize(
    "scripts",
    [
        (Script("echo", Shell.SH), Script("ver", Shell.CMD)),
        (Script("a\n'@ | evil", Shell.CMD),),
        (Script("a", Shell.POWERSHELL, b"x\n'@; evil"),),
    ],
)
def test_what_cannot_stand_together_is_refused(scripts: Sequence[Script]) -> None:
    with pytest.raises(ValueError, match=r"does not run on Windows|here-string"):
        bundle(scripts)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "it said: nothing"),
        ("sh: not found", "it said: sh: not found"),
        (f"{BEGIN}abc", "cut at 4096 bytes"),
        (f"abc{END}", "cut at 4096 bytes"),
        (f"{BEGIN}abc{END}", "cannot be unpacked"),
        (f"{BEGIN}{base64.b64encode(b'plain').decode()}{END}", "cannot be unpacked"),
        (packed(b"x" * 100)[:-40] + END, "unpacked|incomplete"),
        (packed(b"0" * (UNPACKED + 1)), "larger than"),
    ],
)
def test_what_cannot_be_read_says_why(output: str, reason: str) -> None:
    with pytest.raises(HostError, match=reason):
        unbundle(output, SH)


@pytest.mark.parametrize("content", [b"no json", b"{}", b'["one"]', b"[" * 100_000])
def test_a_windows_answer_of_another_shape_is_refused(content: bytes) -> None:
    with pytest.raises(HostError):
        unbundle(packed(content), WINDOWS)


@given(st.text() | st.binary().map(packed))
def test_any_output_is_answers_or_a_reason(output: str) -> None:
    for scripts in (SH, WINDOWS):
        try:
            answers = unbundle(output, scripts)
        except HostError:
            continue
        assert len(answers) == len(scripts)
