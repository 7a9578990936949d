"""Agent versions: read from what agents and distributions print, compared part by part."""

import re
from functools import lru_cache

Version = tuple[int, int, int, int]

_PRINTED = re.compile(r"\s*(?P<parts>[0-9]{1,9}(?:\.[0-9]{1,9}){1,3})\s*(?:[-+~(].*)?", re.DOTALL)


@lru_cache(4096)  # a fleet prints few versions, and every machine's is compared with the same floors
def parse_version(text: str | None) -> Version | None:
    """The version of two to four numbers that `text` begins with; None where it has none.

    What a distribution appends is ignored: 2.7.3.0-4.1 is 2.7.3.0, 2.2.18-1.el6 is 2.2.18.0.
    """
    found = _PRINTED.fullmatch(text or "")
    if found is None:
        return None
    parts = [int(part) for part in found["parts"].split(".")]
    first, second, third, fourth = (*parts, 0, 0)[:4]
    return first, second, third, fourth
