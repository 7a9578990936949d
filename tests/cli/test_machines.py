"""Where machines, their connections and their secrets come from, as a user runs the program."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor import run as runs
from auditor.plugin import load_checks
from auditor.settings import resolve, settings
from auditor.simulator.run import environment
from auditor.simulator.server import RunningServer
from tests.hosts import conftest as ssh

refused_port = ssh.refused_port

Program = Callable[..., subprocess.CompletedProcess[str]]
NO_AZURE = dict.fromkeys(("AUDITOR_CLOUD", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"))
QUICK = ("--connect-timeout", "1", "--host-deadline", "5")


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "out" / "audit.json").read_text(encoding="utf-8"))
    return content


def reasons(folder: Path, check: str) -> dict[str, str]:
    return {
        machine["name"]: finding["reason"] or finding["summary"]
        for machine in report(folder)["machines"]
        for finding in machine["findings"]
        if finding["check"] == check
    }


def ways(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The column that says how each machine is reached, by machine id."""
    head, *lines = done.stdout.splitlines()
    first, end = head.index("guest"), head.index("id ", head.index("guest"))
    return {line.split()[-1]: line[first:end].strip() for line in lines if "/" in line.split()[-1]}


# ---- connections -------------------------------------------------------------------------------------


def test_rules_say_how_machines_are_reached(program: Program, server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "connections.toml").write_text(
        """
        [[connection]]
        platform = "windows"
        address = "public-ip"
        user = "admin"
        [[connection]]
        tag = { environment = "prod" }
        address = "{name}.corp.example"
        [[connection]]
        skip = true
        """
    )
    done = program("inventory", "--connections", "connections.toml")
    assert done.returncode == 0, done.stderr
    found = ways(done)
    assert found.keys() == server.estate.truth().keys()
    assert {way.split()[0] for way in found.values()} == {"ssh", "winrm", "left", "out"}
    nics = {key for key, way in found.items() if way.startswith("winrm admin@")}
    lacking = {key for key, way in found.items() if way == "out of reach"}
    assert nics
    assert lacking
    assert done.stdout.count("Azure shows no public address of this VM (connections.toml, line 2") == len(
        lacking
    )
    assert all(
        way == f"ssh {key.rsplit('/', 1)[1]}.corp.example" for key, way in found.items() if "ssh" in way
    )


def test_the_subnets_that_azure_shows_are_what_a_plan_spreads_over(
    program: Program, server: RunningServer, tmp_path: Path
) -> None:
    name = next(vm.name for vm in server.estate.vms if vm.scenario.name == "agent-missing")
    (tmp_path / "connections.toml").write_text("[[connection]]\naddress = 'private-ip'\n")
    program("remediate", "plan", "--connections", "connections.toml", "--vm", name, *QUICK)
    (machine,) = json.loads((tmp_path / "out" / "plan.json").read_text(encoding="utf-8"))["machines"]
    assert [group for group in machine["groups"] if "/subnets/" in group] == machine["groups"] != []


def test_azures_primary_address_is_a_fact_where_guests_are_reached_by_it(
    server: RunningServer, tmp_path: Path
) -> None:
    rules = tmp_path / "connections.toml"
    rules.write_text('[[connection]]\naddress = "private-ip"\n')
    variables = environment(server)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        wanted = settings(resolve({"connections": str(rules)}, environment=variables, read_file=False))
        found = asyncio.run(runs.inventory(runs.Request.prepare(wanted, load_checks())))
    reached = {one.id: one.connection.address for one in found.machines if one.connection is not None}
    assert {key: model.primary_address for key, model in found.models.items() if key in reached} == reached
    assert not [key for key, one in found.models.items() if key not in reached and one.primary_address]
    assert reached


def test_two_machines_at_one_address_are_both_audited_and_named(
    program: Program, tmp_path: Path, refused_port: int
) -> None:
    port = refused_port
    hosts = "".join(f"- {{name: {name}, address: 127.0.0.1, port: {port}}}\n" for name in ("one", "two"))
    (tmp_path / "hosts.yaml").write_text(hosts)
    said = f"127.0.0.1:{port}: 2 machines have this address and port (one, two)"
    listed = program("inventory", "--inventory", "hosts.yaml", env=NO_AZURE)
    assert (listed.returncode, said in listed.stdout, said in listed.stderr) == (0, True, True)
    done = program("audit", "--inventory", "hosts.yaml", *QUICK, env=NO_AZURE)
    assert said in done.stderr
    content = report(tmp_path)
    assert [machine["name"] for machine in content["machines"]] == ["one", "two"]
    assert f"127.0.0.1:{port}" in [limit["scope"] for limit in content["coverage"]["limits"]]


def test_a_mistake_in_the_connections_file_ends_the_run(program: Program, tmp_path: Path) -> None:
    (tmp_path / "connections.toml").write_text("[[connection]]\npasswort = 'canary'\n")
    done = program("audit", "--connections", "connections.toml")
    assert done.returncode == 2
    said = "error: connections.toml, line 2: unknown key 'passwort'; did you mean 'password'?\n"
    assert done.stderr == said


def test_run_command_is_the_way_in_only_where_it_is_wanted(
    program: Program, server: RunningServer, tmp_path: Path
) -> None:
    truth = server.estate.truth()
    off = next(key for key, machine in truth.items() if machine.scenario == "deallocated")
    arguments = ("audit", "--vm", off, "--check", "guest-identity")
    program(*arguments)
    assert list(reasons(tmp_path, "guest-identity").values()) == [
        "no guest connection is configured for this machine"
    ]
    program(*arguments, "--run-command")
    assert "not asked through Run Command: " in next(iter(reasons(tmp_path, "guest-identity").values()))


# ---- secrets -----------------------------------------------------------------------------------------


def test_a_secret_that_is_missing_is_said_first_and_costs_only_the_guests_that_need_it(
    program: Program, tmp_path: Path, refused_port: int
) -> None:
    closed = refused_port
    (tmp_path / "hosts.yaml").write_text(
        json.dumps(
            [
                {"name": "a", "address": "127.0.0.1", "port": closed, "password": "env:NOT_SET"},
                {"name": "b", "address": "127.0.0.1", "port": closed, "sudo_password": "env:NOT_SET"},
                {"name": "c", "address": "127.0.0.1", "port": closed, "password": "prompt:nobody there"},
                {"name": "d", "address": "127.0.0.1", "port": closed, "password": "env:CANARY"},
            ]
        )
    )
    done = program(
        *("audit", "--inventory", "hosts.yaml", *QUICK, "--check", "guest-dhcp", "-v"),
        *("--log-file", "run.jsonl"),
        env={**NO_AZURE, "CANARY": "canary-value"},
    )
    assert done.returncode == 3, done.stderr
    found = reasons(tmp_path, "guest-dhcp")
    assert found["a"] == "its password: the environment variable NOT_SET is not set"
    assert found["b"] == "its sudo password: the environment variable NOT_SET is not set"
    assert found["c"].startswith("its password: there is no terminal to ask for the secret 'nobody there' on")
    assert "connection refused" in found["d"]
    assert done.stderr.count("NOT_SET is not set; a and 1 more cannot be asked") == 1
    written = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert [text for text in (done.stdout, done.stderr, *written) if "canary" in text] == []


def test_no_secret_is_asked_for_where_no_guest_is(program: Program, tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text("name,address,password\na,192.0.2.1,env:NOT_SET\n")
    done = program("audit", "--inventory", "hosts.csv", "--check", "vault-in-region", env=NO_AZURE)
    assert "NOT_SET" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them")
def test_a_prompt_comes_before_the_guests_and_shows_nothing(tmp_path: Path, refused_port: int) -> None:
    import pty

    hosts = [
        {"name": name, "address": "127.0.0.1", "port": refused_port, "password": "prompt:fleet"}
        for name in ("a", "b")
    ]
    (tmp_path / "hosts.yaml").write_text(json.dumps(hosts))
    command = [sys.executable, "-P", "-m", "auditor", "audit", "--inventory", "hosts.yaml", *QUICK]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, command, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    said, typed, end = b"", False, time.monotonic() + 60
    try:
        while time.monotonic() < end:
            said += os.read(terminal, 4096)
            if b"Secret 'fleet': " in said and not typed:
                os.write(terminal, b"canary-typed\n")
                typed = True
    except OSError:  # Linux: the other side is gone
        pass
    finally:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 3, said
    assert said.count(b"Secret 'fleet': ") == 1
    assert b"canary" not in said
    assert "connection refused" in reasons(tmp_path, "guest-dhcp")["b"]


# ---- Ansible -----------------------------------------------------------------------------------------


def test_an_ansible_inventory_is_audited_and_its_password_left_alone(
    program: Program, tmp_path: Path, refused_port: int
) -> None:
    closed = refused_port
    (tmp_path / "inventory").write_text(
        f"[web]\nweb[1:2] ansible_host=127.0.0.1 ansible_port={closed}\n"
        "console ansible_connection=local\n"
        "[web:vars]\nansible_password=canary-value\nansible_user=azops\n"
    )
    done = program(
        *("audit", "--inventory", "inventory", "--tag", "group:web=yes", *QUICK, "--check", "guest-dhcp"),
        *("--log-file", "run.jsonl"),
        env=NO_AZURE,
    )
    found = reasons(tmp_path, "guest-dhcp")
    assert found.keys() == {"web1", "web2", "console"}
    assert "connection refused" in found["web1"]
    assert "ansible_connection of the inventory is 'local'" in found["console"]
    assert "ansible_password of web1 and 2 more is written out, and no password is taken" in done.stderr
    (tmp_path / "inventory").unlink()
    written = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert [text for text in (done.stdout, done.stderr, *written) if "canary" in text] == []


# ---- before a migration ------------------------------------------------------------------------------


@pytest.fixture
def pre_migration(tmp_path: Path, refused_port: int) -> tuple[str, ...]:
    (tmp_path / "hosts.csv").write_text(f"name,address,port\nold,127.0.0.1,{refused_port}\n")
    return ("audit", "--inventory", "hosts.csv", "--target-region", "West Europe", *QUICK)


def test_the_vaults_of_a_target_region_are_read_and_no_vm_listed(
    program: Program, server: RunningServer, tmp_path: Path, pre_migration: tuple[str, ...]
) -> None:
    before = server.stats.requests.copy()
    program(*pre_migration)
    used = server.stats.requests - before
    assert {kind for kind in used if "virtualmachine" in kind.lower()} == set()
    content = report(tmp_path)
    assert [machine["name"] for machine in content["machines"]] == ["old"]
    statuses = {finding["check"]: finding["status"] for finding in content["machines"][0]["findings"]}
    assert statuses["vault-in-region"] == "pass"


def test_without_a_sign_in_the_report_comes_all_the_same(
    program: Program, tmp_path: Path, pre_migration: tuple[str, ...]
) -> None:
    done = program(*pre_migration, "--check", "vault-in-region", env={"AZURE_CLIENT_SECRET": "wrong"})
    assert done.returncode == 3, done.stderr
    assert reasons(tmp_path, "vault-in-region")["old"].startswith("nobody is signed in to Azure")
    assert [limit["scope"] for limit in report(tmp_path)["coverage"]["limits"]] == ["vaults in West Europe"]
