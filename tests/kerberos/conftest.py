"""The realm for tests of either side; other folders import these fixtures from here."""

from collections.abc import Iterator

import pytest

from tests.conftest import require_lane
from tests.kerberos.realm import Realm, installed


@pytest.fixture(scope="session")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """A realm whose KDC runs for the whole session."""
    require_lane("kerberos", installed())
    with Realm(tmp_path_factory.mktemp("realm")).running() as running:
        yield running


@pytest.fixture
def realm(kdc: Realm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Realm]:
    """The realm, with this process's environment pointing at it and the user signed in."""
    for name, value in kdc.environment.items():
        monkeypatch.setenv(name, value)
    kdc.sign_in()
    yield kdc
    kdc.sign_out()
