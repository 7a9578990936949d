"""The guest plane: one probe per guest, in a bounded pool of threads, each within its deadline."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from auditor.credentials import Secrets, hide
from auditor.errors import HostError, Unreachable
from auditor.facts import NOT_ASKED, Guest, InstanceView, Unseen
from auditor.hosts import CommandResult, Script, Session
from auditor.hosts.known_hosts import KnownHosts
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh import Credentials, Network, SshConfig, SshHost
from auditor.model import RUN_COMMAND, SSH, WINRM, Connection, Machine, Platform
from auditor.probe import Answer, Probe, linux_probe, windows_probe
from auditor.rules import Endpoint

logger = logging.getLogger(__name__)

Opener = Callable[[Connection], Session]
"""Makes a session that connects with its first `run`."""

_OURS = frozenset({"platform", "transport", "stage"})
"""Fields of facts that hold words of our own."""

NO_CONNECTION = Unseen("no guest connection is configured for this machine", expected=False)
LEFT_OUT = Unseen("the connections file leaves this guest out", expected=False)


@dataclass(frozen=True, slots=True)
class _NoWay(Unseen):
    """No connection came about."""


class RunCommand(Protocol):
    """Azure's own way into a guest, for those that no port leads to."""

    async def probe(self, machine: Machine, probe: Probe, view: InstanceView | Unseen) -> Guest | Unseen:
        """Ask a guest whose agent is ready; any other gets `Unseen` with the reason."""


class Guests:
    """Asks guests; use it as an async context manager, or call `close` when the run is over."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        options: GuestOptions | None = None,
        openers: Mapping[str, Opener] | None = None,
        run_command: RunCommand | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self._options = options or GuestOptions()
        named = tuple(endpoints)
        self._linux, self._windows = linux_probe(named), windows_probe(named)
        self._openers = openers or _openers(self._options, secrets or Secrets())
        self._run_command = run_command
        self._slots = asyncio.Semaphore(self._options.concurrency)
        self._pool = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="guest")

    async def __aenter__(self) -> "Guests":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the threads go; those that still work end with their host's deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def probe(
        self, machine: Machine, view: Awaitable[InstanceView | Unseen] | None = None
    ) -> Guest | Unseen:
        """Ask one guest, within its deadline; what cannot be seen is said with the reason.

        `view` is awaited only where Run Command is the way in, which rests on the agent.
        """
        connection = machine.connection
        if refusal := self._refusal(machine):
            return refusal
        if connection is None:
            fallback = await self._through_azure(machine, view) if self._options.run_command else None
            return fallback or (Unseen(machine.unreachable) if machine.unreachable else NO_CONNECTION)
        if connection.transport == RUN_COMMAND:
            return await self._through_azure(machine, view) or NO_CONNECTION
        async with self._slots:
            answer = await self._ask(connection, self._probe_of(machine))
        if isinstance(answer, _NoWay) and self._options.run_command:
            return _better(answer, await self._through_azure(machine, view))
        return answer

    async def send(self, machine: Machine, script: Script, limit: float) -> CommandResult:
        """Run one script in a guest within `limit` seconds; raises `HostError` with the reason."""
        if refusal := self._refusal(machine):
            raise HostError(refusal.reason)
        connection = machine.connection
        if connection is None or connection.transport not in self._openers:
            raise HostError("no port leads into this guest")
        async with self._slots:
            return await self._sent(connection, script, limit)

    async def _sent(self, connection: Connection, script: Script, limit: float) -> CommandResult:
        session = self._openers[connection.transport](connection)
        work = asyncio.get_running_loop().run_in_executor(self._pool, _run, session, script, limit)
        # what an abandoned one ends with is asked for, or asyncio would print it
        work.add_done_callback(lambda one: one.cancelled() or one.exception())
        try:
            done, _ = await asyncio.wait({work}, timeout=limit + self._options.grace)
        except asyncio.CancelledError:
            session.abort("the run was cancelled")
            await asyncio.wait({work}, timeout=self._options.grace)
            raise
        if done:
            return work.result()
        session.abort("deadline")
        raise HostError(f"the limit of {limit:g} s passed while {session.stage}")

    def _refusal(self, machine: Machine) -> Unseen | None:
        """Why this guest is not asked at all, or None."""
        if machine.left_out:
            return LEFT_OUT
        if machine.connection is None:
            return None
        if machine.unreachable:
            return Unseen(machine.unreachable)
        if machine.connection.transport not in {*self._openers, RUN_COMMAND}:
            return Unseen(f"the transport {machine.connection.transport!r} is not known")
        return None

    async def _through_azure(
        self, machine: Machine, view: Awaitable[InstanceView | Unseen] | None
    ) -> Guest | Unseen | None:
        """The guest as Run Command sees it; None where that is no way in."""
        if self._run_command is None or view is None or not machine.in_azure:
            return None
        return await self._run_command.probe(machine, self._probe_of(machine), await view)

    def _probe_of(self, machine: Machine) -> Probe:
        winrm = machine.connection is not None and machine.connection.transport == WINRM
        return self._windows if winrm or machine.platform is Platform.WINDOWS else self._linux

    async def _ask(self, connection: Connection, probe: Probe) -> Guest | Unseen:
        session = self._openers[connection.transport](connection)
        work = asyncio.get_running_loop().run_in_executor(
            self._pool, self._probe, session, probe, connection.transport
        )
        try:
            done, _ = await asyncio.wait({work}, timeout=self._options.deadline + self._options.grace)
        except asyncio.CancelledError:
            session.abort("the run was cancelled")
            await asyncio.wait({work}, timeout=self._options.grace)
            raise
        if done:
            return work.result()
        session.abort("deadline")
        return Unseen(f"the deadline of {self._options.deadline:g} s passed while {session.stage}")

    def _probe(self, session: Session, probe: Probe, transport: str) -> Guest | Unseen:
        try:
            answers = self._answers(session, probe)
            seen = probe.read(answers, datetime.now(UTC), transport)
            guest: Guest = _hidden(_explained(seen, answers))
            return guest
        except Unreachable as error:
            return _NoWay(hide(str(error)))
        except HostError as error:
            return Unseen(hide(str(error)))
        finally:
            with contextlib.suppress(Exception):
                session.close()

    def _answers(self, session: Session, probe: Probe) -> list[Answer]:
        """Every script's answer; after the first that fails a guest is not asked any further."""
        answers: list[Answer] = []
        failure: Unseen | None = None
        for script in probe.scripts:
            if failure is None:
                try:
                    answers.append(self._answer(session, script))
                    continue
                except HostError as error:
                    if not answers:
                        raise
                    failure = Unseen(str(error))
            answers.append(failure)
        return answers

    def _answer(self, session: Session, script: Script) -> CommandResult:
        result = session.run(script, self._options.command_timeout)
        if result.exit_status is None and not result.truncated:
            logger.info("a guest's exit status is unknown; probing again")
            result = session.run(script, self._options.command_timeout)
        if result.exit_status is None and not result.truncated:
            raise HostError("the connection dropped while the probe ran, twice (exit status unknown)")
        if result.truncated:
            raise HostError(
                f"the guest sent too much output (more than {self._options.output_limit} bytes); "
                "reading stopped there"
            )
        return result


def _run(session: Session, script: Script, timeout: float) -> CommandResult:
    try:
        return session.run(script, timeout)
    finally:
        session.close()


def _better(direct: Unseen, other: Guest | Unseen | None) -> Guest | Unseen:
    """What the second way in saw, or why neither saw anything."""
    if isinstance(other, Unseen):
        return Unseen(f"{direct.reason}; {other.reason}")
    return other or Unseen(direct.reason)


def _explained(guest: Guest, answers: Iterable[Answer]) -> Guest:
    """The guest with the reason why it was not asked as root behind every fact that was not seen."""
    notes = {answer.note: None for answer in answers if isinstance(answer, CommandResult) and answer.note}
    if guest.privileged or not notes:
        return guest
    changes: dict[str, Any] = {}
    for field in fields(guest):
        fact = getattr(guest, field.name)
        if isinstance(fact, Unseen) and fact is not NOT_ASKED:
            changes[field.name] = replace(fact, reason=f"{fact.reason} ({'; '.join(notes)})")
    return replace(guest, **changes)


def _hidden(value: Any) -> Any:
    """What a guest said, without secrets: it was given some, and may say them again."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, tuple):
        return tuple(map(_hidden, value))
    if not is_dataclass(value) or isinstance(value, type):
        return value
    told = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in _OURS}
    changes = {name: clean for name, old in told.items() if (clean := _hidden(old)) != old}
    return replace(value, **changes) if changes else value


def open_session(connection: Connection, options: GuestOptions, secrets: Secrets) -> Session:
    """A session with one guest, that connects with its first `run`; raises `HostError` for no transport."""
    openers = _openers(options, secrets)
    if connection.transport not in openers:
        raise HostError(f"the transport {connection.transport!r} leads into no session")
    return openers[connection.transport](connection)


def _openers(options: GuestOptions, secrets: Secrets) -> dict[str, Opener]:
    known_hosts = KnownHosts(options.known_hosts_files)
    credentials = Credentials(options, secrets)
    network = Network(SshConfig(options.ssh_config_files))
    return {
        SSH: lambda connection: SshHost(connection, options, known_hosts, credentials, network),
        WINRM: _winrm(options, secrets),
    }


def _winrm(options: GuestOptions, secrets: Secrets) -> Opener:
    def opener(connection: Connection) -> Session:
        # pywinrm takes a third of a second to import; runs without Windows guests do without
        from auditor.hosts.winrm import WinRmHost  # noqa: PLC0415

        return WinRmHost(connection, options, secrets)

    return opener
