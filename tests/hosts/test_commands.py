"""Scripts as command lines, and the limits of cmd.exe."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.hosts import CMD_LIMIT, POWERSHELL_LIMIT, Script, Shell
from auditor.hosts.commands import command_line, encoded_command

REAL_LIMIT = 8191
"""What cmd.exe takes."""


def test_each_shell_has_its_line() -> None:
    assert command_line(Script("rm -rf $HOME")) == "/bin/sh -s"
    assert command_line(Script("sc query RdAgent", Shell.CMD)) == "sc query RdAgent"
    shown = command_line(Script("'ä'; exit 3", Shell.POWERSHELL, b"data"))
    start, _, encoded = shown.rpartition(" ")
    assert start == (
        "powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand"
    )
    assert base64.b64decode(encoded).decode("utf-16-le") == "'ä'; exit 3"


def test_the_longest_scripts_fit_what_cmd_takes() -> None:
    assert len(command_line(Script("x" * POWERSHELL_LIMIT, Shell.POWERSHELL))) <= REAL_LIMIT
    assert len(command_line(Script("x" * CMD_LIMIT, Shell.CMD))) <= REAL_LIMIT


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (Script("x" * (CMD_LIMIT + 1), Shell.CMD), "8001 characters"),
        (Script("x" * (POWERSHELL_LIMIT + 1), Shell.POWERSHELL), "2901 characters"),
        (Script("😀" * 1451, Shell.POWERSHELL), "2902 characters"),
        (Script("a\nb", Shell.CMD), "one line"),
        (Script("a\rb", Shell.CMD), "one line"),
        (Script("a\0b", Shell.CMD), "one line"),
        (Script(" ", Shell.CMD), "not empty"),
        (Script("true", Shell.SH, b"data"), "takes no data"),
    ],
)
def test_what_cannot_be_sent(script: Script, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        command_line(script)


@given(st.text(max_size=600))
def test_powershell_text_is_data_for_cmd(text: str) -> None:
    encoded = encoded_command(text)
    assert base64.b64decode(encoded, validate=True).decode("utf-16-le") == text
    assert not set(encoded) & set('"%^&|<>()! \t')
