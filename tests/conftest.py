"""What every test may use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from auditor.credentials import forgetting

ROOT = Path(__file__).resolve().parent.parent


# a property that holds slowly holds: machines that run the tests are busy with them
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# what is started in the background may ignore interrupts, and then so would every program that a test starts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def require_lane(name: str, present: bool) -> None:
    """Skip where a real thing is missing; fail instead where AUDITOR_REQUIRE_LANES says so."""
    if present:
        return
    if os.environ.get("AUDITOR_REQUIRE_LANES"):
        pytest.fail(f"the {name} lane is required here and is not installed", pytrace=False)
    pytest.skip(f"the {name} lane is not installed here")


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No AUDITOR_ variable, settings file or store of the person who runs the tests leaks in."""
    keep = {"AUDITOR_REQUIRE_LANES", "AUDITOR_RECORDINGS", "AUDITOR_AZ", "AUDITOR_ANSIBLE"}
    for name in set(os.environ) - keep:
        if name.startswith("AUDITOR_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture(autouse=True)
def _secrets_of_other_tests_hide_nothing() -> Iterator[None]:
    """What one test calls a secret, be it `else`, is an ordinary word in the next."""
    with forgetting():
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded ARM exchanges."""
    folder = Path(os.environ.get("AUDITOR_RECORDINGS", ""))
    require_lane("recordings", bool(os.environ.get("AUDITOR_RECORDINGS")) and folder.is_dir())
    return folder
