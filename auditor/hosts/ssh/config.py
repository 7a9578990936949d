"""OpenSSH's client configuration, read as OpenSSH reads it, without running anything.

paramiko's reader knows no Include, looks names up in the DNS without a limit, and runs `Match exec` in a
shell with the host's name in it; this one does none of that. Blocks with a criterion that would have to run
something, or that is not known, do not apply. Source of the rules: ssh_config(5) of OpenSSH 9.2.
"""

import getpass
import glob
import logging
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from pathlib import Path

from auditor.errors import HostError
from auditor.hosts.options import GLOBAL_SSH_CONFIG

logger = logging.getLogger(__name__)

DEPTH = 16
COLLECTED = "identityfile"
_LINE = re.compile(r"""\s*(?:"([A-Za-z0-9]+)"\s*|([A-Za-z0-9]+)(?:\s*=\s*|\s+))(.*?)\s*\Z""")
_WORD = re.compile(r"""(?:\\.?|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'\\])+|["']""")
_QUOTED = re.compile(r"""\\(["'\\ ])|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'""")
_ESCAPED = re.compile(r"""\\(["'\\])""")
_NAMES = {"host", "originalhost"}
_ARGUMENTS = {"host", "originalhost", "user", "localuser"}
_FLAGS = {"all", "canonical", "final"}

Settings = dict[str, list[str]]
"""Keyword in lower case to the words of its first line; of `COLLECTED` to the first words of every line."""


@dataclass(frozen=True, slots=True)
class _Criterion:
    kind: str
    patterns: tuple[str, ...] = ()
    negated: bool = False


@dataclass(slots=True)
class _Block:
    criteria: tuple[_Criterion, ...]
    settings: list[tuple[str, list[str]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _View:
    """What criteria are held against; `found` grows while blocks are taken."""

    alias: str
    asked_user: str | None
    found: Settings
    final: bool

    def subject(self, kind: str) -> str:
        """The text that the patterns of a criterion are held against."""
        if kind in ("alias", "originalhost"):
            return self.alias
        if kind == "host":
            return _host(self.found, self.alias)
        configured = self.found.get("user", [""])[0] if kind == "user" else ""
        return (self.asked_user if kind == "user" else None) or configured or local_user()


class SshConfig:
    """Configuration files, read with the first question; safe to use from many threads.

    As for OpenSSH, a relative path of Include leads to the user's `.ssh`, in the `system`'s file beside it.
    """

    def __init__(self, files: Iterable[Path], system: Path = GLOBAL_SSH_CONFIG) -> None:
        self._files = tuple(files)
        self._system = system
        self._lock = threading.Lock()
        self._blocks: list[_Block] | None = None

    def settings(self, alias: str, user: str | None = None) -> Settings:
        """What the files say for a host as it was named; raises `HostError` for a file not to be used.

        `user` is the one that was asked for, if any: it decides `Match user`.
        """
        with self._lock:
            if self._blocks is None:
                readers = [_Reader(path, self._folder(path)) for path in self._files]
                self._blocks = [block for reader in readers for block in reader.blocks()]
            blocks = self._blocks
        found: Settings = {}
        _read(blocks, _View(alias, user, found, final=False))
        if any(criterion.kind == "final" for block in blocks for criterion in block.criteria):
            found["hostname"] = [_host(found, alias).lower()]
            _read(blocks, _View(alias, user, found, final=True))
        return found

    def _folder(self, path: Path) -> Path:
        return path.parent if path == self._system else Path(os.path.expanduser("~/.ssh"))


def _read(blocks: Iterable[_Block], view: _View) -> None:
    for block in blocks:
        if all(_holds(criterion, view) for criterion in block.criteria):
            _take(block, view.found)


def _host(found: Settings, alias: str) -> str:
    return found.get("hostname", [alias])[0].replace("%h", alias)


def _take(block: _Block, found: Settings) -> None:
    for keyword, words in block.settings:
        if keyword == COLLECTED:
            known = found.setdefault(keyword, [])
            known += [word for word in words[:1] if word not in known]
        else:
            found.setdefault(keyword, words)


def local_user() -> str:
    """Who runs this program; raises `HostError` where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise HostError("no user is named for this host, and whoever runs the audit has no name") from error


# ---- files ----------------------------------------------------------------------------------------


class _Reader:
    """One top-level file with everything that it includes, from `folder` where the path is relative."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder

    def blocks(self) -> Iterator[_Block]:
        """The blocks in order; raises `HostError` for a file that others may write to, or nonsense."""
        return self._file(self._path, (), 0)

    def _file(self, path: Path, outer: tuple[_Criterion, ...], depth: int) -> Iterator[_Block]:
        if depth > DEPTH:
            raise HostError(f"{self._path} includes files too deep ({path})")
        block = _Block(outer)
        for number, line in enumerate(_text(path).split("\n"), 1):
            keyword, value = _split(line, f"{path}, line {number}")
            if keyword in ("host", "match"):
                yield block
                block = _Block(outer + _criteria(keyword, value, f"{path}, line {number}"))
            elif keyword == "include":
                yield block
                for word in _words(value):
                    for found in self._included(word):
                        yield from self._file(found, block.criteria, depth + 1)
                block = _Block(block.criteria)
            elif keyword:
                block.settings.append((keyword, [value] if keyword == "proxycommand" else _words(value)))
        yield block

    def _included(self, word: str) -> list[Path]:
        pattern = Path(os.path.expanduser(word))
        names = sorted(glob.glob(str(self._folder / pattern)))
        return [Path(name) for name in names if not os.path.isdir(name)]


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            status = os.fstat(file.fileno())
            if os.name == "posix" and (
                status.st_uid not in (0, os.getuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            ):
                raise HostError(f"{path} is not used: others may write to it")
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from error


def _split(line: str, place: str) -> tuple[str, str]:
    if not line.strip() or line.lstrip().startswith("#"):
        return "", ""
    match = _LINE.match(line)
    if match is None or not _words(match[3]):
        raise HostError(f"{place} is no setting of ssh_config")
    keyword, value = (match[1] or match[2]).lower(), match[3]
    if keyword != "proxycommand" and not all(map(_closed, _raw_words(value))):
        raise HostError(f"{place} has a quote that is not closed")
    return keyword, value


def _words(value: str) -> list[str]:
    """The words without their quotes and escapes, up to a comment."""
    return [_QUOTED.sub(_bare, word) for word in _raw_words(value)]


def _raw_words(value: str) -> Iterator[str]:
    words = (match[0] for match in _WORD.finditer(value))
    return takewhile(lambda word: not word.startswith("#"), words)


def _bare(match: re.Match[str]) -> str:
    return match[1] or _ESCAPED.sub(r"\1", match[2] or match[3] or "")


def _closed(word: str) -> bool:
    return word not in ('"', "'")


# ---- criteria -------------------------------------------------------------------------------------


def _criteria(keyword: str, value: str, place: str) -> tuple[_Criterion, ...]:
    if keyword == "host":
        return (_Criterion("alias", tuple(_words(value))),)
    words = _words(value.replace("=", " "))
    found = []
    while words:
        word = words.pop(0).lower()
        kind, negated = word.removeprefix("!"), word.startswith("!")
        if kind in _FLAGS:
            found.append(_Criterion(kind, (), negated))
        elif kind in _ARGUMENTS and words:
            found.append(_Criterion(kind, tuple(words.pop(0).split(",")), negated))
        else:
            logger.warning("%s: a block with 'Match %s' is left out, it is not evaluated here", place, kind)
            return (_Criterion("never"),)
    return tuple(found) or (_Criterion("never"),)


def _holds(criterion: _Criterion, view: _View) -> bool:
    if criterion.kind == "never":
        return False
    if criterion.kind == "all":
        return not criterion.negated
    if criterion.kind in ("final", "canonical"):
        return view.final is not criterion.negated
    text, patterns = view.subject(criterion.kind), criterion.patterns
    if criterion.kind in _NAMES:  # names in any case, unlike those of Host
        text, patterns = text.lower(), tuple(map(str.lower, patterns))
    return matches(text, patterns) is not criterion.negated


def matches(text: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern with `*` and `?` fits, and none that begins with `!` does."""
    found = False
    for pattern in patterns:
        if not _fits(pattern.removeprefix("!"), text):
            continue
        if pattern.startswith("!"):
            return False
        found = True
    return found


def _fits(pattern: str, text: str) -> bool:
    if "*" in pattern or "?" in pattern:
        return _glob(pattern).fullmatch(text) is not None
    return pattern == text


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)
