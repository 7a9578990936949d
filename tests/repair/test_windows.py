"""Work in Windows guests over WinRM: real pywinrm, TLS and NTLM before a model (neither cmd nor msiexec)."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import PlanError
from auditor.facts import Guest, GuestAgent
from auditor.guests import Guests
from auditor.hosts import CommandResult, Script, Shell
from auditor.hosts.commands import command_line
from auditor.inventory.file import read_hosts
from auditor.remedy import Command, Payload, StepResult, Work
from auditor.repair.send import Sender
from auditor.repair.windows import CHUNK, arguments, files
from auditor.repair.work import answer, command, push
from auditor.rules import load_rules
from auditor.simulator.windows import Msi, WindowsGuestState, WindowsState, WindowsTrouble, WinRmGuests
from auditor.simulator.windows.catalogue import WINDOWS_GUESTS
from auditor.simulator.windows.state import DISABLED, STOPPED
from auditor.simulator.wsman import Fault, Kind
from remediations.windows_guest import work

OLD, NEW = "2.6.1198.100", "2.7.41491.1183"
SHA256 = "ab" * 32
SOURCE = "https://files.example/agent.msi"
NUMBERS = count(1)


def msi_work(way: str = "over", payload: Payload | None = None, sha256: str = SHA256) -> Work:
    given = ("" if payload else SOURCE, sha256, "Microsoft Corporation", "1024", "stay", way)
    return work("windows_agent", *given, scripts=("windows_agent",), limit=60, payload=payload)


def start_work(way: str = "start") -> Work:
    return work("windows_restart", way, limit=60)


@dataclass
class Repaired:
    """One simulated guest behind WinRM."""

    guests: WinRmGuests
    name: str

    @property
    def state(self) -> WindowsState:
        return self.guests.running[self.name].state

    def do(self, act: Work) -> StepResult:
        """Do a step as an application of a plan does it; its work runs once, or not at all."""
        step = f"windows-step-{next(NUMBERS)}"
        result = self.send(step, act)
        assert self.guests.executions[step] == 1
        return result

    def send(self, step: str, act: Work) -> StepResult:
        (host,) = read_hosts(self.guests.hosts_file)
        script = command(step, act)

        async def sent() -> StepResult:
            async with Guests(load_rules().endpoints) as ways:
                sender = Sender(ways, None, pause=0.05)
                commands = (Command(script.text, script.shell, script.data.decode()),)
                return await sender.work(host.connected(), step, act, commands)

        return asyncio.run(sent())

    def probed(self) -> Guest:
        """What an audit sees of the guest now."""
        (host,) = read_hosts(self.guests.hosts_file)

        async def asked() -> object:
            async with Guests(load_rules().endpoints) as ways:
                return await ways.probe(host.connected())

        guest = asyncio.run(asked())
        assert isinstance(guest, Guest), guest
        return guest

    def agent(self) -> tuple[str | None, dict[str, tuple[str | None, str | None]]]:
        """The version and the services that the next audit sees."""
        found = self.probed().agent
        if not isinstance(found, GuestAgent):
            return None, {}
        services = {one.name: (one.start, one.state) for one in found.services}
        return found.daemon_version, services


UP = {"RdAgent": ("automatic", "running"), "WindowsAzureGuestAgent": ("automatic", "running")}
BARE = "win-agent-missing"


@contextmanager
def repaired(
    name: str = BARE,
    trouble: WindowsTrouble | None = None,
    change: Callable[[WindowsState], WindowsState] = lambda state: state,
) -> Iterator[Repaired]:
    """A guest of the catalogue, changed first."""
    (one,) = (guest for guest in WINDOWS_GUESTS if guest.name == name)
    guest: WindowsGuestState = replace(one, state=change(one.state))
    with WinRmGuests((guest,), {name: trouble} if trouble else {}) as running:
        yield Repaired(running, name)
        assert running.refused == []
        assert [error for server in running.servers.values() for error in server.errors] == []


# ---- the cases of an installation ----------------------------------------------------------------


def test_an_installation() -> None:
    with repaired() as guest:
        assert guest.agent() == (None, {})
        result = guest.do(msi_work())
        assert (result.state, result.exit_status) == ("done", 0)
        assert guest.agent() == (NEW, UP)


def test_an_upgrade() -> None:
    with repaired("win-old-agent") as guest:
        assert guest.agent()[0] == OLD
        assert guest.do(msi_work("update")).state == "done"
        assert guest.agent() == (NEW, UP)
        assert guest.do(msi_work("update")).state == "nothing"


TROUBLES = (
    ("win-healthy", WindowsTrouble(Msi(version=OLD)), "refused", "the agent here is newer", (NEW, UP)),
    (BARE, WindowsTrouble(Msi(sha256="cd" * 32)), "refused", "its SHA-256 is cdcd", (None, {})),
    (BARE, WindowsTrouble(Msi(signature="HashMismatch")), "refused", "is HashMismatch", (None, {})),
    (BARE, WindowsTrouble(Msi(signer="Mallory Ltd")), "refused", "signed by Mallory Ltd", (None, {})),
    (BARE, WindowsTrouble(busy=3), "done", "Another installation is under way.", (NEW, UP)),
    (BARE, WindowsTrouble(busy=99), "failed", "msiexec ended with 1618", (None, {})),
    (BARE, WindowsTrouble(exit_code=3010), "done", "Windows has to be restarted", (NEW, UP)),
    (BARE, WindowsTrouble(exit_code=1641), "done", "Windows has to be restarted", (NEW, UP)),
    (BARE, WindowsTrouble(exit_code=1603), "failed", "msiexec ended with 1603", (None, {})),
    (BARE, WindowsTrouble(unfetched="(407) Proxy"), "failed", "not fetched: (407) Proxy", (None, {})),
    (BARE, WindowsTrouble(snapshot=True), "refused", "a snapshot is being taken", (None, {})),
    (
        BARE, WindowsTrouble(stuck=frozenset({"RdAgent"})), "failed", "RdAgent did not come up",
        (NEW, {**UP, "RdAgent": ("automatic", "stopped")}),
    ),
)  # fmt: skip


@pytest.mark.parametrize(("name", "trouble", "state", "said", "end"), TROUBLES)
def test_trouble_with_an_installation(
    name: str, trouble: WindowsTrouble, state: str, said: str, end: object
) -> None:
    with repaired(name, trouble) as guest:
        result = guest.do(msi_work())
        assert (result.state, guest.agent()) == (state, end)
        assert said in result.output
        assert result.reboot is (trouble.exit_code in (3010, 1641))


@pytest.mark.parametrize("operation", ["Create", "Command", "Send", "Receive"])
def test_a_connection_that_drops_ends_no_installation(operation: str) -> None:
    with repaired(trouble=WindowsTrouble(seconds=0.3)) as guest:
        server = guest.guests.servers[BARE]
        server.faults.add(Fault(Kind.DROP, operation, times=1))
        assert guest.do(msi_work()).state == "done"
        assert guest.agent() == (NEW, UP)


def test_a_step_that_is_sent_again_only_tells() -> None:
    with repaired() as guest:
        said = [guest.send("windows-twice", msi_work()) for _ in range(3)]
        assert said[0] == said[1] == said[2]
        assert guest.guests.executions["windows-twice"] == 1


def test_a_work_that_runs_on_is_told_as_running() -> None:
    with repaired(trouble=WindowsTrouble(seconds=1.5)) as guest:
        guest.guests.running[BARE].steps.patience = 0.1
        (host,) = read_hosts(guest.guests.hosts_file)

        async def sent() -> StepResult:
            async with Guests(()) as ways:
                return answer(await ways.send(host.connected(), command("windows-slow", msi_work()), 30))

        assert asyncio.run(sent()).state == "running"
        assert guest.send("windows-slow", msi_work()).state == "done"
        assert guest.guests.executions["windows-slow"] == 1


def test_a_restart_of_windows_in_the_middle_ends_the_work() -> None:
    with repaired(trouble=WindowsTrouble(interrupted=True)) as guest:
        assert guest.send("windows-interrupted", msi_work()).state == "failed"
        assert guest.guests.executions["windows-interrupted"] == 1


# ---- gates in the guest, services ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [("win-pending-reboot", "a restart of Windows is pending"), ("win-disk-almost-full", "MB are free")],
)
def test_a_closed_gate_changes_nothing(name: str, said: str) -> None:
    with repaired(name) as guest:
        before = guest.state
        result = guest.do(msi_work())
        assert (result.state, guest.state) == ("refused", before)
        assert said in result.output


def test_a_disabled_installer_and_a_broken_wmi_are_gates() -> None:
    def disabled(state: WindowsState) -> WindowsState:
        return state.with_service("msiserver", replace(state.services["msiserver"], start=DISABLED))

    for change in (disabled, lambda state: replace(state, std_reg_prov=False)):
        with repaired(change=change) as guest:
            assert guest.do(msi_work()).state == "refused"


@pytest.mark.parametrize("name", ["win-service-stopped", "win-service-disabled"])
def test_services_are_started_and_set_to_start(name: str) -> None:
    with repaired(name) as guest:
        assert guest.do(start_work()).state == "done"
        assert guest.agent() == (NEW, UP)
        assert guest.do(start_work()).state == "nothing"
        assert guest.do(start_work("restart")).state == "done"


def test_nothing_is_restarted_while_a_snapshot_is_taken() -> None:
    with repaired("win-healthy", trouble=WindowsTrouble(snapshot=True)) as guest:
        before = guest.state
        result = guest.do(start_work("restart"))
        assert (result.state, guest.state) == ("refused", before)
        assert guest.do(start_work()).state == "nothing"


def test_a_service_without_its_program_does_not_start() -> None:
    with repaired("win-image-path-gone") as guest:
        assert guest.do(start_work("restart")).state == "failed"
        assert guest.do(msi_work()).state == "done"
        assert guest.agent() == (NEW, UP)


def test_the_clean_way_is_for_an_agent_that_does_not_run() -> None:
    def halted(state: WindowsState) -> WindowsState:
        return state.with_service("RdAgent", replace(state.services["RdAgent"], state=STOPPED))

    with repaired("win-healthy") as guest:
        assert guest.do(msi_work("clean")).state == "nothing"
    with repaired("win-healthy", change=halted) as guest:
        assert guest.do(msi_work("clean")).state == "done"
        assert guest.agent() == (NEW, UP)


def test_a_user_who_is_no_administrator_is_refused() -> None:
    with repaired(change=lambda state: replace(state, elevated=False)) as guest:
        assert guest.send("windows-nobody", msi_work()).state == "refused"
        assert guest.guests.executions["windows-nobody"] == 0


# ---- a file that is sent -------------------------------------------------------------------------


def payload(tmp_path: Path, content: bytes, sha256: str = "") -> Payload:
    path = tmp_path / "agent.msi"
    path.write_bytes(content)
    return Payload(str(path), sha256 or hashlib.sha256(content).hexdigest(), len(content))


def test_an_installation_from_a_file_that_is_sent(tmp_path: Path) -> None:
    sent = payload(tmp_path, bytes(range(256)) * 2000)
    with repaired() as guest:
        guest.guests.servers[BARE].faults.add(Fault(Kind.DROP, "Receive", times=1))
        assert guest.do(msi_work(payload=sent, sha256=sent.sha256)).state == "done"
        assert guest.agent() == (NEW, UP)


def test_a_step_without_its_file_fails(tmp_path: Path) -> None:
    sent = payload(tmp_path, b"x")
    act = msi_work(payload=sent, sha256=sent.sha256)
    with repaired() as guest:
        assert guest.do(replace(act, payload=None)).state == "failed"
        assert guest.agent() == (None, {})


def test_pieces_are_small_and_may_be_sent_again(tmp_path: Path) -> None:
    sent = payload(tmp_path, b"0123456789" * (CHUNK // 4))
    scripts = list(push("windows-push", msi_work(payload=sent)))
    assert [len(script.data) < 310_000 for script in scripts] == [True, True, True]
    with repaired() as guest:
        said = [heard(guest, script) for script in (scripts[1], scripts[0], *scripts, scripts[2])]
    assert [one.exit_status for one in said] == [1, 0, 0, 0, 0, 11]
    assert "the piece before this one is missing" in said[0].output


def test_a_file_that_arrives_damaged_is_not_taken(tmp_path: Path) -> None:
    (script,) = push("windows-push", msi_work(payload=payload(tmp_path, b"x", "00" * 32)))
    with repaired() as guest:
        result = heard(guest, script)
    assert (result.state, "its SHA-256 is" in result.output) == ("failed", True)


def heard(guest: Repaired, script: Script) -> StepResult:
    run = guest.guests.running[guest.name].run(command_line(script), script.data, {}, "ann", Event())
    return answer(CommandResult(run.exit_code, run.stdout, run.stderr))


@pytest.mark.parametrize("size", [2, 0])
def test_a_file_that_changed_since_the_plan_is_not_sent(tmp_path: Path, size: int) -> None:
    changed = replace(payload(tmp_path, b"x"), size=size) if size else Payload("nowhere", SHA256, 1)
    with pytest.raises(PlanError):
        list(push("windows-push", msi_work(payload=changed)))


# ---- what is sent --------------------------------------------------------------------------------


def test_a_command_is_fixed_text_and_data() -> None:
    one, other = command("windows-one", msi_work()), command("windows-two", start_work())
    assert one.text == other.text
    assert one.shell is Shell.POWERSHELL
    asked = json.loads(one.data)
    assert (asked["id"], asked["patience"]) == ("windows-one", 15)
    assert [file["name"] for file in asked["files"]] == ["run.cmd", "work.cmd", "windows_agent.ps1"]
    assert "\n" not in asked["files"][1]["text"].replace("\r\n", "")


WORDS = st.text("abcXYZ019 ._:/\\=?&,;+@~()#$'-", max_size=40).filter(lambda word: not word.endswith("\\"))


@given(st.lists(WORDS, max_size=6))
def test_arguments_come_back_as_they_were_given(words: list[str]) -> None:
    assert arguments(files(Work(Shell.CMD, "exit /b 0\n", tuple(words)))) == tuple(words)


@pytest.mark.parametrize("word", ['"', "%PATH%", "a^b", "a!b", "a\nb", "a|b", "<x", "\u00fc", "end\\", "`"])
def test_what_a_batch_would_not_keep_is_no_argument(word: str) -> None:
    with pytest.raises(ValueError, match="cannot be given to a batch"):
        command("windows-one", Work(Shell.CMD, "exit /b 0\n", (word,)))


@pytest.mark.parametrize(
    "act",
    [Work(Shell.POWERSHELL, "exit"), Work(Shell.CMD, "exit", guard="exit"), Work(Shell.CMD, "echo \u00fc")],
)
def test_a_work_that_is_none_for_windows(act: Work) -> None:
    with pytest.raises(ValueError, match="batch"):
        command("windows-one", act)


@pytest.mark.parametrize(
    "change",
    [
        lambda asked: asked["files"][1].update(text=asked["files"][1]["text"] + "rem\r\n"),
        lambda asked: asked["files"][0].update(text=asked["files"][0]["text"].replace("started", "begun")),
        lambda asked: asked["files"].append({"name": "more.ps1", "text": ""}),
    ],
)
def test_a_work_that_was_changed_is_not_known(change: Callable[[dict[str, object]], object]) -> None:
    script = command("windows-one", msi_work())
    asked = json.loads(script.data)
    change(asked)
    with WinRmGuests((WINDOWS_GUESTS[0],)) as guests:
        guest = guests.running["win-healthy"]
        run = guest.run(command_line(script), json.dumps(asked).encode(), {}, "ann", Event())
    assert (run.exit_code, len(guest.refused), guest.executions) == (97, 1, {})
