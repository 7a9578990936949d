"""A whole probe as one script with one small answer, for a channel that carries 4,096 bytes back.

Azure's Run Command cuts the output of a script there; what the probe says is compressed to fit.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Sequence

from auditor.errors import HostError
from auditor.hosts import CommandResult, Script, Shell
from auditor.probe.answer import Answer
from auditor.probe.parse import END as PLAIN
from auditor.text import one_line

BEGIN, END = "AUDITOR-BUNDLE-BEGIN ", " AUDITOR-BUNDLE-END"
LIMIT = 4096
UNPACKED = 1024 * 1024

_PACKED = re.compile(re.escape(BEGIN) + r"([A-Za-z0-9+/=]*)" + re.escape(END))
_SH = """if command -v gzip >/dev/null && command -v base64 >/dev/null; then
  pack() {{ gzip -9 | base64 | tr -d '\\n' | sed 's|^|{begin}|; s|$|{end}|'; }}
else
  pack() {{ cat; }}
fi
(
{text}
) 2>/dev/null </dev/null | pack
"""
_HEAD = "$answers = @()\n"
_TAIL = f"""$json = ConvertTo-Json -Compress -InputObject $answers
$bytes = [Text.Encoding]::UTF8.GetBytes($json)
$memory = New-Object IO.MemoryStream
$gzip = New-Object IO.Compression.GZipStream($memory, [IO.Compression.CompressionMode]::Compress)
$gzip.Write($bytes, 0, $bytes.Length)
$gzip.Close()
'{BEGIN}' + [Convert]::ToBase64String($memory.ToArray()) + '{END}'
"""


def bundle(scripts: Sequence[Script]) -> str:
    """One script that runs them all: POSIX sh for one of that kind, else Windows PowerShell.

    Raises `ValueError` for scripts that cannot stand together.
    """
    if [script.shell for script in scripts] == [Shell.SH]:
        # the probe ends itself, which in a subshell ends no more than itself
        return _SH.format(text=scripts[0].text, begin=BEGIN, end=END)
    return _HEAD + "".join(_call(script) for script in scripts) + _TAIL


def unbundle(output: str, scripts: Sequence[Script]) -> list[Answer]:
    """One answer per script; raises `HostError` where the output holds no bundle that can be read."""
    found = _PACKED.search(output)
    posix = [script.shell for script in scripts] == [Shell.SH]
    if found is None and posix and PLAIN.decode() in output:
        return [CommandResult(0, output.encode())]
    if found is None:
        cut = BEGIN in output or END in output
        said = f"it was cut at {LIMIT} bytes" if cut else f"it said: {one_line(output) or 'nothing'}"
        raise HostError(f"the guest's answer did not come back whole; {said}")
    text = _unpacked(found[1])
    if posix:
        return [CommandResult(0, text)]
    try:
        texts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HostError("the guest's bundled answer is not JSON") from error
    if not isinstance(texts, list) or len(texts) != len(scripts):
        raise HostError("the guest's bundled answer does not fit the question")
    return [CommandResult(0, str(part).encode()) for part in texts]


def _call(script: Script) -> str:
    if script.shell is Shell.CMD:
        return f"$answers += ,({_literal(script.text)} | cmd.exe /d /q | Out-String)\n"
    if script.shell is Shell.POWERSHELL:
        data = _literal(script.data.decode())
        return f"$answers += ,({data} | & ([ScriptBlock]::Create({_literal(script.text)})) | Out-String)\n"
    raise ValueError("a POSIX script does not run on Windows")


def _literal(text: str) -> str:
    if any(line.startswith("'@") for line in text.splitlines()):
        raise ValueError("the script holds the end of a here-string")
    return f"@'\n{text}\n'@"


def _unpacked(encoded: str) -> bytes:
    """At most `UNPACKED` bytes: a small answer may stand for a large one."""
    try:
        reader = zlib.decompressobj(wbits=31)
        data = reader.decompress(base64.b64decode(encoded, validate=True), UNPACKED)
    except (binascii.Error, zlib.error) as error:
        raise HostError("the guest's bundled answer cannot be unpacked") from error
    if not reader.eof:
        raise HostError(f"the guest's bundled answer is incomplete, or larger than {UNPACKED} bytes")
    return data
