from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from auditor.simulator.estate import Estate, build_estate
from auditor.simulator.server import EstateServer, RunningServer
from tests.simulator.client import Client

Serve = Callable[..., RunningServer]


@pytest.fixture(scope="session")
def estate() -> Estate:
    return build_estate(60, 7)


@pytest.fixture
def serve(estate: Estate) -> Iterator[Serve]:
    """Serve the estate with options or faults of the test's own."""
    with ExitStack() as stack:
        yield lambda **kwargs: stack.enter_context(EstateServer(kwargs.pop("estate", estate), **kwargs))


@pytest.fixture(scope="module")
def shared(estate: Estate) -> Iterator[RunningServer]:
    """One server for tests that only read."""
    with EstateServer(estate) as server:
        yield server


@pytest.fixture(scope="module")
def client(shared: RunningServer) -> Client:
    return Client(shared)
