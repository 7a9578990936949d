"""`auditor remediate plan`, `show` and `export` as a user runs them, on a simulated estate."""

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auditor.cli.payloads import windows_agent
from auditor.errors import SettingsError
from auditor.remedy import AgentInstaller
from auditor.repair.document import parse_plan, read_plan
from auditor.simulator.guests import GUESTS, SshGuests
from auditor.simulator.server import RunningServer

Program = Callable[..., subprocess.CompletedProcess[str]]
SHA = "ab" * 32


@pytest.fixture(scope="module")
def guests() -> Iterator[SshGuests]:
    """Simulated Linux guests outside Azure, over real SSH."""
    with SshGuests(GUESTS) as running:
        yield running


def way_in(guests: SshGuests) -> tuple[str, ...]:
    return (
        "--inventory", str(guests.hosts_file),
        "--known-hosts", str(guests.known_hosts),
        "--ssh-config", "none",
    )  # fmt: skip


def key_of(server: RunningServer, scenario: str) -> str:
    return next(key for key, truth in server.estate.truth().items() if truth.scenario == scenario)


def test_a_stopped_agent_becomes_a_plan_with_its_page(
    program: Program, guests: SshGuests, tmp_path: Path
) -> None:
    done = program("remediate", "plan", *way_in(guests), "--vm", "guest-agent-stopped")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = read_plan(tmp_path / "out" / "plan.json")
    (machine,) = plan.touched
    assert machine.stages[0].remediation == "agent-restart"
    assert "agent-service" in machine.stages[0].repairs
    assert machine.identity.hostname == "guest-agent-stopped"
    page = (tmp_path / "out" / "plan.html").read_text(encoding="utf-8")
    assert "1 machine to repair" in page
    assert plan.digest in page
    for words in ("1. agent-restart", "low risk, ssh", "Plan: out/plan.json", "Plan: out/plan.html"):
        assert words in done.stdout


def test_a_machine_in_order_says_that_there_is_nothing_to_do(
    program: Program, guests: SshGuests, tmp_path: Path
) -> None:
    done = program("remediate", "plan", *way_in(guests), "--vm", "guest-healthy", "--check", "agent-service")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is touched." in done.stdout
    assert "nothing to do: 1 of 1 checks hold" in done.stdout
    assert read_plan(tmp_path / "out" / "plan.json").steps == ()


def test_an_earlier_report_restricts_the_plan(program: Program, guests: SshGuests, tmp_path: Path) -> None:
    program("audit", *way_in(guests), "--vm", "guest-agent-stopped", "--vm", "guest-healthy")
    report = tmp_path / "out" / "audit.json"
    content = json.loads(report.read_text(encoding="utf-8"))
    healthy = next(one for one in content["machines"] if one["name"] == "guest-healthy")
    healthy["findings"][0]["status"] = "pass"
    service = next(one for one in healthy["findings"] if one["check"] == "agent-service")
    service["status"] = "fail"
    report.write_text(json.dumps(content), encoding="utf-8")
    done = program("remediate", "plan", *way_in(guests), "--from", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    plan = read_plan(tmp_path / "out" / "plan.json")
    assert {one.machine.name for one in plan.machines} == {"guest-agent-stopped", "guest-healthy"}
    assert [one.machine.name for one in plan.touched] == ["guest-agent-stopped"]
    assert "the report's finding no longer stands; now pass" in done.stdout


def test_a_vm_without_a_way_in_says_so_and_how(
    program: Program, server: RunningServer, tmp_path: Path
) -> None:
    done = program("remediate", "plan", "--vm", key_of(server, "agent-stale"), "--output", "mine.json")
    plan = parse_plan((tmp_path / "mine.json").read_bytes(), "mine.json")
    assert (tmp_path / "mine.html").exists()
    assert plan.steps == ()
    reasons = {one.reason for one in plan.machines[0].unrepaired}
    assert any("no way into this guest" in reason for reason in reasons)
    assert "--connections" in done.stdout
    assert plan.cloud == server.url


def test_an_opt_in_takes_part_where_it_is_allowed(
    program: Program, server: RunningServer, tmp_path: Path
) -> None:
    vm = next(
        key
        for key, truth in server.estate.truth().items()
        if truth.findings.get("extension-health") == "fail" and "reapply" not in truth.scenario
    )
    chosen = ("remediate", "plan", "--vm", vm, "--check", "extension-health")
    program(*chosen)
    asked = read_plan(tmp_path / "out" / "plan.json").machines[0]
    program(*chosen, "--allow", "vm-reapply")
    given = read_plan(tmp_path / "out" / "plan.json").machines[0]
    offered = [one for one in asked.unrepaired if "--allow vm-reapply" in one.how]
    assert bool(offered) == bool(given.stages)
    assert not asked.stages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--check", "nope"), "unknown check 'nope'"),
        (("--allow", "vm-reaply"), "--allow: unknown remediation 'vm-reaply'; did you mean vm-reapply"),
        (("--allow", "agent-restart"), "--allow: agent-restart needs no asking"),
        (("--from", "none.json"), "--from: cannot read none.json"),
        (("--from", "odd.json"), "--from: odd.json is no JSON report of an audit"),
        (("--from", "empty.json"), "--from: the report is of the cloud 'mars'"),
        (("--windows-agent", "http://x/agent.msi"), "is no https URL"),
        (("--windows-agent", "https://x/agent.msi"), "needs --windows-agent-sha256"),
        (
            ("--windows-agent", "https://u:p@x/agent.msi", "--windows-agent-sha256", SHA),
            "a URL with a password",
        ),
        (
            ("--windows-agent", "\\\\server\\agent.msi", "--windows-agent-sha256", SHA),
            "is no file on a share",
        ),
        (("--windows-agent", "none.msi"), "--windows-agent: cannot read none.msi"),
        (("--windows-agent", "odd.json"), "is no .msi file"),
        (("--windows-agent-sha256", SHA), "--windows-agent-sha256 says nothing without --windows-agent"),
        (("--windows-agent-publisher", "Me"), "--windows-agent-publisher says nothing"),
        (("--windows-agent", "https://x/a.msi", "--windows-agent-sha256", "12"), "64 hexadecimal digits"),
        (("--linux-package", "odd.json"), "is neither a .deb nor an .rpm file"),
        (("--linux-package", "none.deb"), "--linux-package: cannot read none.deb"),
        (("--linux-package", "empty.deb"), "--linux-package: empty.deb is empty"),
        (("--linux-package", "a.deb", "--linux-package-sha256", SHA), f"and {SHA} was demanded"),
        (("--linux-package-sha256", SHA), "--linux-package-sha256 says nothing without --linux-package"),
        (("--output", "plan.html"), "name a .json file"),
    ],
)
def test_bad_input_names_the_option_and_touches_nothing(
    program: Program, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "odd.json").write_text("[1]")
    report = {"schema_version": "1.0", "run": {"cloud": "mars"}, "machines": []}
    (tmp_path / "empty.json").write_text(json.dumps(report))
    (tmp_path / "a.deb").write_bytes(b"package")
    (tmp_path / "empty.deb").touch()
    done = program("remediate", "plan", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "source", ["https://files.example.com/a/agent.msi?x=1", "\\\\server\\share\\sub folder\\agent.msi"]
)
def test_an_installer_that_guests_read_themselves(source: str) -> None:
    assert windows_agent(source, SHA.upper(), None) == AgentInstaller(source, SHA)


@pytest.mark.parametrize(
    "source",
    [
        "https://x/a'b.msi",
        "https://x/a b",
        'https://x/"',
        "https://",
        "\\\\s\\a&b\\c.msi",
        "\\\\s\\a\\%x%.msi",
        "ftp://x/y",
    ],
)
def test_a_source_that_a_shell_could_read_otherwise_is_refused(source: str) -> None:
    with pytest.raises(SettingsError, match="--windows-agent"):
        windows_agent(source, SHA, None)


def test_a_pushed_installer_is_known_by_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "agent.msi"
    file.write_bytes(b"installer")
    found = windows_agent(str(file), None, " Contoso ")
    digest = hashlib.sha256(b"installer").hexdigest()
    assert found is not None
    assert found.payload is not None
    assert (found.sha256, found.publisher) == (digest, "Contoso")
    assert (found.payload.path, found.payload.size) == (str(file), 9)


# ---- plans that exist ----------------------------------------------------------------------------


@pytest.fixture
def plan(program: Program, guests: SshGuests) -> str:
    program("remediate", "plan", *way_in(guests), "--vm", "guest-agent-stopped", "--vm", "guest-unit-masked")
    return "out/plan.json"


def test_show_prints_every_byte_that_would_be_sent(program: Program, plan: str, tmp_path: Path) -> None:
    done = program("remediate", "show", plan, "--commands", "--vm", "guest-agent-stopped")
    found = read_plan(tmp_path / plan)
    machine = next(one for one in found.machines if one.machine.name == "guest-agent-stopped")
    assert done.returncode == 0, done.stderr
    for indent, commands in ((9, machine.steps[0].commands), (2, found.reads)):
        for command in commands:
            shown = "".join(f"{' ' * indent}{line}\n" for line in command.text.split("\n"))
            assert shown in done.stdout
    assert "guest-unit-masked" not in done.stdout.replace(plan, "")


def test_show_refuses_a_machine_that_is_not_in_the_plan(program: Program, plan: str) -> None:
    done = program("remediate", "show", plan, "--vm", "nobody")
    assert (done.returncode, "the plan has no machine 'nobody'" in done.stderr) == (2, True)


def test_a_changed_plan_is_refused(program: Program, plan: str, tmp_path: Path) -> None:
    file = tmp_path / plan
    file.write_text(file.read_text().replace("walinuxagent", "sshd"))
    done = program("remediate", "show", plan)
    assert (done.returncode, "was changed after it was made" in done.stderr) == (2, True)


@pytest.mark.parametrize("format", ["az", "powershell", "bash", "ansible"])
def test_export_prints_or_writes_the_same(program: Program, plan: str, tmp_path: Path, format: str) -> None:
    printed = program("remediate", "export", plan, "--format", format)
    program("remediate", "export", plan, "--format", format, "--output", "exported")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout == (tmp_path / "exported").read_text(encoding="utf-8")
    assert read_plan(tmp_path / plan).digest in printed.stdout


def test_export_names_the_formats_that_there_are(program: Program, plan: str) -> None:
    done = program("remediate", "export", plan, "--format", "perl")
    assert (done.returncode, "known: az, powershell, bash, ansible" in done.stderr) == (2, True)


def test_an_export_that_finds_no_room_says_so_in_one_line(plan: str, tmp_path: Path) -> None:
    words = ("remediate", "export", plan, "--format", "bash")
    command = " ".join((shlex.quote(sys.executable), "-P -m auditor", *words))
    done = subprocess.run(
        ["sh", "-c", f"{command} >/dev/full; echo $?; {command} >&-; echo $?"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2\n2\n"
    assert done.stderr.splitlines() == [
        "error: cannot write to standard output: No space left on device",
        "error: standard output is closed; name a file with --output",
    ]
