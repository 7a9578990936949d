"""What `vssadmin list writers` prints, in any language: quoted names, numbers in brackets."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from auditor.facts import Unseen, Writer
from auditor.text import one_line

WRITERS = 128

_QUOTES = "'\"\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_NAME = re.compile(rf"\S[^:]*:\s*[{_QUOTES}]\s*(.+?)\s*[{_QUOTES}]\s*")
_STATE = re.compile(r"\s+\S[^:]*:\s*\[(\d{1,9})\].*")
_TEXT = re.compile(r"\s+\S[^:]*:\s*(\S.*?)\s*")
_CODE = re.compile(r"0x([0-9a-fA-F]{8})\b")
_AGREED = 3

# VSS_E_WRITERERROR_*, by the words of vssadmin
_ERRORS = {
    "no error": 0,
    "kein fehler": 0,
    "inconsistent shadow copy": 0x800423F0,
    "out of resources": 0x800423F1,
    "timed out": 0x800423F2,
    "retryable error": 0x800423F3,
    "wiederholbarer fehler": 0x800423F3,
    "non-retryable error": 0x800423F4,
    "nicht wiederholbarer fehler": 0x800423F4,
}
SOME_ERROR = 1
"""The error of a writer whose words are not known, and are not what the other writers say."""


@dataclass(slots=True)
class _Block:
    name: str
    state: int | None = None
    error: str = ""


def writers(text: str) -> tuple[Writer, ...] | Unseen:
    """The writers in vssadmin's output; `Unseen` with what it said where it lists none."""
    blocks = [block for block in _blocks(text) if block.state is not None][:WRITERS]
    if not blocks:
        return Unseen(f"vssadmin listed no writer; it said: {_last_words(text) or 'nothing'}")
    usual = _usual(blocks)
    return tuple(
        Writer(one_line(block.name, 100), block.state, _error(block.error, usual))
        for block in blocks
        if block.state is not None
    )


def _blocks(text: str) -> Iterator[_Block]:
    block: _Block | None = None
    for line in text.splitlines():
        if match := _NAME.fullmatch(line):
            if block:
                yield block
            block = _Block(match[1])
        elif block and block.state is None and (match := _STATE.fullmatch(line)):
            block.state = int(match[1])
        elif block and block.state is not None and not block.error and (match := _TEXT.fullmatch(line)):
            block.error = match[1]
    if block:
        yield block


def _usual(blocks: list[_Block]) -> str | None:
    """What most stable writers show as their last error: in any language, that there was none."""
    said = Counter(block.error for block in blocks if block.state == 1 and block.error)
    text, count = said.most_common(1)[0] if said else ("", 0)
    return text if count >= _AGREED and count * 2 > sum(said.values()) else None


def _error(text: str, usual: str | None) -> int | None:
    if code := _CODE.search(text):
        return int(code[1], 16)
    known = _ERRORS.get(text.lower())
    if known is not None or not text:
        return known
    if usual is None:
        return None
    return 0 if text == usual else SOME_ERROR


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return one_line(" ".join(lines[2:] or lines))
