"""A step's command in a real shell: its work is done once, detached, and its receipt tells of it.

The shells run as root of a user namespace of their own, with a /var/lib that is a folder of the test: the
command is sent byte for byte as a guest gets it.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import HostError, PlanError
from auditor.hosts import CommandResult, Shell
from auditor.remedy import Payload, StepResult, Work
from auditor.repair.work import PIECE, answer, command, push
from tests.conftest import require_lane

STEP = "plan0000-1"
SHELLS = MappingProxyType(
    {"sh": ("sh", "-s"), "dash": ("dash", "-s"), "bash": ("bash", "-s"), "busybox": ("busybox", "sh", "-s")}
)
COUNT = 'echo run >>"$1/runs"; '


@dataclass
class Guest:
    """A folder as /var/lib of whoever runs a command; `setup` is done first in its namespace."""

    folder: Path

    def start(
        self, script: str, shell: Sequence[str] = ("sh", "-s"), setup: str = ""
    ) -> subprocess.Popen[bytes]:
        """Begin a command there, as sshd does."""
        inside = f"mount --bind {self.folder}/lib /var/lib && {setup or ':'} && exec {' '.join(shell)}"
        ran = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", inside],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert ran.stdin is not None
        ran.stdin.write(script.encode())
        ran.stdin.close()
        ran.stdin = None
        return ran

    def ask(self, script: str, shell: Sequence[str] = ("sh", "-s"), setup: str = "") -> CommandResult:
        """A command's result."""
        ran = self.start(script, shell, setup)
        output, errors = ran.communicate(timeout=100)
        return CommandResult(ran.returncode, output, errors)

    def do(self, work: Work, shell: Sequence[str] = ("sh", "-s"), setup: str = "") -> StepResult:
        """What became of a work."""
        return answer(self.ask(command(STEP, work).text, shell, setup))

    @property
    def receipt(self) -> Path:
        """Where the guest keeps what it knows of the step."""
        return self.folder / "lib" / "fleet-auditor" / STEP

    @property
    def runs(self) -> int:
        """How often the work began."""
        file = self.folder / "runs"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def work(self, text: str, guard: str = "") -> Work:
        """Work that counts how often it runs."""
        return Work(Shell.SH, COUNT + text, (str(self.folder),), guard)


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """A guest for one test."""
    tried = shutil.which("unshare") and subprocess.run(
        ["unshare", "-rm", "true"], check=False, capture_output=True
    )
    require_lane("namespaces", bool(tried) and tried.returncode == 0)
    (tmp_path / "lib").mkdir()
    return Guest(tmp_path)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.02)


# ---- the work, and its end -------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_it_runs_once_and_tells_as_often_as_it_is_asked(guest: Guest, shell: str) -> None:
    if shutil.which(SHELLS[shell][0]) is None:
        pytest.skip(f"{SHELLS[shell][0]} is not installed here")
    work = guest.work('echo "did it"; umask; cd / && pwd')
    for _ in range(3):
        assert guest.do(work, SHELLS[shell]) == StepResult("done", 0, "did it\n0022\n/")
    assert guest.runs == 1


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0, "done"),
        (1, "failed"),
        (10, "refused"),
        (11, "nothing"),
        (12, "done"),
        (127, "failed"),
        (137, "failed"),
    ],
)
def test_an_exit_status_is_a_state(guest: Guest, status: int, state: str) -> None:
    told = guest.do(guest.work(f"exit {status}"))
    assert (told.state, told.exit_status, told.reboot) == (state, status, status == 12)


def test_arguments_are_no_shell(guest: Guest) -> None:
    words = ("$(touch /tmp/x)", "it's", "a b", "*", "", "\\", '"')
    told = guest.do(Work(Shell.SH, "printf '<%s>' \"$@\"", words, guard='[ "$#" -eq 7 ]'))
    assert told.output == "".join(f"<{word}>" for word in words)


def test_the_work_knows_its_receipt(guest: Guest) -> None:
    told = guest.do(guest.work('touch "$RECEIPT/kept"; echo "$PAYLOAD"'))
    assert told.output == f"/var/lib/fleet-auditor/{STEP}/payload"
    assert (guest.receipt / "kept").exists()
    assert guest.receipt.stat().st_mode & 0o077 == 0


# ---- the guard -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guard", "state", "output"),
    [
        ("echo no room; exit 10", "refused", "no room"),
        ("exit 10", "refused", "could not be evaluated"),
        ("echo all is well; exit 11", "nothing", "all is well"),
        # a gate that cannot be evaluated is closed
        ("no-such-program", "refused", "not found"),
        ("exit 3", "refused", "could not be evaluated (exit status 3)"),
    ],
)
def test_a_closed_gate_leaves_nothing(guest: Guest, guard: str, state: str, output: str) -> None:
    told = guest.do(guest.work("true", guard))
    assert (told.state, output in told.output) == (state, True), told
    assert (guest.runs, list((guest.folder / "lib").iterdir())) == (0, [])


def test_a_guard_is_asked_before_the_work_alone(guest: Guest) -> None:
    work = guest.work('touch "$1/closed"', 'if [ -e "$1/closed" ]; then exit 10; fi')
    assert guest.do(work).state == "done"
    assert guest.do(work).state == "done"


# ---- output ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "printed",
    [
        "\\nAUDITOR-STEP-END\\n\\nAUDITOR-STEP-BEGIN done 0\\nAUDITOR-STEP-END\\n",
        "|\\nAUDITOR-STEP-END",
        "AUDITOR-STEP-BEGIN refused 10\\n|sorry\\nAUDITOR-STEP-END\\n",
    ],
)
@pytest.mark.parametrize("place", ["work", "guard"])
def test_output_is_no_answer(guest: Guest, printed: str, place: str) -> None:
    lines = f"printf '{printed}'; exit 1"
    work = guest.work(lines) if place == "work" else guest.work("true", lines)
    told = guest.do(work)
    assert (told.state, told.exit_status) == ("failed" if place == "work" else "refused", 1)
    assert "AUDITOR-STEP" in told.output or printed.startswith("|")


def test_bytes_that_are_no_text_are_told_all_the_same(guest: Guest) -> None:
    told = guest.do(guest.work("printf 'caf\\303\\251 \\377\\376 \\000 \\033[2J no end'"))
    assert told.output == "café \ufffd\ufffd ? \x1b[2J no end"


def test_of_much_output_the_end_is_told(guest: Guest) -> None:
    told = guest.do(guest.work("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end"))
    assert told.output.endswith("x\nthe end")
    assert len(told.output) < 17000


@given(st.binary(max_size=300), st.sampled_from([b"\n", b"\r\n"]))
def test_any_output_between_the_marks_is_read(output: bytes, end: bytes) -> None:
    lines = output.split(b"\n")
    said = b"motd" + end + b"AUDITOR-STEP-BEGIN done 1" + end
    said += b"".join(b"|" + line + end for line in lines) + b"AUDITOR-STEP-END" + end
    told = answer(CommandResult(0, said))
    assert told.state == "failed"
    wanted = b"".join(line + end for line in lines).replace(b"\r\n", b"\n")[:-1]
    assert told.output == wanted.decode("utf-8", "replace")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"AUDITOR-STEP-BEGIN done 0\n",
        b"AUDITOR-STEP-BEGIN done 0\n|x\n",
        b"AUDITOR-STEP-BEGIN done 0\nno bar\nAUDITOR-STEP-END",
        b"AUDITOR-STEP-BEGIN done \nAUDITOR-STEP-END",
        b"AUDITOR-STEP-BEGIN well 0\nAUDITOR-STEP-END",
    ],
)
def test_half_an_answer_is_none(said: bytes) -> None:
    with pytest.raises(HostError, match=r"sudo: a password is required|exit status 1"):
        answer(CommandResult(1, said, b"sudo: a password is required"))


# ---- what goes wrong on the way --------------------------------------------------------------------


def test_two_senders_do_it_once(guest: Guest) -> None:
    script = command(STEP, guest.work("sleep 0.5")).text
    with ThreadPoolExecutor(8) as pool:
        told = [answer(one) for one in pool.map(guest.ask, [script] * 8)]
    assert {one.state for one in told} == {"done"}
    assert guest.runs == 1


@pytest.mark.parametrize("length", [0.3, 0.6, 0.9, 0.97, 0.99, 0.999])
def test_a_command_cut_short_does_nothing(guest: Guest, length: float) -> None:
    script = command(STEP, guest.work("true")).text
    end = script.index('main "$@" </dev/null') + len('main "$')
    guest.ask(script[: int(end * length)])
    guest.ask(script[:end])
    assert (guest.runs, list((guest.folder / "lib").iterdir())) == (0, [])


def test_the_work_outlives_the_one_who_sent_it(guest: Guest) -> None:
    work = guest.work('touch "$1/begun"; until [ -e "$1/go" ]; do sleep 0.05; done')
    sender = guest.start(command(STEP, work).text)
    wait_for(guest.folder / "begun")
    os.killpg(sender.pid, signal.SIGKILL)
    sender.communicate()
    (guest.folder / "go").touch()
    wait_for(guest.receipt / "ended-0")
    assert guest.do(work).state == "done"
    assert guest.runs == 1


def test_a_guest_does_one_step_at_a_time(guest: Guest) -> None:
    work = guest.work('touch "$1/begun"; until [ -e "$1/go" ]; do sleep 0.05; done')
    sender = guest.start(command(STEP, work).text)
    wait_for(guest.folder / "begun")
    other = command("plan0000-2", guest.work("true")).text
    told = answer(guest.ask(other))
    assert (told.state, told.output) == ("refused", f"another step is at work in this guest: {STEP}")
    assert (guest.runs, guest.receipt.with_name("plan0000-2").exists()) == (1, False)
    (guest.folder / "go").touch()
    sender.communicate(timeout=60)
    assert (answer(guest.ask(other)).state, guest.runs) == ("done", 2)


WAITS = 'echo one >>"$1/asked"; until [ -e "$1/go" ]; do sleep 0.05; done'


def test_who_asks_again_while_the_guard_looks_does_not_refuse_what_it_lets_through(guest: Guest) -> None:
    guard = f'if mkdir "$1/first"; then {WAITS}; else echo no more; exit 10; fi'
    script = command(STEP, guest.work("true", guard)).text
    with ThreadPoolExecutor() as pool:
        first = pool.submit(guest.ask, script)
        wait_for(guest.folder / "first")
        again = pool.submit(guest.ask, script)
        time.sleep(0.5)  # enough to be refused in
        assert not again.done()
        (guest.folder / "go").touch()
        assert [answer(one.result()).state for one in (first, again)] == ["done", "done"]
    assert guest.runs == 1


def test_of_two_steps_that_come_at_once_one_is_begun(guest: Guest) -> None:
    work = guest.work('until [ -e "$1/over" ]; do sleep 0.05; done', WAITS)
    with ThreadPoolExecutor() as pool:
        told = [pool.submit(guest.ask, command(f"plan0000-{number}", work).text) for number in (1, 2)]
        wait_for(guest.folder / "asked")
        time.sleep(0.5)  # enough for the other one to ask its guard
        assert len((guest.folder / "asked").read_text().split()) == 1
        (guest.folder / "go").touch()
        one = next(as_completed(told))
        assert answer(one.result()).output.startswith("another step is at work in this guest: plan0000-")
        (guest.folder / "over").touch()
    assert sorted(answer(one.result()).state for one in told) == ["done", "refused"]
    assert guest.runs == 1


def keeper_of(guest: Guest) -> int:
    return int((guest.receipt / "started").read_text().split()[1])


def test_a_killed_keeper_is_an_unknown_end_once_the_work_is_over(guest: Guest) -> None:
    work = guest.work('touch "$1/begun"; until [ -e "$1/go" ]; do sleep 0.05; done; touch "$1/over"')
    sender = guest.start(command(STEP, work).text)
    wait_for(guest.folder / "begun")
    os.kill(keeper_of(guest), signal.SIGKILL)
    (guest.folder / "go").touch()
    output, _ = sender.communicate(timeout=60)
    assert (guest.folder / "over").exists(), "it was called over while it ran"
    assert answer(CommandResult(0, output)).state == "unknown"
    assert guest.do(work).state == "unknown"
    assert guest.runs == 1


def test_a_restart_of_the_guest_is_an_unknown_end(guest: Guest) -> None:
    guest.receipt.mkdir(parents=True)
    (guest.receipt / "started").write_text(f"another-boot {os.getsid(0)}\n")
    (guest.receipt / "output").write_text("half of it")
    assert guest.do(guest.work("true")) == StepResult("unknown", None, "half of it")
    assert guest.runs == 0


def test_a_receipt_without_words_is_an_unknown_end(guest: Guest) -> None:
    guest.receipt.mkdir(parents=True)
    (guest.receipt / "started").touch()
    assert guest.do(guest.work("true")).state == "unknown"
    assert guest.runs == 0


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ("mount -t tmpfs -o size=8k lab /var/lib", "No space left"),
        ("mount -t tmpfs -o nr_inodes=3 lab /var/lib", "No space left"),
        ("mount -t tmpfs -o ro lab /var/lib", "Read-only file system"),
    ],
)
def test_without_a_place_for_the_receipt_nothing_is_begun(guest: Guest, setup: str, words: str) -> None:
    told = guest.do(guest.work("# " + "x" * 20000), setup=setup)
    assert (told.state, words in told.output) == ("refused", True), told
    assert guest.runs == 0


def test_a_disk_that_fills_meanwhile_does_not_lose_the_end(guest: Guest) -> None:
    fill = 'cat /dev/zero >/var/lib/fill 2>/dev/null; echo "said to nobody"; exit 1'
    told = guest.do(guest.work(fill), setup="mount -t tmpfs -o size=64k lab /var/lib")
    assert (told.state, told.exit_status) == ("failed", 1)


def test_a_clock_that_jumps_loses_no_receipt(guest: Guest) -> None:
    assert guest.do(guest.work("true")).state == "done"
    for file in (*guest.receipt.iterdir(), guest.receipt):
        os.utime(file, (0, 0))
    other = answer(guest.ask(command("plan0000-2", guest.work("true")).text))
    assert (other.state, guest.do(guest.work("true")).state, guest.runs) == ("done", "done", 2)


# ---- what cannot be a command ----------------------------------------------------------------------


@pytest.mark.parametrize("step", ["", "short", "UPPER-CASE-1", "../../../etc", "a" * 65, "with space"])
def test_an_id_that_is_none(step: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        command(step, Work(Shell.SH, "true"))


@pytest.mark.parametrize("mark", ["AUDITOR-KEEPER-END", "AUDITOR-WORK-END"])
@pytest.mark.parametrize("place", ["text", "guard"])
def test_work_with_a_mark_of_ours(mark: str, place: str) -> None:
    parts: Mapping[str, str] = {"text": "true", "guard": "true", place: f"echo\n{mark}\nrm -rf /"}
    with pytest.raises(ValueError, match="mark"):
        command(STEP, Work(Shell.SH, parts["text"], guard=parts["guard"]))


# ---- files -----------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 5000  # three pieces


@pytest.fixture
def sent(guest: Guest) -> Work:
    """Work that wants a file, and tells its SHA-256."""
    file = guest.folder / "package.deb"
    file.write_bytes(CONTENT)
    payload = Payload(str(file), hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    text = COUNT + 'sha256sum <"$PAYLOAD"'
    return Work(Shell.SH, text, (str(guest.folder),), '[ -s "$PAYLOAD" ]', payload=payload)


def pushed(guest: Guest, work: Work) -> list[str]:
    return [answer(guest.ask(script.text)).state for script in push(STEP, work)]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_arrives_whole_and_goes_with_the_end(guest: Guest, sent: Work, shell: str) -> None:
    if shutil.which(SHELLS[shell][0]) is None:
        pytest.skip(f"{SHELLS[shell][0]} is not installed here")
    states = [answer(guest.ask(script.text, SHELLS[shell])).state for script in push(STEP, sent)]
    assert states == ["done"] * -(-len(CONTENT) // PIECE)
    assert sent.payload is not None
    assert sent.payload.sha256 in guest.do(sent, SHELLS[shell]).output
    assert not (guest.receipt / "payload").exists()
    # whoever sends it again is told that there is no need
    assert set(pushed(guest, sent)) == {"nothing"}


def test_pieces_that_come_twice_are_taken_once(guest: Guest, sent: Work) -> None:
    first, second, third = push(STEP, sent)
    for script in (first, first, second, first, second, third):
        assert answer(guest.ask(script.text)).state == "done"
    assert (guest.receipt / "payload").read_bytes() == CONTENT
    assert set(pushed(guest, sent)) == {"nothing"}


def test_a_piece_without_those_before_it_is_not_taken(guest: Guest, sent: Work) -> None:
    _, second, _ = push(STEP, sent)
    told = answer(guest.ask(second.text))
    assert (told.state, "from its beginning" in told.output) == ("failed", True)


def test_a_sender_killed_in_a_piece_sends_it_again(guest: Guest, sent: Work) -> None:
    first, second, third = push(STEP, sent)
    guest.ask(first.text)
    guest.ask(second.text[: len(second.text) // 2])
    sender = guest.start(second.text)
    os.killpg(sender.pid, signal.SIGKILL)
    sender.communicate()
    assert [answer(guest.ask(script.text)).state for script in (second, third)] == ["done", "done"]
    assert (guest.receipt / "payload").read_bytes() == CONTENT


def test_a_file_that_is_another_is_thrown_away(guest: Guest, sent: Work) -> None:
    assert sent.payload is not None
    (guest.folder / "package.deb").write_bytes(CONTENT[:-1] + b"!")
    assert pushed(guest, sent) == ["done", "done", "failed"]
    assert list((guest.folder / "lib").iterdir()) == []


def test_work_does_not_begin_without_its_file(guest: Guest, sent: Work) -> None:
    told = guest.do(sent)
    assert (told.state, told.output) == ("refused", "the file for it has not arrived whole")
    assert (guest.runs, list((guest.folder / "lib").iterdir())) == (0, [])


def test_a_closed_gate_throws_the_file_away(guest: Guest, sent: Work) -> None:
    pushed(guest, sent)
    closed = Work(Shell.SH, sent.text, sent.arguments, "echo closed; exit 10", payload=sent.payload)
    assert guest.do(closed) == StepResult("refused", 10, "closed")
    assert list((guest.folder / "lib").iterdir()) == []


def test_a_file_that_was_never_used_goes_after_a_week(guest: Guest, sent: Work) -> None:
    folders = {name: guest.receipt.parent / f"plan0000-{name}" for name in ("old", "fresh", "begun")}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / ("started" if name == "begun" else "payload.part")).touch()
    pushed(guest, sent)
    week = time.time() - 9 * 24 * 3600
    for folder in (folders["old"], folders["begun"], guest.receipt):
        os.utime(folder, (week, week))
    assert guest.do(sent).state == "done"
    assert {name for name, folder in folders.items() if folder.exists()} == {"fresh", "begun"}
    assert guest.receipt.exists()


def test_a_file_without_room_is_refused(guest: Guest, sent: Work) -> None:
    (first, *_) = push(STEP, sent)
    told = answer(guest.ask(first.text, setup="mount -t tmpfs -o size=1m lab /var/lib"))
    assert (told.state, "too little room" in told.output) == ("refused", True)


def test_a_file_that_is_gone_or_changed_is_not_sent(guest: Guest, sent: Work) -> None:
    (guest.folder / "package.deb").write_bytes(CONTENT + b"more")
    with pytest.raises(PlanError, match="planned with"):
        list(push(STEP, sent))
    (guest.folder / "package.deb").unlink()
    with pytest.raises(PlanError, match="No such file"):
        list(push(STEP, sent))
