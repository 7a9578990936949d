"""What a Windows guest with OpenSSH would be asked.

There is no Windows here: a real sshd shows the command and its standard input as they came over the wire.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.errors import HostError
from auditor.hosts import CMD_LIMIT, POWERSHELL_LIMIT, CommandResult, Script, Shell
from auditor.hosts.commands import command_line
from tests.hosts.conftest import Sshd, opened

pytestmark = [pytest.mark.sshd, pytest.mark.usefixtures("nothing_left_behind")]

ECHO = 'ForceCommand printf %s "$SSH_ORIGINAL_COMMAND"; cat >&2'


@pytest.fixture
def echo(start_sshd: Callable[..., Sshd]) -> Sshd:
    return start_sshd(ECHO)


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (
            Script('reg query "HKLM\\Software" /s & exit 3', Shell.CMD),
            'reg query "HKLM\\Software" /s & exit 3',
        ),
        (Script("x" * CMD_LIMIT, Shell.CMD, b"\x00data\xff"), "x" * CMD_LIMIT),
    ],
)
def test_a_command_line_goes_as_it_is_in_utf8(echo: Sshd, script: Script, line: str) -> None:
    with opened(echo.connection, echo.options()) as host:
        asked = f"if 1==1 chcp 65001 >nul & {line}".encode()
        assert host.run(script, 10) == CommandResult(0, asked, script.data)


def test_a_linux_that_is_taken_for_a_windows_runs_nothing(sshd: Sshd, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    line = f"cd {tmp_path} & touch {touched} & echo here 2>{tmp_path}/nul"
    with opened(sshd.connection, sshd.options()) as host:
        result = host.run(Script(line, Shell.CMD), 10)
    assert (result.exit_status != 0, result.stdout) == (True, b"")
    assert list(tmp_path.glob("[tn]*")) == []


def test_a_windows_that_is_taken_for_a_linux_says_so(start_sshd: Callable[..., Sshd]) -> None:
    sshd = start_sshd("VersionAddendum OpenSSH_for_Windows_9.5")
    with opened(sshd.connection, sshd.options()) as host:
        with pytest.raises(HostError, match=r"is a Windows .*OpenSSH_for_Windows.*; set platform: windows"):
            host.run(Script("echo here"), 10)
        assert host.run(Script("true", Shell.POWERSHELL), 10).exit_status == 127


def test_powershell_goes_encoded_with_its_data_beside_it(echo: Sshd) -> None:
    script = Script("Ä" * POWERSHELL_LIMIT, Shell.POWERSHELL, b'{"a": 1}')
    with opened(echo.connection, echo.options()) as host:
        assert host.run(script, 10) == CommandResult(0, command_line(script).encode(), b'{"a": 1}')


def test_a_script_that_cannot_be_sent_is_a_reason(echo: Sshd) -> None:
    with opened(echo.connection, echo.options()) as host, pytest.raises(HostError, match="8001 characters"):
        host.run(Script("x" * (CMD_LIMIT + 1), Shell.CMD), 10)
