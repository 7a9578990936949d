"""`auditor selftest`: what a real host makes of the tool's own scripts, recorded for tests."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from auditor import credentials
from auditor.cli.terminal import print_table
from auditor.credentials import Secrets
from auditor.errors import HostError, SettingsError
from auditor.exits import Exit
from auditor.facts import Unseen
from auditor.guests import open_session
from auditor.hosts import Script, Session
from auditor.hosts.options import GuestOptions
from auditor.inventory.fields import Entry, conflict, connection_fields, is_address
from auditor.model import WINRM, Connection
from auditor.probe import windows_probe
from auditor.probe.answer import Answer
from auditor.probe.windows import pieces
from auditor.probe.windows.recording import Take, record
from auditor.rules import load_rules
from auditor.settings.values import LONGEST, seconds
from auditor.text import visible

NOT_ASKED = Unseen("not asked: the first script had no answer")
HEADINGS = ("script", "version", "result", "exit code", "ms", "remark")

selftest_app = typer.Typer(no_args_is_help=True, help="Try the tool's own scripts on a real host.")


@selftest_app.callback()
def selftest() -> None:
    """Try the tool's own scripts on a real host."""


@selftest_app.command("windows")
def windows(  # noqa: PLR0917 - typer reads options from parameters
    host: Annotated[str, typer.Argument(help="Address of a Windows host", metavar="HOST")],
    user: Annotated[str | None, typer.Option(help="User to sign in as", metavar="NAME")] = None,
    password: Annotated[
        str | None,
        typer.Option(
            "--password-ref", help="Reference to the password: env:NAME, file:PATH, prompt:NAME ..."
        ),
    ] = None,
    transport: Annotated[str, typer.Option(help="winrm or ssh")] = WINRM,
    port: Annotated[
        str | None, typer.Option(help="Port, where it is not the usual one", metavar="PORT")
    ] = None,
    auth: Annotated[str | None, typer.Option(help="ntlm, kerberos, certificate or basic (WinRM)")] = None,
    ca: Annotated[str | None, typer.Option(help="PEM file of the authority to trust", metavar="FILE")] = None,
    key: Annotated[
        str | None, typer.Option(help="Private key (SSH, or of --certificate)", metavar="FILE")
    ] = None,
    certificate: Annotated[
        str | None, typer.Option(help="Client certificate, PEM (WinRM)", metavar="FILE")
    ] = None,
    server_name: Annotated[
        str | None, typer.Option(help="Name in the host's certificate or service principal", metavar="NAME")
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="WinRM over HTTP, with encrypted messages")
    ] = False,
    known_hosts: Annotated[
        Path | None, typer.Option(help="SSH known_hosts file (default: the user's)", metavar="FILE")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one script")] = 60,
    output: Annotated[
        Path | None, typer.Option(help="Write the redacted recording here", metavar="FILE")
    ] = None,
) -> None:
    """Run every script of the Windows probe once, show what came back, and record it without names and ids.

    The scripts read and change nothing. Send the recording in: it turns "never run" into a test.
    """
    given = {
        "user": user, "password": password, "transport": transport, "port": port, "auth": auth, "ca": ca,
        "key": key, "certificate": certificate, "server_name": server_name, "plain_http": plain_http,
    }  # fmt: skip
    connection, timeout = _connection(host, given), _seconds(timeout)
    if output is not None and not output.absolute().parent.is_dir():
        raise SettingsError(f"cannot write {output}: the folder does not exist")
    options = GuestOptions(
        known_hosts=(known_hosts,) if known_hosts else None,
        command_timeout=timeout,
        deadline=min(timeout * (len(pieces()) + 1), LONGEST),
    )
    secrets = Secrets({"prompt": credentials.ask})
    for failure in secrets.resolve_all([password] if password else []).values():
        raise failure
    takes = _takes(open_session(connection, options, secrets), timeout)
    print_table(HEADINGS, _rows(takes))
    if output is not None:
        _write(output, takes, connection)
    raise typer.Exit(Exit.OK if all(take.verdict == "ok" for take in takes) else Exit.INCOMPLETE)


def _seconds(timeout: float) -> float:
    try:
        return seconds(timeout)
    except ValueError as error:
        raise SettingsError(f"--timeout {error}; got {timeout:g}") from error


def _connection(host: str, given: Mapping[str, object]) -> Connection:
    entry = Entry("selftest", {name: value for name, value in given.items() if value}, SettingsError)
    if not is_address(host):
        entry.fail(f"{host!r} is no host name or address")
    fields = connection_fields(entry)
    by_password = fields["transport"] == WINRM and fields.get("auth", "ntlm") in ("ntlm", "basic")
    if by_password and not {"user", "password"} <= set(fields):
        entry.fail("this sign-in takes a user and a password: give --user and --password-ref")
    if problem := conflict(fields, fields["transport"]):
        entry.fail(problem)
    return Connection(address=host, **fields)


def _takes(session: Session, timeout: float) -> list[Take]:
    """A take of each script; where the first has no answer the host is not bothered with the others."""
    takes: list[Take] = []
    try:
        for piece, script in zip(pieces(), windows_probe(load_rules().endpoints).scripts, strict=True):
            start = time.monotonic()
            lost = takes and isinstance(takes[0].answer, Unseen)
            answer = NOT_ASKED if lost else _answer(session, script, timeout)
            takes.append(Take(piece, answer, round(1000 * (time.monotonic() - start))))
    finally:
        session.close()
    return takes


def _answer(session: Session, script: Script, timeout: float) -> Answer:
    try:
        return session.run(script, timeout)
    except HostError as error:
        return Unseen(str(error))


def _rows(takes: Iterable[Take]) -> Iterator[tuple[str, ...]]:
    for take in takes:
        piece, status = take.piece, _status(take.answer)
        yield piece.name, str(piece.version), take.verdict, status, str(take.milliseconds), take.remark or "-"


def _status(answer: Answer) -> str:
    return "-" if isinstance(answer, Unseen) or answer.exit_status is None else str(answer.exit_status)


def _write(output: Path, takes: list[Take], connection: Connection) -> None:
    names = [
        part for part in (connection.address, *(connection.user or "").replace("@", "\\").split("\\")) if part
    ]
    content = record(takes, connection.transport, datetime.now(UTC), names)
    try:
        output.write_text(credentials.hide(json.dumps(content, indent=2)) + "\n", encoding="utf-8")
    except OSError as error:
        typer.echo(f"the recording cannot be written: {error.strerror}", err=True)
        sys.exit(Exit.USAGE)
    typer.echo(visible(f"Recording: {output} - names, ids and addresses are replaced; look through it first"))
