"""`auditor simulate`: an Azure estate on loopback, for trying things out and for tests."""

from pathlib import Path
from typing import Annotated

import typer

from auditor.errors import SettingsError


def simulate(  # noqa: PLR0917 - typer reads options from parameters
    vms: Annotated[int, typer.Option(min=0, help="How many machines the estate has.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed gives the same estate.")] = 1,
    latency_ms: Annotated[float, typer.Option(min=0, help="Delay of every answer, in milliseconds.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    env_file: Annotated[
        Path | None, typer.Option(help="Write what a client must source here, once the server is ready.")
    ] = None,
    truth_file: Annotated[
        Path | None, typer.Option(help="Write the seeded verdict of every machine here, as JSON.")
    ] = None,
) -> None:
    """Serve a simulated Azure estate over TLS on loopback until interrupted."""
    try:
        from auditor.simulator.estate import build_estate  # noqa: PLC0415 - an optional extra
        from auditor.simulator.run import run_simulator  # noqa: PLC0415
        from auditor.simulator.world import Options  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"the simulator needs its extra: pip install 'fleet-auditor[demo]' ({error})"
        ) from error
    for file in (env_file, truth_file):
        if file is not None and not file.parent.is_dir():
            raise SettingsError(f"cannot write {file}: the folder does not exist")
    try:
        run_simulator(
            build_estate(vms, seed),
            port=port,
            options=Options(latency_ms=latency_ms),
            env_file=env_file,
            truth_file=truth_file,
        )
    except OSError as error:
        raise SettingsError(f"cannot serve the estate: {error}") from error
