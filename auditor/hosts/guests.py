"""The guest plane: one probe per guest, in a bounded pool of threads, each within its deadline."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from auditor.errors import HostError
from auditor.facts import Guest, Unseen
from auditor.hosts import CommandResult, Session
from auditor.hosts.known_hosts import KnownHosts
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh import Credentials, SshHost
from auditor.model import Connection, Machine, Platform
from auditor.probe import linux_script, parse
from auditor.rules import Endpoint
from auditor.text import one_line

logger = logging.getLogger(__name__)

Opener = Callable[[Connection], Session]


class Guests:
    """Asks guests; use it as an async context manager, or call `close` when the run is over."""

    def __init__(
        self, endpoints: Iterable[Endpoint], options: GuestOptions | None = None, opener: Opener | None = None
    ) -> None:
        self._options = options or GuestOptions()
        self._script = linux_script(endpoints)
        self._open = opener or _ssh(self._options)
        self._slots = asyncio.Semaphore(self._options.concurrency)
        self._pool = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="guest")

    async def __aenter__(self) -> "Guests":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the threads go; those that still work end with their host's deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def probe(self, machine: Machine) -> Guest | Unseen:
        """Ask one guest, within its deadline; what cannot be seen is said with the reason."""
        connection = machine.connection
        if connection is None:
            return Unseen("no guest connection is configured for this machine", expected=False)
        if machine.platform is Platform.WINDOWS or connection.transport != "ssh":
            return Unseen("Windows guests over WinRM are not supported yet")
        async with self._slots:
            return await self._ask(connection)

    async def _ask(self, connection: Connection) -> Guest | Unseen:
        session = self._open(connection)
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._probe, session)
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

    def _probe(self, session: Session) -> Guest | Unseen:
        try:
            return self._answer(session)
        except HostError as error:
            return Unseen(str(error))
        finally:
            with contextlib.suppress(Exception):
                session.close()

    def _answer(self, session: Session) -> Guest:
        result = session.run(self._script, self._options.command_timeout)
        if result.exit_status is None and not result.truncated:
            logger.info("a guest's exit status is unknown; probing again")
            result = session.run(self._script, self._options.command_timeout)
        if result.exit_status is None and not result.truncated:
            raise HostError("the connection dropped while the probe ran, twice (exit status unknown)")
        return self._understood(result)

    def _understood(self, result: CommandResult) -> Guest:
        if result.truncated:
            raise HostError(
                f"the guest sent too much output (more than {self._options.output_limit} bytes); "
                "reading stopped there"
            )
        try:
            return parse(result.stdout, observed_at=datetime.now(UTC), transport="ssh")
        except HostError as error:
            said = one_line(result.stderr)
            told = f"; it complained: {said}" if said else ""
            raise HostError(f"{error} (exit status {result.exit_status}){told}") from error


def _ssh(options: GuestOptions) -> Opener:
    known_hosts = KnownHosts(options.known_hosts_files)
    credentials = Credentials(options)
    return lambda connection: SshHost(connection, options, known_hosts, credentials)
