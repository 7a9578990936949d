"""Defaults < file < environment < command line, and every bad value names its place."""

from pathlib import Path
from typing import Any

import pytest

from auditor.errors import SettingsError
from auditor.settings import OPTIONS, Settings, resolve, settings


def resolved(
    given: dict[str, Any] | None = None, environment: dict[str, str] | None = None, file: Path | None = None
) -> Settings:
    return settings(resolve(given or {}, environment or {}, file, read_file=file is not None))


def write(folder: Path, text: str) -> Path:
    path = folder / "auditor.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_layer_overrides_the_one_below(tmp_path: Path) -> None:
    file = write(
        tmp_path, 'cloud = "china"\nfail-on = "at-risk"\nlocation = ["northeurope"]\nconcurrency = 8'
    )
    environment = {"AUDITOR_CLOUD": "usgovernment", "AUDITOR_LOCATION": "westeurope, westus"}
    values = resolve({"cloud": "public"}, environment, file)
    assert {
        name: (values[name].value, values[name].origin) for name in ("cloud", "location", "concurrency")
    } == {
        "cloud": ("public", "command line"),
        "location": (("westeurope", "westus"), "environment AUDITOR_LOCATION"),
        "concurrency": (8, f"file {file}"),
    }
    assert values["output"].origin == "default"
    assert values["fail_on"].value == "at-risk"


@pytest.mark.parametrize(
    ("given", "environment", "azure"),
    [
        ({}, {}, True),
        ({"inventory": ["hosts.yaml"]}, {}, False),
        ({"inventory": ["hosts.yaml"], "subscription": ["s"]}, {}, True),
        ({"inventory": ["hosts.yaml"]}, {"AUDITOR_CLOUD": "public"}, True),
        ({"inventory": ["hosts.yaml"], "azure": True}, {}, True),
        ({"inventory": ["hosts.yaml"], "subscription": ["s"], "azure": False}, {}, False),
        ({}, {"AUDITOR_AZURE": "no"}, False),
    ],
)
def test_a_hosts_file_alone_needs_no_azure(
    given: dict[str, Any], environment: dict[str, str], azure: bool
) -> None:
    assert resolved(given, environment).azure is azure


@pytest.mark.parametrize(
    ("given", "azure", "list_vms"),
    [
        ({"inventory": ["hosts.yaml"], "target_region": "westeurope"}, True, False),
        ({"inventory": ["hosts.yaml"], "target_region": "westeurope", "cloud": "china"}, True, False),
        ({"inventory": ["hosts.yaml"], "target_region": "westeurope", "azure": False}, False, False),
        ({"inventory": ["hosts.yaml"], "target_region": "westeurope", "azure": True}, True, True),
        ({"inventory": ["hosts.yaml"], "target_region": "westeurope", "subscription": ["s"]}, True, True),
        ({"inventory": ["hosts.yaml"], "cloud": "china"}, True, True),
        ({"target_region": "westeurope"}, True, True),
    ],
)
def test_a_target_region_asks_azure_for_its_vaults_alone(
    given: dict[str, Any], azure: bool, list_vms: bool
) -> None:
    found = resolved(given)
    assert (found.azure, found.list_vms) == (azure, list_vms)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("run_command", "perhaps"),
        ("command_timeout", "0"),
        ("target_region", " "),
        ("fail_on", "sometimes"),
        ("concurrency", "0"),
        ("concurrency", "many"),
        ("host_deadline", "-1"),
        ("host_deadline", "nan"),
        ("connect_timeout", "inf"),
        ("host_deadline", "1e300"),
        ("concurrency", "1000000"),
        ("user", "a\nb"),
        ("subscription", ["a\x1b[2J"]),
        ("tag", ["novalue"]),
        ("tag", ["=x"]),
        ("vm", [""]),
        ("cloud", "  "),
        ("host_key_policy", "ignore"),
        ("output", "~nobody-of-this-name/out"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, raw: Any) -> None:
    flag = "--" + name.replace("_", "-")
    with pytest.raises(SettingsError, match=f"^{flag}: {name} must be"):
        resolved({name: raw})


def test_a_bad_value_names_the_variable() -> None:
    with pytest.raises(SettingsError, match="environment AUDITOR_FAIL_ON: fail_on must be one of"):
        resolved(environment={"AUDITOR_FAIL_ON": "x"})


def test_a_settings_file_in_the_home_of_nobody_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="environment AUDITOR_CONFIG: must be a path whose ~ names"):
        resolve({}, {"AUDITOR_CONFIG": "~nobody-of-this-name/auditor.toml"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 5000, "cannot read settings file"),
        ("a = " + "9" * 5000, "cannot read settings file"),
        ("= broken", "cannot read settings file"),
        ('clowd = "public"', "unknown setting 'clowd'; did you mean 'cloud'"),
        ("zzzz = 1", "unknown setting 'zzzz'; known: cloud"),
        ('fail-on = "none"\nfail_on = "none"', "'fail-on' and 'fail_on' are the same setting; keep one"),
        ("cloud = 5", "cloud must be a text"),
        ('output = "a\\u0000b"', "output must be a path, and holds a NUL character"),
        ("location = 5", "location must be a list"),
        ('azure = "maybe"', "azure must be true or false"),
        ("concurrency = true", "concurrency must be a whole number"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        resolved(file=write(tmp_path, text))


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read settings file .*nowhere"):
        resolve({}, {"AUDITOR_CONFIG": str(tmp_path / "nowhere.toml")})


def test_tags_and_lists_become_a_scope() -> None:
    wanted = resolved({"tag": ["env=prod", "note=a=b"], "vm": ["a,b"], "check": ["x,y", "z"]})
    assert wanted.scope.tags == (("env", "prod"), ("note", "a=b"))
    assert wanted.scope.vms == ("a,b",)
    assert wanted.check == ("x", "y", "z")


def test_every_option_can_be_set_by_its_variable() -> None:
    samples = {
        "concurrency": "3",
        "tag": "a=b",
        "fail_on": "none",
        "azure": "yes",
        "run_command": "yes",
        "host_key_policy": "strict",
    }
    numbers = {"connect_timeout", "command_timeout", "host_deadline", "throttle_wait"}
    for option in OPTIONS:
        raw = samples.get(option.name, "2" if option.name in numbers else "value")
        values = resolve({}, {option.variable: raw}, read_file=False)
        assert values[option.name].origin == f"environment {option.variable}"
