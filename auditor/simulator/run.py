"""Serve an estate until interrupted, and tell clients how to reach it."""

import asyncio
import os
import shlex
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import orjson

from auditor.simulator.estate import Estate
from auditor.simulator.server import RunningServer, serve_estate
from auditor.simulator.world import Options


def environment(server: RunningServer) -> dict[str, str]:
    """The variables that a client needs to audit the estate, the secret among them."""
    estate = server.estate
    return {
        "AUDITOR_CLOUD": server.url,
        "AZURE_TENANT_ID": estate.tenant,
        "AZURE_CLIENT_ID": estate.client_id,
        "AZURE_CLIENT_SECRET": estate.client_secret,
        "REQUESTS_CA_BUNDLE": str(server.ca_pem),
        "SSL_CERT_FILE": str(server.ca_pem),
    }


def write_env_file(path: Path, variables: dict[str, str]) -> None:
    """Write `export NAME=value` lines that a shell can source; the file appears whole, mode 0600."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    _write(path, "".join(lines).encode())


def truth_document(estate: Estate) -> bytes:
    """The truth per machine as JSON: scenario, verdict, decisive findings."""
    rows = {
        key: {"scenario": truth.scenario, "verdict": truth.verdict, "findings": dict(truth.findings)}
        for key, truth in estate.truth().items()
    }
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2)


def run_simulator(
    estate: Estate,
    *,
    port: int = 0,
    options: Options = Options(),  # noqa: B008 - frozen
    env_file: Path | None = None,
    truth_file: Path | None = None,
) -> None:
    """Serve until interrupted (SIGINT, SIGTERM); `env_file` appears when the server is ready."""
    try:
        asyncio.run(_run(estate, port, options, env_file, truth_file))
    except KeyboardInterrupt:
        return
    finally:
        if env_file is not None:
            env_file.unlink(missing_ok=True)


async def _run(
    estate: Estate, port: int, options: Options, env_file: Path | None, truth_file: Path | None
) -> None:
    interrupted = _interrupted()  # before anybody is told that there is something to interrupt
    async with serve_estate(estate, port=port, options=options) as server:
        if truth_file is not None:
            _write(truth_file, truth_document(estate))
        if env_file is not None:
            write_env_file(env_file, environment(server))
        print(f"{len(estate.vms)} machines at {server.url} (stop with Ctrl-C)", flush=True)
        await interrupted.wait()


def _interrupted() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM"):
        with suppress(NotImplementedError):  # Windows event loops take no signal handlers
            loop.add_signal_handler(getattr(signal, name), stop.set)
    return stop


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
