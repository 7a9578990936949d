"""The wheel holds our four packages, whole, and each has one owner."""

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

OURS = {"auditor", "checks", "remediations", "reports"}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built from the tracked and new files of the checkout, in a folder of its own."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listing.stdout.split("\0")):
        if (root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((root / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source],
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_the_wheel_holds_exactly_our_packages(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == OURS


def test_the_wheel_holds_every_module_and_data_file(wheel: zipfile.ZipFile, root: Path) -> None:
    shipped = {".py", ".toml", ".sh", ".json", ".j2", ".css", ".js"}
    expected = {
        path.relative_to(root).as_posix()
        for top in OURS
        for path in (root / top).rglob("*")
        if path.suffix in shipped and "__pycache__" not in path.parts
    }
    assert expected - set(wheel.namelist()) == set()


def test_each_top_level_name_has_one_owner() -> None:
    owners = packages_distributions()
    assert {name: set(owners.get(name, ())) for name in OURS} == {name: {"fleet-auditor"} for name in OURS}


def test_every_dependency_is_pinned(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(item for extra in extras for item in extra)]
    pinned = (root / "constraints.txt").read_text(encoding="utf-8").lower()
    missing = [item for item in wanted if f"\n{_name(item)}==" not in f"\n{pinned}"]
    assert missing == []


def _name(requirement: str) -> str:
    return requirement.partition(">")[0].partition("[")[0].lower()
