"""The parts of the Linux scripts that need no whole guest, in real shells.

Package managers of the RPM family are not here: their stand-ins print what we believe the real ones print, so
that these tests try the reading, not the belief. apt and dpkg are tried for real in the lab.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import require_lane

FOLDER = Path(__file__).resolve().parents[2] / "remediations"
SHELLS = [["dash"], ["bash", "--posix"], ["busybox", "sh"]]
KEYS = ("Extensions.Enabled", "AutoUpdate.Enabled")
SETTINGS = tuple(f"{key}=y" for key in KEYS)


def shell(
    scripts: Sequence[str], line: str, *arguments: str, sh: Sequence[str] = ("sh",), **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """A line of shell after some of the scripts."""
    text = "\n".join((FOLDER / f"{name}.sh").read_text() for name in ("linux_words", *scripts))
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **variables}
    return subprocess.run(
        [*sh, "-s", "--", *arguments],
        input=f"{text}\n{line}\n".encode(),
        check=False,
        capture_output=True,
        env=environment,
        timeout=60,
    )


# ---- the key editor --------------------------------------------------------------------------------


def edit(content: bytes, folder: Path, *wanted: str, sh: Sequence[str] = ("sh",)) -> bytes:
    file = folder / "conf"
    file.write_bytes(content)
    done = shell(["agent_config"], 'edited "$@"', str(file), *wanted, sh=sh)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def as_the_agent_reads(content: bytes) -> dict[bytes, bytes]:
    """The agent's own way with its file (ConfigurationProvider.load): the last of two wins."""
    lines = [line for line in content.split(b"\n") if not line.startswith(b"#") and b"=" in line]
    parts = [line.split(b"=") for line in lines]
    return {part[0].strip(): part[1].split(b"#")[0].strip(b'" ').strip() for part in parts}


@pytest.mark.parametrize("sh", SHELLS, ids=" ".join)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"A=n\n", b"A=y\n"),
        (b"A=n", b"A=y"),
        (b"", b"A=y\n"),
        (b"# A=n\nB=n\n", b"# A=n\nB=n\nA=y\n"),
        (b"B=n", b"B=n\nA=y\n"),
        (b"#A=y\n A = n  # why\n", b"#A=y\n A = y  # why\n"),
        (b"A=n#x\nA=n\n", b"A=y#x\nA=y\n"),
        (b"A=\nA=   \n", b"A=y\nA=y   \n"),
        (b"AA=n\nA.B=n\n", b"AA=n\nA.B=n\nA=y\n"),
        (b"B=1\r\nA=n\r\n", b"B=1\r\nA=y\r\n"),
        (b"B=1\r\nC=2", b"B=1\r\nC=2\r\nA=y\r\n"),
        (b"\n\nB=caf\xe9 \xff\n\n", b"\n\nB=caf\xe9 \xff\n\nA=y\n"),
        (b"A=\\1&/n\nB=\\n%s\n", b"A=y\nB=\\n%s\n"),
    ],
)
def test_only_the_value_changes(sh: list[str], before: bytes, after: bytes, tmp_path: Path) -> None:
    if shutil.which(sh[0]) is None:
        pytest.skip(f"{sh[0]} is not installed here")
    assert edit(before, tmp_path, "A=y", sh=sh) == after


LINES = st.lists(
    st.one_of(
        st.builds(
            lambda *parts: "".join(parts).encode(),
            st.sampled_from(["", "#", " ", "\t"]),
            st.sampled_from([*KEYS, "Extensions.Enable", "Logs.Verbose", "X"]),
            st.sampled_from(["=", " = ", "= "]),
            st.sampled_from(["y", "n", "", "None", '"n"', "a=b"]),
            st.sampled_from(["", "  # note", "#", " "]),
        ),
        st.binary(max_size=12).map(lambda raw: raw.translate(None, b"\0\n\r=")),
    ),
    max_size=8,
)


def others(content: bytes) -> list[bytes]:
    """The lines that no key of ours stands in."""
    lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
    return [line for line in lines if line and not any(key.encode() in line for key in KEYS)]


@settings(max_examples=60)
@given(lines=LINES, end=st.sampled_from([b"\n", b"\r\n"]), ended=st.booleans())
def test_any_configuration_says_what_is_wanted(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes, ended: bool
) -> None:
    folder = tmp_path_factory.getbasetemp()
    before = end.join(lines) + (end if ended and lines else b"")
    after = edit(before, folder, *SETTINGS)
    read = as_the_agent_reads(after)
    assert all(read[key.encode()] == b"y" for key in KEYS)
    assert others(after) == others(before)
    assert edit(after, folder, *SETTINGS) == after


def test_a_file_is_replaced_under_its_owner_and_rights(tmp_path: Path) -> None:
    file, new = tmp_path / "conf", tmp_path / "new"
    file.write_text("old")
    file.chmod(0o604)
    new.write_text("new")
    assert shell(["agent_config"], 'replace "$@"', str(file), str(new)).returncode == 0
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o604)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "new"]


# ---- gates -----------------------------------------------------------------------------------------


@pytest.fixture
def namespaces() -> None:
    """A namespace in which a test may mount."""
    tried = shutil.which("unshare") and subprocess.run(
        ["unshare", "-rm", "true"], check=False, capture_output=True
    )
    require_lane("namespaces", bool(tried) and tried.returncode == 0)


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(
    ("mounts", "path", "open_"),
    [
        ("mount -t tmpfs lab {0}", "{0}/x", True),
        ("mount -t tmpfs -o ro lab {0}", "{0}/x", False),
        ("mount -t tmpfs -o ro lab {0}", "{0}", False),
        ("mount -t tmpfs -o ro lab {0}", "{0}x/y", True),
        ("mount -t tmpfs -o ro lab {0} && mount -t tmpfs lab {0}", "{0}", True),
        ("mount -t tmpfs lab {0} && mkdir {0}/in && mount -t tmpfs -o ro lab {0}/in", "{0}/in/x", False),
        ("mount -t tmpfs -o rw,noatime,errors=remount-ro lab {0} || mount -t tmpfs lab {0}", "{0}", True),
    ],
)
def test_a_read_only_file_system_is_no_place(tmp_path: Path, mounts: str, path: str, open_: bool) -> None:
    place = str(tmp_path / "place")
    Path(place).mkdir()
    done = shell(
        [],
        f"{mounts.format(place)} || exit 99; writable {path.format(place)}",
        sh=("unshare", "-rm", "sh"),
    )
    assert done.returncode == (0 if open_ else 10), done
    assert (b"read-only" in done.stdout) is not open_


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(
    ("options", "words"),
    [("size=200m", b""), ("size=20m", b"only 20 MB are free"), ("size=200m,nr_inodes=500", b"inodes")],
)
def test_a_place_without_room(tmp_path: Path, options: str, words: bytes) -> None:
    done = shell(
        [], f"mount -t tmpfs -o {options} lab {tmp_path}; room 100 {tmp_path}", sh=("unshare", "-rm", "sh")
    )
    assert (done.returncode, words in done.stdout) == (10 if words else 0, True), done


@pytest.mark.usefixtures("namespaces")
def test_a_freeze_is_seen_and_looking_for_it_is_none(tmp_path: Path) -> None:
    program = tmp_path / "safefreeze"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    # among processes of their own: guests of a lab may be freezing on this machine
    alone = ("unshare", "-rmpf", "--mount-proc", "--kill-child", "sh")
    assert shell([], "no_snapshot", sh=alone).returncode == 0
    begun = "until grep -q afefreeze /proc/$!/cmdline; do sleep 0.05; done"
    done = shell([], f"{program} 100 >/dev/null & {begun}; no_snapshot", sh=alone)
    assert (done.returncode, b"snapshot extension" in done.stdout) == (10, True)


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(
    ("lacking", "locked", "status", "words"),
    [
        ("nothing", False, 0, b""),
        ("nothing", True, 0, b""),
        ("grep", False, 10, b"grep or ls is missing"),
        ("ls", False, 10, b"grep or ls is missing"),
        ("stat", True, 10, b"stat failed"),
    ],
)
def test_a_freeze_that_cannot_be_looked_for_closes_the_gate(
    tmp_path: Path, lacking: str, locked: bool, status: int, words: bytes
) -> None:
    for name in {"grep", "ls", "stat"} - {lacking}:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    folder = "/etc/azure/MicrosoftRecoverySvcsSafeFreezeLock"
    made = f"mkdir -p {folder} && touch {folder}/SafeFreezeLockFile" if locked else "true"
    done = shell(
        [],
        f"mount -t tmpfs lab /etc && {made} || exit 99; PATH={tmp_path}; no_snapshot",
        sh=("unshare", "-rmpf", "--mount-proc", "--kill-child", "sh"),
    )
    assert (done.returncode, words in done.stdout) == (status, True), done


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(
    ("now", "status", "words"),
    [
        ("after", 0, b""),
        ("before", 11, b"is as it was"),
        ("another", 10, b"was changed since"),
    ],
)
def test_only_what_a_step_changed_is_taken_back(tmp_path: Path, now: str, status: int, words: bytes) -> None:
    conf, kept = tmp_path / "waagent.conf", tmp_path / "step"
    kept.mkdir()
    (kept / "conf.before").write_text("before")
    (kept / "conf.after").write_text("after")
    conf.write_text(now)
    done = shell(
        ["agent_config", "agent_config_undo"],
        f"conf={conf}; gates",
        sh=("unshare", "-rmpf", "--mount-proc", "--kill-child", "sh"),
        RECEIPT=f"{kept}-undo",
    )
    assert (done.returncode, words in done.stdout) == (status, True), done


# ---- apt and dpkg, by what they print ----------------------------------------------------------------


def debian(
    folder: Path, line: str, sh: Sequence[str] = ("sh",), **printed: str
) -> subprocess.CompletedProcess[bytes]:
    """A line where apt-get and dpkg-query print this, and note what they were told to do."""
    for name, words in {"dpkg": "", "apt_get": "", "dpkg_query": "", **printed}.items():
        tool = folder / name.replace("_", "-")
        kind = "case $* in *'|'*) grep '|' ;; *) grep -v '|' ;; esac"
        tool.write_text(f"#!/bin/sh\necho ${{0##*/}} $* >>{folder}/told\n{kind} <<'EOF'\n{words}\nEOF\n:\n")
        tool.chmod(0o755)
    return shell(
        ["linux_deb", "linux_package"],
        line,
        sh=sh,
        PATH=f"{folder}:/usr/sbin:/usr/bin:/bin",
        PAYLOAD=str(folder / "none"),
    )


@pytest.mark.parametrize("word", ["Remv", "Purg"])
def test_what_apt_would_remove_or_purge_closes_the_gate(tmp_path: Path, word: str) -> None:
    printed = f"{word} network-manager [1.42]\nInst waagent (2.7 Debian:12 [all])\nConf waagent"
    done = debian(tmp_path, "deb_plan install early waagent", apt_get=printed)
    assert (done.returncode, b"apt would remove: network-manager" in done.stdout) == (10, True), done


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("iHR", ["dpkg --configure waagent", "apt-get install --reinstall waagent"]),
        ("iH ", ["dpkg --configure waagent", "apt-get install --reinstall waagent"]),
        ("ii ", ["apt-get install waagent"]),
        ("hF ", ["dpkg --force-confdef --force-confold --configure waagent", "apt-get install waagent"]),
    ],
)
def test_what_was_interrupted_is_mended_by_its_own_way(tmp_path: Path, row: str, told: list[str]) -> None:
    debian(tmp_path, "deb_apply install waagent", dpkg_query=f"{row} waagent 2.7")
    said = (tmp_path / "told").read_text().splitlines()
    words = [re.sub(r" -y .*--no-install-recommends| -o \S+", "", one) for one in said]
    assert [one for one in words if one.startswith(("dpkg ", "apt-get "))][: len(told)] == told


def test_a_package_that_apt_leaves_half_installed_is_a_failure(tmp_path: Path) -> None:
    done = debian(tmp_path, "deb_apply install waagent", dpkg_query="iHR waagent 2.7")
    assert (done.returncode, b"half installed" in done.stdout) == (1, True), done


DPKG = "mount -t tmpfs lab /var/lib && mkdir -p /var/lib/dpkg/updates || exit 99"
TORN = "iU |other"


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("exec 9>/var/lib/dpkg/lock-frontend", 0),
        ("exec 9>/var/lib/dpkg/lock", 0),
        (": >/var/lib/dpkg/lock-frontend", 10),
        # a package manager in a container
        (": >/var/lib/dpkg/lock; mkdir -p /var/lib/c/dpkg; exec 9>/var/lib/c/dpkg/lock", 10),
        # one that begins while dpkg-query looks
        (
            "echo 'exec 9>/var/lib/dpkg/lock; sleep 3 >/dev/null 2>&1 & echo \"iU |other\"'"
            ' >"${PATH%%:*}/dpkg-query"',
            0,
        ),
    ],
)
def test_what_another_package_manager_is_at_is_not_taken_for_interrupted(
    tmp_path: Path, line: str, status: int
) -> None:
    done = debian(tmp_path, f"{DPKG}; {line}; deb_others_whole", ("unshare", "-rm", "sh"), dpkg_query=TORN)
    assert (done.returncode, b"mended first: other" in done.stdout) == (status, status == 10), done


@pytest.mark.usefixtures("namespaces")
def test_apt_is_not_asked_in_the_middle_of_what_another_one_does(tmp_path: Path) -> None:
    plans = "deb_plan install early waagent; patience=0; deb_plan install late waagent"
    line = f"{DPKG}; exec 9>/var/lib/dpkg/lock; {plans}"
    done = debian(tmp_path, line, ("unshare", "-rm", "sh"), apt_get="Remv other")
    assert (done.returncode, b"held its lock" in done.stdout) == (10, True), done
    assert not (tmp_path / "told").exists()


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(("row", "status"), [("ii ", 10), ("", 10), ("iHR", 0), ("iF ", 0)])
def test_what_a_killed_dpkg_left_behind_is_seen_before_apt_stumbles_over_it(
    tmp_path: Path, row: str, status: int
) -> None:
    rows = f"{row} waagent 2.7\n{row}|waagent" if row else ""
    line = f"{DPKG}; deb_others_whole && : >/var/lib/dpkg/updates/0000 && deb_others_whole"
    done = debian(tmp_path, line, ("unshare", "-rm", "sh"), dpkg_query=rows)
    assert (done.returncode, b"dpkg --configure -a" in done.stdout) == (status, status == 10), done


# ---- RPM, by what we believe its managers print -----------------------------------------------------

DNF_REMOVES = """Dependencies resolved.
================================================================================
 Package              Architecture  Version            Repository          Size
================================================================================
Installing:
 WALinuxAgent         noarch        2.7.0.6-8.el8      appstream          474 k
Removing:
 NetworkManager       x86_64        1:1.40.0-1.el8     @anaconda          9.0 M
Removing dependent packages:
 cockpit              x86_64        276-1.el8          @anaconda          100 k

Transaction Summary
================================================================================
Install  1 Package
Remove   2 Packages

Operation aborted.
"""
DNF_INSTALLS = DNF_REMOVES[: DNF_REMOVES.index("Removing:")] + "\nTransaction Summary\nOperation aborted.\n"
ZYPPER_REMOVES = """The following package is going to be REMOVED:
  NetworkManager wicked

The following NEW package is going to be installed:
  python-azure-agent
"""
DNF_REPLACES = """Dependencies resolved.
================================================================================
 Package              Architecture  Version            Repository          Size
================================================================================
Installing:
 WALinuxAgent         noarch        2.8.0-1            obs                6.2 k
     replacing  NetworkManager.noarch 1-1

Transaction Summary
================================================================================
Install  1 Package

Operation aborted.
"""
DNF_CONFLICTS = """Error:
 Problem: problem with installed package NetworkManager-1-1.noarch
  - package WALinuxAgent-2.8.1-1.noarch conflicts with NetworkManager provided by NetworkManager-1-1.noarch
  - conflicting requests
(try to add '--allowerasing' to command line to replace conflicting packages)
"""
ZYPPER_CONFLICTS = """Resolving package dependencies...

Problem: python-azure-agent-2.8.1-1.noarch conflicts with NetworkManager provided by NetworkManager-1-1.noarch
 Solution 1: deinstallation of NetworkManager-1-1.noarch
 Solution 2: do not install python-azure-agent-2.8.1-1.noarch

Choose from above solutions by number or cancel [1/2/c/d/?] (c): c
"""
TDNF_REMOVES = """
Installing:
WALinuxAgent             noarch       2.11.1.4-1.azl3       azurelinux-official-base     1.83M

Total installed size:   1.83M

Removing:
NetworkManager           x86_64       1.44.0-1.azl3         @System                      5.00M

Total installed size:   5.00M
Exiting on user Command
"""


@pytest.mark.parametrize(
    ("manager", "mode", "printed", "status", "words"),
    [
        ("dnf", "install", DNF_REMOVES, 10, "dnf would remove: NetworkManager cockpit"),
        ("yum", "install", DNF_REMOVES, 10, "yum would remove: NetworkManager cockpit"),
        ("dnf", "install", DNF_INSTALLS, 0, ""),
        (
            "dnf",
            "install",
            "No match for argument: WALinuxAgent\nError: Unable to find a match",
            10,
            "No match",
        ),
        ("dnf", "update", "Dependencies resolved.\nNothing to do.\nComplete!", 11, "nothing newer"),
        ("zypper", "install", ZYPPER_REMOVES, 10, "NetworkManager wicked"),
        ("zypper", "update", "Loading repository data...\nNothing to do.", 11, "nothing newer"),
        ("dnf", "install", DNF_REPLACES, 10, "dnf would remove: NetworkManager.noarch"),
        ("dnf", "install", DNF_REPLACES.replace("NetworkManager", "WALinuxAgent-udev"), 0, ""),
        ("dnf", "install", DNF_CONFLICTS, 10, "dnf will not do it"),
        ("dnf", "install", "Error: Failed to download metadata for repo 'a'", 10, "dnf will not do it"),
        ("zypper", "install", ZYPPER_CONFLICTS, 10, "zypper will not do it"),
        ("tdnf", "install", TDNF_REMOVES, 10, "tdnf would remove: NetworkManager"),
        ("yum", "update", "No packages marked for update", 11, "nothing newer"),
    ],
)
def test_what_an_rpm_manager_would_do(
    tmp_path: Path, manager: str, mode: str, printed: str, status: int, words: str
) -> None:
    for name, lines in ((manager, printed), ("rpm", "WALinuxAgent")):
        (tmp_path / f"{name}.txt").write_text(lines)
        (tmp_path / name).write_text(f"#!/bin/sh\ncat {tmp_path}/{name}.txt\n")
        (tmp_path / name).chmod(0o755)
    done = shell(
        ["linux_rpm", "linux_package"],
        f"manager={manager}; rpm_plan {mode} late WALinuxAgent",
        PATH=f"{tmp_path}:/usr/bin:/bin",
        PAYLOAD=str(tmp_path / "none"),
    )
    assert (done.returncode, words in done.stdout.decode()) == (status, True), done


ZYPPER_OLDER = """The following package is going to be downgraded:
  python-azure-agent

1 package to downgrade.
"""
GONE = "Installed package WALinuxAgent-2.7.3.0-1.noarch not available.\nNothing to do.\n"
LOCKED = "System management is locked by the application with pid 4711 (/usr/bin/zypper)."


@pytest.mark.parametrize(
    ("manager", "mode", "when", "printed", "exits", "status", "words"),
    [
        ("dnf", "reinstall", "late", GONE, 1, 10, "no longer offer"),
        ("dnf", "install", "early", "Metadata already locked by 4711", 200, 0, ""),
        ("zypper", "reinstall", "early", ZYPPER_OLDER, 0, 10, "older version of: python-azure-agent"),
        ("zypper", "install", "early", LOCKED, 7, 0, ""),
        ("zypper", "install", "late", "Warning: Skipping repository 'x'", 106, 0, ""),
    ],
)
def test_what_a_real_rpm_manager_said(
    tmp_path: Path, manager: str, mode: str, when: str, printed: str, exits: int, status: int, words: str
) -> None:
    for name, lines, code in ((manager, printed, exits), ("rpm", "WALinuxAgent", 0)):
        (tmp_path / f"{name}.txt").write_text(lines)
        (tmp_path / name).write_text(f"#!/bin/sh\ncat {tmp_path}/{name}.txt\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    done = shell(
        ["linux_rpm", "linux_package"],
        f"manager={manager}; rpm_plan {mode} {when} WALinuxAgent",
        PATH=f"{tmp_path}:/usr/bin:/bin",
        PAYLOAD=str(tmp_path / "none"),
    )
    assert (done.returncode, words in done.stdout.decode()) == (status, True), done


@pytest.mark.parametrize("printed", [DNF_CONFLICTS, ZYPPER_CONFLICTS, DNF_REPLACES, TDNF_REMOVES])
def test_what_stands_in_the_way_closes_the_gate_before_anything_is_done(tmp_path: Path, printed: str) -> None:
    manager = "zypper" if "Solution" in printed else "tdnf" if "\nTotal" in printed else "dnf"
    (tmp_path / manager).write_text(f"#!/bin/sh\ncat <<'EOF'\n{printed}EOF\nexit 1\n")
    (tmp_path / manager).chmod(0o755)
    done = shell(
        ["linux_rpm", "linux_package"],
        f"manager={manager}; rpm_plan install early agent",
        PATH=f"{tmp_path}:/usr/bin:/bin",
        PAYLOAD=str(tmp_path / "none"),
    )
    assert done.returncode == 10, done


def test_a_manager_that_does_not_answer_leaves_the_gate_closed(tmp_path: Path) -> None:
    for name, text in (("dnf", "exec sleep 60"), ("timeout", '[ "$1" = 1 ] || exit 124')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = shell(
        ["linux_rpm", "linux_package"],
        "manager=dnf; rpm_plan install late agent",
        PATH=f"{tmp_path}:/usr/bin:/bin",
        PAYLOAD=str(tmp_path / "none"),
    )
    assert (done.returncode, b"did not say within 120 s" in done.stdout) == (10, True), done


@pytest.mark.parametrize(
    ("manager", "mode", "sent", "verb"),
    [
        ("dnf", "reinstall", "2.7-1", "reinstall"),
        ("dnf", "reinstall", "2.9-1", "update"),
        ("dnf", "update", "2.9-1", "update"),
        ("zypper", "update", "2.9-1", "install --no-recommends"),
        ("zypper", "reinstall", "2.9-1", "install --no-recommends --force"),
        ("zypper", "update", "", "update"),
    ],
)
def test_a_file_that_was_sent_is_put_in_by_a_verb_that_takes_it(
    tmp_path: Path, manager: str, mode: str, sent: str, verb: str
) -> None:
    rpm, payload = tmp_path / "rpm", tmp_path / "payload"
    rpm.write_text(
        f"#!/bin/sh\ncase $* in *-qa*) echo WALinuxAgent ;; -qp*) echo {sent} ;; *) echo 2.7-1 ;; esac"
    )
    rpm.chmod(0o755)
    if sent:
        payload.write_bytes(b"")
    done = shell(
        ["linux_rpm", "linux_package"],
        f"manager={manager}; rpm_verb {mode}",
        PATH=f"{tmp_path}:/usr/bin:/bin",
        PAYLOAD=str(payload),
    )
    assert done.stdout.decode().strip() == verb


def test_a_manager_that_waits_itself_is_not_waited_for_as_often(tmp_path: Path) -> None:
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    (tmp_path / "sleep").chmod(0o755)
    waiting = "waiting() { /bin/sleep 4; echo Another app is currently holding the yum lock; return 1; }"
    done = shell(
        ["linux_package"],
        f"{waiting}; patience=4; count() {{ echo try >>{tmp_path}/tries; waiting; }}; patiently count",
        PATH=f"{tmp_path}:/usr/bin:/bin",
    )
    assert (done.returncode, b"held its lock for 4 s" in done.stdout) == (10, True)
    assert (tmp_path / "tries").read_text() == "try\n" * 2


SYSTEMCTL = """#!/bin/sh
# knows waagent.service; a name that is masked is loaded as such, also where there is no unit
for last; do case "$*" in
  *unmask*) rm -f "$MASKS/$last" ;;
  *mask*) case $last in *.service) : >"$MASKS/$last" ;; esac ;;
esac; done
case $1:$last in
  show:*) if [ -e "$MASKS/$last" ]; then echo LoadState=masked
    elif [ "$last" = waagent.service ]; then echo LoadState=loaded; else echo LoadState=not-found; fi ;;
esac
"""


TOOLS = ("awk", "cat", "cut", "grep", "head", "mkdir", "mount", "rm", "sed", "sh", "sleep", "tail", "timeout")


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("sh", SHELLS, ids=" ".join)
def test_after_a_first_installation_the_unit_is_the_one_that_the_package_brought(
    sh: list[str], tmp_path: Path
) -> None:
    tools, masks = tmp_path / "tools", tmp_path / "masks"
    tools.mkdir()
    masks.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name) or name)
    for name, text in (("systemctl", SYSTEMCTL), ("dnf", "#!/bin/sh\n"), ("rpm", "#!/bin/sh\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    alone = "mount -t tmpfs lab /run && mkdir -p /run/systemd/system && mount -t tmpfs lab /var/lib"
    done = shell(
        ["linux_deb", "linux_rpm", "linux_package"],
        f'{alone} || exit 99; change install; echo "unit: $(find_unit)"',
        sh=("/usr/bin/unshare", "-rm", *(shutil.which(sh[0]) or sh[0], *sh[1:])),
        PATH=f"{tools}:/none",
        MASKS=str(masks),
        PAYLOAD=str(tmp_path / "none"),
    )
    assert (done.returncode, done.stdout.decode().splitlines()[-1]) == (0, "unit: waagent"), done


@pytest.mark.parametrize("sh", SHELLS, ids=" ".join)
@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.sh")))
def test_every_shell_can_read_it(sh: list[str], script: str) -> None:
    if shutil.which(sh[0]) is None:
        pytest.skip(f"{sh[0]} is not installed here")
    done = subprocess.run([*sh, "-n", str(FOLDER / script)], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
