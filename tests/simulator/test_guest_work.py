"""The work of steps in simulated guests: what they take for it, and that they do it once."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.hosts import CommandResult, Shell
from auditor.remedy import StepResult, Work
from auditor.repair.work import answer, command
from auditor.simulator.guest_states import GUESTS
from auditor.simulator.guest_work import (
    OUTPUT_LIMIT,
    Asked,
    Effect,
    Outcome,
    Reply,
    Scene,
    Trouble,
    WorkingGuest,
    Workshop,
    digest,
    recognise,
)

STEP = "step-0001"
RENAME = Work(Shell.SH, 'hostname "$1"\n', ("renamed",), "test -w /etc/hostname || exit 10")
GUEST = GUESTS[0]

words = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t'\"\\$`"))
texts = words.filter(lambda text: "AUDITOR-" not in text)


def renamed(scene: Scene) -> Outcome:
    return Outcome(scene.state.changed(hostname=scene.arguments[0]), 0, "was renamed")


def workshop(effect: Effect = renamed, work_seconds: float = 0.02, patience: float = 15) -> Workshop:
    return Workshop({digest(RENAME): effect}, work_seconds, patience)


def asked(step: str = STEP, work: Work = RENAME) -> Asked:
    found = recognise(command(step, work).text)
    assert found is not None
    return found


def run(guest: WorkingGuest, scene: Callable[[], Awaitable[list[Reply]]]) -> list[Reply]:
    async def whole() -> list[Reply]:
        try:
            return await scene()
        finally:
            await guest.stop()

    return asyncio.run(whole())


def take(guest: WorkingGuest, *steps: str) -> list[Reply]:
    """What the guest says to senders who come one after the other."""

    async def scene() -> list[Reply]:
        return [await guest.take(asked(step)) for step in steps]

    return run(guest, scene)


def read(reply: Reply) -> StepResult:
    return answer(CommandResult(reply.exit_status, reply.stdout, reply.stderr))


@given(
    st.from_regex(r"[a-z0-9-]{8,64}", fullmatch=True),
    texts,
    texts,
    st.lists(words, max_size=4).map(tuple),
)
def test_the_work_in_a_script_is_found_whole(
    step: str, text: str, guard: str, arguments: tuple[str, ...]
) -> None:
    work = Work(Shell.SH, text, arguments, guard)
    found = recognise(command(step, work).text)
    assert found is not None
    assert (found.step, found.work.text, found.work.arguments) == (step, text, arguments)
    assert found.work.guard == (guard or ":")


@given(st.integers(0, len(command(STEP, RENAME).text) - 1), st.sampled_from(["", "#", "\n"]))
def test_a_script_that_was_cut_or_changed_is_no_step(place: int, instead: str) -> None:
    script = command(STEP, RENAME).text
    changed = script[:place] + instead + script[place + 1 :]
    found = recognise(changed)
    assert recognise(script[:place]) is None
    # what stands in the words of the step makes it another step, never this one
    assert changed == script or found != asked()


def test_work_is_done_once_and_told_twice() -> None:
    guest = WorkingGuest(GUEST, workshop())
    first, second = take(guest, STEP, STEP)
    assert first == second
    assert read(first) == StepResult("done", 0, "was renamed")
    assert guest.executions == {STEP: 1}
    assert guest.state.changes["hostname"] == "renamed"


def test_senders_at_the_same_time_share_one_execution() -> None:
    guest = WorkingGuest(GUEST, workshop())

    async def scene() -> list[Reply]:
        return list(await asyncio.gather(*(guest.take(asked()) for _ in range(5))))

    assert {read(reply).state for reply in run(guest, scene)} == {"done"}
    assert guest.executions == {STEP: 1}


def test_another_step_with_the_same_text_is_done_too() -> None:
    guest = WorkingGuest(GUEST, workshop())
    take(guest, STEP, "step-0002")
    assert guest.executions == {STEP: 1, "step-0002": 1}


def test_a_sender_out_of_patience_is_told_that_it_runs_and_later_what_came_of_it() -> None:
    guest = WorkingGuest(GUEST, workshop(work_seconds=0.2, patience=0.001))

    async def scene() -> list[Reply]:
        early = await guest.take(asked())
        late = early
        while read(late).state == "running":
            late = await guest.take(asked())
        return [early, late]

    early, late = run(guest, scene)
    assert read(early) == StepResult("running", None, "")
    assert read(late).state == "done"
    assert guest.executions == {STEP: 1}


@pytest.mark.parametrize(
    ("trouble", "expected", "executions"),
    [
        (Trouble(refuses="the disk is full"), StepResult("refused", 10, "the disk is full"), {}),
        (Trouble(fails=100), StepResult("failed", 100, "the work was made to fail"), {STEP: 1}),
        (Trouble(hangs=True), StepResult("running", None, ""), {STEP: 1}),
        (
            Trouble(interrupted=True),
            StepResult("unknown", None, "the guest stopped the work before it ended"),
            {STEP: 1},
        ),
    ],
)
def test_troubles_leave_the_state_as_it_is(
    trouble: Trouble, expected: StepResult, executions: dict[str, int]
) -> None:
    guest = WorkingGuest(GUEST, workshop(patience=0.3), trouble)
    assert [read(reply) for reply in take(guest, STEP, STEP)] == [expected, expected]
    assert guest.executions == executions
    assert guest.state == GUEST


def test_work_outlives_the_connection_that_brought_it() -> None:
    guest = WorkingGuest(GUEST, workshop(), Trouble(drops=2))
    replies = take(guest, STEP, STEP, STEP)
    assert [reply.drops for reply in replies] == [True, True, False]
    assert read(replies[-1]).state == "done"
    assert guest.executions == {STEP: 1}


def test_an_unknown_work_is_not_done() -> None:
    guest = WorkingGuest(GUEST, Workshop({}))
    (reply,) = take(guest, STEP)
    assert reply.exit_status == 127
    assert guest.executions == {}


def test_who_may_not_become_root_does_nothing() -> None:
    weak = next(state for state in GUESTS if state.name == "guest-without-rights")
    guest = WorkingGuest(weak, workshop())
    (reply,) = take(guest, STEP)
    assert (reply.exit_status, reply.stderr) == (1, b"sudo: a password is required\n")
    assert guest.executions == {}


def test_a_change_is_announced_and_no_change_is_not() -> None:
    heard: list[tuple[str, object]] = []
    shop = replace(
        workshop(), on_change=lambda machine, state: heard.append((machine, state.changes["hostname"]))
    )
    take(WorkingGuest(GUEST, shop), STEP, "step-0002")
    assert heard == [(GUEST.machine_id, "renamed")]


def test_output_is_cut_as_the_keeper_cuts_it() -> None:
    guest = WorkingGuest(GUEST, workshop(lambda scene: Outcome(scene.state, 0, "x" * 20_000)))
    (reply,) = take(guest, STEP)
    assert len(read(reply).output) == OUTPUT_LIMIT


@pytest.mark.parametrize("words", ["one line", "two\nlines", "a | bar", "naïve"])
def test_an_answer_is_byte_for_byte_what_the_real_receipts_say(words: str) -> None:
    text = (files("auditor.repair") / "receipts.sh").read_text(encoding="utf-8")
    real = subprocess.run(
        ["sh", "-c", f'{text}\nsay "$@"', "sh", "refused", "10", words], capture_output=True, check=True
    )
    (simulated,) = take(WorkingGuest(GUEST, workshop(), Trouble(refuses=words)), STEP)
    assert simulated.stdout == real.stdout


def test_work_that_takes_a_step_back_finds_what_that_step_had_found() -> None:
    undo = Work(Shell.SH, "hostname old")
    found: list[Scene] = []

    def back(scene: Scene) -> Outcome:
        found.append(scene)
        return Outcome(scene.kept or scene.state)

    guest = WorkingGuest(GUEST, Workshop({digest(RENAME): renamed, digest(undo): back}))

    async def scene() -> list[Reply]:
        first = await guest.take(asked("step-0009-undo", undo))
        return [first, await guest.take(asked()), await guest.take(asked(f"{STEP}-undo", undo))]

    run(guest, scene)
    assert [one.kept for one in found] == [None, GUEST]
    assert guest.state == GUEST
