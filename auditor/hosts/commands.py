"""A script as the one command line that a guest is given; shared by every transport."""

import base64
import re

from auditor.hosts import CMD_LIMIT, POWERSHELL_LIMIT, Script, Shell

SH = "/bin/sh -s"
POWERSHELL = (
    "powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand {encoded}"
)
_LINE_BREAKS = re.compile(r"[\r\n\0]")


def command_line(script: Script) -> str:
    """The command line for a script; raises `ValueError` where the script cannot be one.

    A POSIX shell reads the script itself, and any Windows script its data, on standard input.
    """
    if script.shell is Shell.SH:
        if script.data:
            raise ValueError("a script for sh takes no data: its text is what stands on standard input")
        return SH
    if script.shell is Shell.CMD:
        return _cmd(script.text)
    return POWERSHELL.format(encoded=encoded_command(script.text))


def encoded_command(text: str) -> str:
    """PowerShell text as `-EncodedCommand` wants it: base64 of UTF-16LE; raises `ValueError` if too long.

    cmd.exe, through which both WinRM and OpenSSH start it, takes 8191 characters in all.
    """
    raw = text.encode("utf-16-le")
    if len(raw) // 2 > POWERSHELL_LIMIT:
        raise ValueError(f"a PowerShell script of {len(raw) // 2} characters; {POWERSHELL_LIMIT} are taken")
    return base64.b64encode(raw).decode("ascii")


def _cmd(text: str) -> str:
    if len(text) > CMD_LIMIT:
        raise ValueError(f"a command line of {len(text)} characters; cmd.exe is given {CMD_LIMIT} at most")
    if not text.strip() or _LINE_BREAKS.search(text):
        raise ValueError("a script for cmd.exe is one line that is not empty")
    return text
