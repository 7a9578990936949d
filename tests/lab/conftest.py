"""The lab, once for all its tests, and one estate after the other in it."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import require_lane
from tests.lab.bases import SUITES, Base, base
from tests.lab.estate import Report, audit, azure_id, entry, running, write_known_hosts
from tests.lab.faults import FAULTS, SECRETS, VERSIONS
from tests.lab.guests import Guest
from tests.lab.lab import Lab
from tests.lab.rpms import FAMILIES, rpm_base
from tests.lab.system import missing


@pytest.fixture(scope="session")
def bases() -> Iterator[Mapping[str, Future[Base]]]:
    """The bases of all suites; those that are missing are built while the tests go on."""
    lacking = missing()
    require_lane(f"lab ({', '.join(lacking)})" if lacking else "lab", not lacking)
    pool = ThreadPoolExecutor(2)
    yield {suite: pool.submit(base, suite) for suite in SUITES}
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def rpm_bases(bases: Mapping[str, Future[Base]]) -> Iterator[Future[Mapping[str, Base]]]:
    """The bases of the families with rpm, built in the same way."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(lambda: {name: rpm_base(name) for name in FAMILIES})


@pytest.fixture(scope="session")
def lab(bases: Mapping[str, Future[Base]]) -> Iterator[Lab]:
    """The network and its services, without a guest."""
    lab = Lab()
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="session", params=SUITES)
def suite(request: pytest.FixtureRequest, bases: Mapping[str, Future[Base]]) -> Base:
    """Each suite in turn."""
    return bases[request.param].result()


@pytest.fixture(scope="session")
def estate(lab: Lab, suite: Base) -> Iterator[Mapping[str, Guest]]:
    """Every fault of a suite in a guest of its own."""
    with running(lab, suite, FAULTS) as guests:
        lab.services.wait_for_report(guests["healthy"].address, VERSIONS[suite.suite])
        yield guests


@pytest.fixture(scope="session")
def report(lab: Lab, estate: Mapping[str, Guest], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What one run says of all of them."""
    folder: Path = tmp_path_factory.mktemp("operator")
    known = {guest.address: guest.host_key for guest in estate.values()}
    known[estate["changed-key"].address] = estate["healthy"].host_key
    write_known_hosts(folder, known)
    entries = [
        entry(lab, guest, azure_id=azure_id(name), **FAULTS[name].entry) for name, guest in estate.items()
    ]
    return audit(lab, folder, entries, "--connect-timeout", "5", **SECRETS)
