"""Imports run one way, and each foreign library has one room."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = {"auditor.model", "auditor.facts", "auditor.errors"}
PLUGIN_SIDE = VOCABULARY | {"auditor.plugin", "auditor.rules", "auditor.remedy"}

# room -> the rooms of ours it may import, besides itself; the longest matching prefix counts
ALLOWED = {
    "checks": PLUGIN_SIDE | {"auditor.inventory.scope"},
    "remediations": PLUGIN_SIDE | {"auditor.hosts.Shell", "auditor.text"},
    "reports": PLUGIN_SIDE | {"auditor", "auditor.summary", "auditor.text"},
    "auditor": set(),
    "auditor.errors": set(),
    "auditor.model": {"auditor.errors"},
    "auditor.facts": {"auditor.model", "auditor.errors"},
    "auditor.rules": VOCABULARY,
    "auditor.text": set(),
    "auditor.summary": {"auditor.model"},
    "auditor.plugin": VOCABULARY | {"auditor.rules", "auditor.remedy"},
    "auditor.remedy": VOCABULARY | {"auditor.rules", "auditor.hosts"},
    "auditor.repair": PLUGIN_SIDE
    | {"auditor.engine", "auditor.judge", "auditor.hosts", "auditor.text", "auditor"},
    "auditor.store": VOCABULARY
    | {"auditor.remedy", "auditor.repair.document", "auditor.text", "auditor.credentials"},
    "auditor.judge": PLUGIN_SIDE,
    "auditor.engine": PLUGIN_SIDE | {"auditor.judge"},
    "auditor.inventory": VOCABULARY | {"auditor.credentials"},
    "auditor.azure": VOCABULARY
    | {"auditor.inventory", "auditor.engine", "auditor.text", "auditor.probe", "auditor.credentials"}
    | {"auditor.hosts", "auditor", "auditor.remedy", "auditor.repair.seams", "auditor.rules.zones"},
    "auditor.credentials": {"auditor.errors"},
    "auditor.hosts": VOCABULARY | {"auditor.text", "auditor.credentials"},
    "auditor.probe": VOCABULARY | {"auditor.hosts", "auditor.rules", "auditor.text"},
    "auditor.guests": VOCABULARY | {"auditor.hosts", "auditor.probe", "auditor.rules", "auditor.credentials"},
    "auditor.settings": {"auditor.errors", "auditor.inventory"},
    "auditor.output": PLUGIN_SIDE,
    "auditor.log": {"auditor.errors", "auditor.text", "auditor.credentials"},
    "auditor.exits": {"auditor.model", "auditor.remedy"},
    "auditor.doctor": VOCABULARY | {"auditor.azure.estate", "auditor.azure.rights"},
    "auditor.simulator": VOCABULARY
    | {"auditor.rules", "auditor.probe", "auditor.hosts", "auditor.remedy", "auditor.repair.work"}
    | {"auditor.repair.windows"},
    "auditor.run": {"auditor"},
    "auditor.repairs": {"auditor"},
    "auditor.cli": {"auditor"},
    "auditor.__main__": {"auditor.cli"},
}
EVERYTHING_IN_AUDITOR = {"auditor.run", "auditor.repairs", "auditor.cli"}

# library -> the only rooms that may import it
ONLY_IN = {
    "azure": {"auditor.azure"},
    "msal": {"auditor.azure"},
    "paramiko": {"auditor.hosts.ssh"},
    "winrm": {"auditor.hosts.winrm"},
    "asyncssh": {"auditor.simulator"},
    "spnego": {"auditor.simulator"},
    "keyring": {"auditor.credentials"},
    "trustme": {"auditor.simulator"},
    "jinja2": {"reports"},
    "typer": {"auditor.cli"},
    "rich": {"auditor.cli"},
}
OURS = ("auditor", "checks", "remediations", "reports")
FILES = sorted(path for top in OURS for path in (ROOT / top).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str:
    return max((room for room in ALLOWED if within(name, room)), key=len)


def violations(module: str, imported: str) -> Iterator[str]:
    library = imported.partition(".")[0]
    if library in ONLY_IN and not any(within(module, room) for room in ONLY_IN[library]):
        yield f"{module} imports {imported}; only {sorted(ONLY_IN[library])} may"
    if library in OURS:
        room = room_of(module)
        if room in EVERYTHING_IN_AUDITOR and library == "auditor":
            return
        if not within(imported, room) and not _may(room, imported):
            yield f"{module} imports {imported}; {room} may import {sorted(ALLOWED[room])}"


def _may(room: str, imported: str) -> bool:
    # bare "auditor" in a list means the package itself (its version), not everything below it
    return any(
        imported.rpartition(".")[0] == "auditor" and imported == "auditor.__version__"
        if allowed == "auditor"
        else within(imported, allowed)
        for allowed in ALLOWED[room]
    )


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_one_way(path: Path) -> None:
    module = module_name(path)
    assert [line for name in imports(path) for line in violations(module, name)] == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("checks.agent", "auditor.engine.Audit"),
        ("checks.agent", "reports.html.as_html"),
        ("auditor.engine", "azure.core.rest"),
        ("auditor.engine", "checks.CHECKS"),
        ("auditor.guests", "paramiko.SSHClient"),
        ("auditor.model", "auditor.plugin.Check"),
        ("auditor.simulator.server", "auditor.azure.estate.Azure"),
    ],
)
def test_a_wrong_import_is_noticed(module: str, imported: str) -> None:
    assert list(violations(module, imported))
