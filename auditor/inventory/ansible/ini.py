"""Static inventories in Ansible's INI dialect."""

import ast
import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditor.errors import InventoryFileError
from auditor.inventory.ansible.groups import UNGROUPED, Groups
from auditor.inventory.ansible.patterns import expand

SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
KINDS = ("hosts", "children", "vars")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_LONGEST = 4096


def looks_like_ini(text: str) -> bool:
    """Whether the first line that says something is a section, or no YAML and no JSON."""
    first = next((line for _, line in _lines(text)), "")
    if first.startswith("["):
        return SECTION.fullmatch(first) is not None
    return not first.startswith(("{", "- ", "---", "%", "!")) and not re.match(r"[^\s=]+:(\s|$)", first)


def read_ini(path: Path, text: str) -> Groups:
    """The inventory of a text; raises `InventoryFileError` naming the line."""
    reader = _Reader(path)
    for number, line in _lines(text):
        try:
            reader.read(line)
        except ValueError as error:
            raise InventoryFileError(f"{path}, line {number}: {error}") from None
    reader.check()
    return reader.groups


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and stripped[0] not in "#;":
            yield number, stripped


class _Reader:
    """Reads line after line; messages never repeat what may be a password."""

    def __init__(self, path: Path) -> None:
        self.groups = Groups(str(path))
        self._path = path
        self._group, self._kind = UNGROUPED, "hosts"
        self._declared = {"all", UNGROUPED}
        self._children: dict[str, str] = {}
        self._described: set[str] = set()

    def read(self, line: str) -> None:
        section = SECTION.fullmatch(line)
        if section is not None:
            self._enter(section[1], section[2] or "hosts")
        elif line.startswith("[") and line.endswith("]"):
            raise ValueError("this is no section; it is written [group], [group:children] or [group:vars]")
        elif self._kind == "hosts":
            self._read_hosts(line)
        elif self._kind == "vars":
            self._read_variable(line)
        else:
            self._read_child(line)

    def check(self) -> None:
        """Refuse groups that only others speak of."""
        for child, parent in self._children.items():
            if child not in self._declared:
                raise InventoryFileError(
                    f"{self._path}: [{parent}:children] names {child!r}, which is no group"
                )
        for name in sorted(self._described - self._declared - self._children.keys()):
            raise InventoryFileError(f"{self._path}: [{name}:vars] is about a group that is not there")

    def _enter(self, group: str, kind: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown section kind {kind!r}; known: {', '.join(KINDS)}")
        self._group, self._kind = group, kind
        self.groups.add_group(group)
        (self._described if kind == "vars" else self._declared).add(group)

    def _read_hosts(self, line: str) -> None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            raise ValueError("a quote is not closed") from None
        pairs = [word.partition("=") for word in words[1:]]
        if not words or any(not equals or not name for name, equals, _ in pairs):
            raise ValueError("a host is written NAME variable=value ..., values with spaces in quotes")
        names, port = expand(words[0])
        variables = {name: _value(value) for name, _, value in pairs}
        for name in names:
            self.groups.add_host(name, self._group, variables, port)

    def _read_variable(self, line: str) -> None:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise ValueError("a variable of a group is written name=value")
        self.groups.set_variable(self._group, name, _value(value))

    def _read_child(self, line: str) -> None:
        child = _CHILD.fullmatch(line)
        if child is None:
            raise ValueError("the name of a group is wanted here")
        self._children.setdefault(child[1], self._group)
        self.groups.add_child(self._group, child[1])


def _value(text: str) -> Any:
    """A value as Ansible takes it: a Python literal where it is one, else the text."""
    if len(text) > _LONGEST:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in a value is no mistake
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
