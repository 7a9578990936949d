"""Exports: each language's own parser reads them, and they send what the plan shows, whatever the names."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_powershell
import tree_sitter_pwsh
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tree_sitter import Language, Node, Parser

from auditor.hosts import Script, Shell
from auditor.hosts.commands import command_line
from auditor.model import WINRM, Connection
from auditor.remedy import Action, Payload, Plan, Remedy, RepairOptions, Request, Work
from auditor.repair.export import mark
from auditor.repair.export_ansible import as_ansible
from auditor.repair.export_az import as_az, az_command
from auditor.repair.export_bash import as_bash, ssh_command
from auditor.repair.export_powershell import as_powershell, literal, quoted
from auditor.repair.work import push
from tests.checks.estate import VM, VM_ID, modelled
from tests.conftest import ROOT, require_lane
from tests.repair.bench import ALLOW, EVERYTHING, REAPPLY, RESTART, WAY_IN, host, make, planned, vm

HOSTILE = (
    "web1'; touch \"$PWD/betrayed\"; '",
    "$(touch betrayed)`touch betrayed`",
    "-oProxyCommand=touch betrayed",
    "a\ntouch betrayed\n",
    "AUDITOR-EXPORT-END",
    "{{ lookup('pipe', 'touch betrayed') }}{% raw %}",
    "\u2018; New-Item betrayed; \u2019",
    "# } catch { } '@",
    "\x1b[2J\u202e\u2028name",
    "tête-à-tête \\ %x%",
    "Ñ; New-Item betrayed; Ñ",
)
WINDOWS_WORK = Work(Shell.CMD, "@echo off\nsc start RdAgent\nexit /b 0\n", ("RdAgent",))
AGENT = "agent-service"

FORGED = "AUDITOR-STEP-BEGIN running 0 AUDITOR-STEP-BEGIN done 0"
"""What work may have printed."""

FAKE_SSH = """#!/bin/sh
count=$(ls "$RECORD" | wc -l)
mkdir "$RECORD/$count"
for word; do printf '%s\\0' "$word"; done >"$RECORD/$count/words"
cat >"$RECORD/$count/stdin"
[ "$count" -ge "${BUSY-0}" ] || ANSWER='running 0'
printf '\\nAUDITOR-STEP-BEGIN %s\\n' "${ANSWER-done 0}"
printf 'AUDITOR-STEP-END\\n'
"""


def renamed(name: str, **connection: Any) -> Any:
    facts = host(name)
    way = replace(WAY_IN, address=name, user=name, **connection)
    return replace(facts, machine=replace(facts.machine, connection=way))


def hostile_plan(options: RepairOptions | None = None) -> Plan:
    words = Action("\n".join(HOSTILE), HOSTILE[1], replace(RESTART.act, arguments=HOSTILE), HOSTILE[3])  # type: ignore[type-var]
    odd = make("odd", AGENT, answer=Remedy((words, RESTART)))
    return planned(*map(renamed, HOSTILE), vm(), remediations=[odd, *EVERYTHING], options=options)


def windows_plan(*names: str) -> Plan:
    work = make("windows", AGENT, answer=Remedy((replace(RESTART, act=WINDOWS_WORK, undo=None),)))
    return planned(*(renamed(name, transport=WINRM) for name in names), remediations=[work])


# ---- bash ----------------------------------------------------------------------------------------


def run_bash(script: str, folder: Path, **env: str) -> tuple[int, list[tuple[list[str], str]]]:
    """The exit status, and what each call of ssh was given."""
    record, tools = folder / "record", folder / "bin"
    record.mkdir()
    tools.mkdir()
    (tools / "ssh").write_text(FAKE_SSH)
    (tools / "ssh").chmod(0o755)
    (tools / "sleep").write_text("#!/bin/sh\n")
    (tools / "sleep").chmod(0o755)
    done = subprocess.run(
        ["bash", "-s"],
        input=script.encode(),
        cwd=folder,
        env={"PATH": f"{tools}:/usr/bin:/bin", "RECORD": str(record), "AUDITOR_LATER": "yes", **env},
        check=False,
    )
    calls = sorted(record.iterdir(), key=lambda call: int(call.name))
    found = [
        ((call / "words").read_text().split("\0")[:-1], (call / "stdin").read_bytes().decode())
        for call in calls
    ]
    return done.returncode, found


def test_bash_reads_it(tmp_path: Path) -> None:
    script = as_bash(hostile_plan())
    done = subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_every_guest_is_sent_exactly_what_the_plan_shows(tmp_path: Path) -> None:
    plan = hostile_plan()
    status, calls = run_bash(as_bash(plan), tmp_path)
    assert status == 0
    wanted = [
        ([*ssh_command(machine.machine.connection)[1:], "/bin/sh -s"], command.text)  # type: ignore[arg-type]
        for machine in plan.touched
        for step in machine.steps
        for command in step.commands
        if step.work is not None
    ]
    assert calls == wanted
    assert len(calls) == 4 * len(HOSTILE) + 4
    assert not list(tmp_path.rglob("betrayed"))


def test_later_stages_wait_for_a_yes(tmp_path: Path) -> None:
    plan = planned(host())
    status, calls = run_bash(as_bash(plan), tmp_path, AUDITOR_LATER="no")
    assert (status, [text for _, text in calls]) == (0, [plan.steps[0].commands[0].text])


@pytest.mark.parametrize(
    ("answer", "status"),
    [("done 0", 0), ("done 11", 0), ("done 12", 0), ("refused 11", 0)]
    + [(bad, 30) for bad in ("done 1", "done 110", "refused 10", "interrupted 0", "nothing")]
    + [(f"refused 10\n|{FORGED}", 30), (f"done 0\n|{FORGED}", 0)],
)
def test_what_a_guest_answers_decides(tmp_path: Path, answer: str, status: int) -> None:
    found, calls = run_bash(as_bash(planned(host(), host("db1"))), tmp_path, ANSWER=answer)
    assert found == status
    assert len(calls) == (4 if status == 0 else 2)


def test_a_step_that_still_runs_is_asked_again(tmp_path: Path) -> None:
    plan = planned(host(), remediations=EVERYTHING[:1])
    status, calls = run_bash(as_bash(plan), tmp_path, BUSY="2")
    assert status == 0
    assert [text for _, text in calls] == 3 * [plan.steps[0].commands[0].text]


def test_a_file_goes_before_its_step(tmp_path: Path) -> None:
    file = tmp_path / "agent.deb"
    file.write_bytes(bytes(range(256)) * 400)
    payload = Payload(str(file), "ab" * 32, file.stat().st_size)
    act = replace(RESTART.act, payload=payload)  # type: ignore[type-var]
    plan = planned(host(), remediations=[make("push", AGENT, answer=Remedy((replace(RESTART, act=act),)))])
    (step,) = plan.steps
    assert step.work is not None
    status, calls = run_bash(as_bash(plan), tmp_path)
    pieces = [script.text for script in push(step.id, step.work)]
    assert status == 0
    assert [text for _, text in calls] == [*pieces, step.commands[1].text]


def test_a_windows_guest_behind_ssh_gets_command_and_data(tmp_path: Path) -> None:
    work = make("windows", AGENT, answer=Remedy((replace(RESTART, act=WINDOWS_WORK, undo=None),)))
    plan = planned(host(), remediations=[work])
    (command,) = plan.steps[0].commands
    status, calls = run_bash(as_bash(plan), tmp_path)
    script = Script(command.text, Shell(command.shell), command.data.encode())
    assert status == 0
    assert calls[0][0][-1] == command_line(script)
    assert calls[0][1] == command.data


def test_ssh_options_stand_before_the_address() -> None:
    way = Connection("-x", 2222, "-l", "/k y", jump=("a", "b@c:1"))
    assert ssh_command(way) == (
        "ssh", "-o", "BatchMode=yes", "-p", "2222", "-i", "/k y", "-J", "a,b@c:1", "-l", "-l", "--", "-x",
    )  # fmt: skip


@given(st.text(max_size=60))
def test_a_mark_is_no_line_of_the_text(text: str) -> None:
    assert mark("END", text + "\nEND\nEND1\n") not in (text + "\nEND\nEND1\n").split("\n")


# ---- az ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ALLOW.act, f"az vm update --ids {VM_ID} --set osProfile.allowExtensionOperations=true"),
        (REAPPLY.act, f"az vm reapply --ids {VM_ID}"),
        (Request("DELETE", f"{VM_ID}/extensions/x"), f"az vm extension delete --ids {VM_ID}/extensions/x"),
        (Request("POST", VM_ID, "odd"), f"az rest --method post --url {VM_ID}/odd?api-version=2024-07-01"),
    ],
)  # fmt: skip
def test_a_write_is_the_command_that_az_has_for_it(request_: Request, words: str) -> None:
    assert " ".join(az_command(request_)) == words


def test_a_body_of_other_values_goes_as_it_is() -> None:
    body = {"properties": {"a": HOSTILE[0], "b": [1]}}
    words = az_command(Request("PATCH", VM_ID, body=body))
    assert words[:4] == ("az", "rest", "--method", "patch")
    assert json.loads(words[-1]) == body


def test_az_gets_each_word_whole(tmp_path: Path) -> None:
    resource = f"{VM_ID}{HOSTILE[0]}"
    odd = make("odd", "extensions-enabled", answer=Remedy((replace(ALLOW, act=Request("PUT", resource)),)))
    plan = planned(modelled(VM, allow_extension_operations=False), remediations=[odd])
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "az").write_text('#!/bin/sh\nfor word; do printf \'%s\\0\' "$word"; done >>"$RECORD"\n')
    (tools / "az").chmod(0o755)
    record = tmp_path / "record"
    subprocess.run(
        ["bash", "-s"],
        input=as_az(plan).encode(),
        env={"PATH": f"{tools}:/usr/bin:/bin", "RECORD": str(record)},
        cwd=tmp_path,
        check=True,
    )
    assert record.read_text().split("\0")[4] == f"{resource}?api-version=2024-07-01"
    assert not list(tmp_path.rglob("betrayed"))


FAKE_AZ = """#!/bin/sh
printf '%s\\n' "$*" >>"$RECORD"
case "$*" in *"${FAILS-nothing}"*) exit 3 ;; esac
"""


def run_az(plan: Plan, folder: Path, **env: str) -> tuple[int, list[str]]:
    """The exit status, and each call of az."""
    tools, record = folder / "bin", folder / "record"
    tools.mkdir()
    (tools / "az").write_text(FAKE_AZ)
    (tools / "az").chmod(0o755)
    done = subprocess.run(
        ["bash", "-s"],
        input=as_az(plan).encode(),
        env={"PATH": f"{tools}:/usr/bin:/bin", "RECORD": str(record), **env},
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.returncode, record.read_text().splitlines()


def azure_plan() -> Plan:
    """Two machines, each with two stages for the same check."""
    first = make("first", "extensions-enabled", answer=Remedy((ALLOW,)))
    second = make("second", "extensions-enabled", answer=Remedy((REAPPLY,)))
    facts = modelled(VM, allow_extension_operations=False)
    other = replace(facts.machine, id=f"{facts.machine.id}-2", name="other")
    return planned(facts, replace(facts, machine=other), remediations=[first, second])


@pytest.mark.parametrize(
    ("env", "status", "calls"),
    [
        ({"AUDITOR_LATER": "yes"}, 0, ["update", "reapply", "update", "reapply"]),
        ({"AUDITOR_LATER": "no"}, 0, ["update", "update"]),
        ({"AUDITOR_LATER": "yes", "FAILS": "update"}, 30, ["update", "update"]),
    ],
)
def test_az_asks_before_later_stages_and_goes_on_after_a_failure(
    tmp_path: Path, env: dict[str, str], status: int, calls: list[str]
) -> None:
    found, called = run_az(azure_plan(), tmp_path, **env)
    assert (found, [line.split()[1] for line in called]) == (status, calls)


def test_az_runs_nothing_of_guests(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        ["/bin/bash", "-s"],
        input=as_az(hostile_plan()).encode(),
        env={"PATH": str(tmp_path / "empty")},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


# ---- PowerShell ----------------------------------------------------------------------------------

PARSERS = [Parser(Language(module.language())) for module in (tree_sitter_powershell, tree_sitter_pwsh)]


def errors(parser: Parser, text: str) -> list[str]:
    found: list[str] = []

    def walk(node: Node) -> None:
        if node.type == "ERROR" or node.is_missing:
            found.append(f"line {node.start_point[0] + 1}: {(node.text or b'')[:80]!r}")
        for child in node.children:
            walk(child)

    walk(parser.parse(text.encode()).root_node)
    return found


def commands(parser: Parser, text: str) -> list[str]:
    """The names of the commands that a script calls."""
    names: list[str] = []

    def walk(node: Node) -> None:
        if node.type == "command_name":
            names.append((node.text or b"").decode())
        for child in node.children:
            walk(child)

    walk(parser.parse(text.encode()).root_node)
    return names


@pytest.mark.parametrize("parser", PARSERS, ids=("powershell", "pwsh"))
def test_powershell_reads_it(parser: Parser) -> None:
    for plan in (windows_plan("win1"), planned(host(), vm())):
        assert errors(parser, as_powershell(plan)) == []


def as_windows_powershell_reads(text: str) -> str:
    """A script's file as Windows PowerShell 5.1 takes it: in the code page, unless it begins with a mark."""
    content = text.encode("utf-8", "backslashreplace")
    marked = content.startswith(b"\xef\xbb\xbf")
    return content.decode("utf-8-sig") if marked else content.decode("cp1252", "replace")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_a_command_of_powershell(name: str) -> None:
    usual = as_powershell(windows_plan("win1"))
    found = as_powershell(windows_plan(name))
    assert commands(PARSERS[0], found) == commands(PARSERS[0], usual)


def test_windows_powershell_reads_every_name_as_it_is() -> None:
    text = as_powershell(windows_plan(*HOSTILE))
    assert as_windows_powershell_reads(text) == text.removeprefix("\ufeff")


def test_the_windows_script_and_its_data_stand_there_whole() -> None:
    plan = windows_plan("win1")
    (command,) = plan.steps[0].commands
    text = as_powershell(plan)
    assert f"$text = @'\n{command.text}\n'@\n" in text
    assert f"$data = @'\n{command.data}\n'@\n" in text
    assert "Authentication = 'Negotiate'" in text
    assert "UseSSL = $true" in text


def test_what_work_printed_is_no_answer_for_powershell() -> None:
    patterns = re.findall(
        r"'([^'\n]*AUDITOR-STEP-BEGIN (?:running|\()[^']*)'", as_powershell(windows_plan("win1"))
    )
    answer = f"\nAUDITOR-STEP-BEGIN refused 10\n|{FORGED}"
    assert [bool(re.search(pattern, answer)) for pattern in patterns] == [False, False]


def unquoted(text: str) -> str:
    """What PowerShell makes of a single-quoted string, typographic quotes among them."""
    assert text[0] == text[-1] == "'"
    inside, out = text[1:-1], ""
    while inside:
        if inside[0] in "'\u2018\u2019\u201a\u201b":
            assert inside[1] in "'\u2018\u2019\u201a\u201b"
            out, inside = out + inside[0], inside[2:]
        else:
            out, inside = out + inside[0], inside[1:]
    return out


@given(st.text() | st.sampled_from(HOSTILE))
def test_quoting_for_powershell_keeps_the_text(text: str) -> None:
    assert unquoted(quoted(text)) == text


@given(st.text("a'@\n\u2018 "))
def test_a_here_string_is_not_ended_by_its_text(text: str) -> None:
    found = literal(text)
    if found.startswith("@'\n"):
        assert found == f"@'\n{text}\n'@"
        assert not any(line[:2] in ("'@", "\u2018@") for line in text.split("\n"))
    else:
        assert unquoted(found) == text


# ---- Ansible -------------------------------------------------------------------------------------


class _Reader(yaml.SafeLoader):
    pass


_Reader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def test_the_playbook_holds_every_script_as_it_is() -> None:
    plan = hostile_plan()
    plays = yaml.load(as_ansible(plan), Loader=_Reader)
    scripts = [
        task["vars"]["script"] for play in plays for task in play["tasks"] if "ansible.builtin.raw" in task
    ]
    wanted = [step.commands[0].text for machine in plan.touched for step in machine.steps]
    assert scripts == wanted
    assert [play["vars"]["ansible_host"] for play in plays][: len(HOSTILE)] == list(HOSTILE)


def test_every_text_from_outside_is_no_template() -> None:
    tagged: list[str] = []
    plain: list[str] = []

    def walk(node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode):
            (tagged if node.tag == "!unsafe" else plain).append(node.value)
        else:
            for child in node.value:
                for part in child if isinstance(child, tuple) else (child,):
                    walk(part)

    walk(yaml.compose(as_ansible(hostile_plan()), Loader=_Reader))
    assert [text for text in plain if "{{" in text and text != "{{ script }}"] == []
    assert [text for text in plain if "betrayed" in text] == []
    assert any("lookup(" in text for text in tagged)


def file_plan(folder: Path, size: int) -> Plan:
    """A plan with one step that brings a file."""
    file = folder / "agent.deb"
    file.write_bytes(bytes(range(250)) * (size // 250))
    payload = Payload(str(file), "ab" * 32, file.stat().st_size)
    act = replace(RESTART.act, payload=payload)  # type: ignore[type-var]
    return planned(host(), remediations=[make("push", AGENT, answer=Remedy((replace(RESTART, act=act),)))])


def test_each_task_of_a_playbook_is_short_enough_for_one_argument(tmp_path: Path) -> None:
    (play,) = yaml.load(as_ansible(file_plan(tmp_path, 300_000)), Loader=_Reader)
    scripts = [task["vars"]["script"] for task in play["tasks"] if "ansible.builtin.raw" in task]
    assert len(scripts) == 6
    for script in scripts:
        subprocess.run(["/bin/sh", "-n", "-c", script], check=True)


@pytest.fixture
def ansible() -> Path:
    tools = Path(os.environ.get("AUDITOR_ANSIBLE", ROOT / ".venv-peers" / "bin" / "ansible-inventory")).parent
    found = shutil.which("ansible-playbook", path=str(tools))
    require_lane("ansible", found is not None)
    return Path(str(found))


def run_ansible(
    ansible: Path, plan: Plan, folder: Path, *options: str, **variables: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """How a playbook ended, and the last word of each call of ssh, in order."""
    book, tools, record = folder / "plan.yaml", folder / "tools", folder / "record"
    book.write_text(as_ansible(plan))
    for made in (tools, record):
        made.mkdir(exist_ok=True)
    (tools / "ssh").write_text(re.sub(r"(?m)^cat .*$", "", FAKE_SSH))  # a terminal never ends
    (tools / "ssh").chmod(0o755)
    env = {
        "PATH": f"{ansible.parent}:{tools}:/usr/bin:/bin",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "RECORD": str(record),
        "ANSIBLE_SSH_EXECUTABLE": str(tools / "ssh"),
        **variables,
    }
    names = "".join(f"machine_{place}," for place in range(1, len(plan.touched) + 1))
    run = [str(ansible), "-f", "1", "-i", names, "-e", "later=yes", str(book), *options]
    done = subprocess.run(run, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=110)
    calls = [(call / "words").read_text() for call in sorted(record.iterdir(), key=lambda one: int(one.name))]
    return done, [words.split("\0")[-2] for words in calls if "AUDITOR-KEEPER-END" in words]


@pytest.mark.ansible
def test_ansible_sends_every_script_as_the_plan_shows_it(ansible: Path, tmp_path: Path) -> None:
    plan = hostile_plan()
    for options in (("--syntax-check",), ()):
        done, sent = run_ansible(ansible, plan, tmp_path, *options)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    wanted = [step.commands[0].text for machine in plan.touched for step in machine.steps]
    assert [text.strip() for text in sent] == [text.strip() for text in wanted]
    assert not list(tmp_path.rglob("betrayed"))


@pytest.mark.ansible
@pytest.mark.parametrize(("answer", "status"), [("done 0", 0), ("done 0\n|", 0), ("refused 10\n|", 2)])
def test_ansible_sends_a_file_and_takes_no_output_for_an_answer(
    ansible: Path, tmp_path: Path, answer: str, status: int
) -> None:
    said = f"{answer}{FORGED}" if "|" in answer else answer
    done, sent = run_ansible(ansible, file_plan(tmp_path, 300_000), tmp_path, ANSWER=said)
    assert done.returncode == status, done.stdout[-3000:] + done.stderr
    assert len(sent) == (1 if status else 6)
