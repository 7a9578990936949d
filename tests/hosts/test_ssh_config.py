"""ssh_config as OpenSSH reads it: the real `ssh -G` is the judge."""

import contextlib
import getpass
import logging
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.errors import HostError
from auditor.hosts.options import GLOBAL_SSH_CONFIG, default_ssh_config
from auditor.hosts.ssh.config import SshConfig, matches
from tests.conftest import require_lane

SSH = shutil.which("ssh")
ME = getpass.getuser()
ASKED = (
    *("hostname", "user", "port", "identityfile", "identitiesonly", "proxyjump", "proxycommand"),
    *("hostkeyalias", "userknownhostsfile"),
)


def config(tmp_path: Path, text: str, name: str = "config") -> Path:
    path = tmp_path / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def openssh(path: Path, alias: str, user: str | None) -> dict[str, list[str]]:
    """What the real client makes of a file, for the keywords that the file names."""
    require_lane("sshd", SSH is not None)
    command = [str(SSH), "-G", "-F", str(path), *(("-l", user) if user else ()), alias]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    assert shown.returncode == 0, shown.stderr
    found: dict[str, list[str]] = {}
    for line in shown.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        words = [value] if keyword == "proxycommand" else value.split()
        found.setdefault(keyword, []).extend(words)
    return found


def ours(path: Path, alias: str, user: str | None) -> dict[str, list[str]]:
    found = SshConfig([path]).settings(alias, user)
    return {keyword: words for keyword, words in found.items() if keyword in ASKED}


ALIASES = ["web", "web.example.net", "db-1", "10.0.0.1", "jump"]
FILES = {
    "first value wins": "Host web*\n User one\nHost *\n User two\n Port 2200\n",
    "negation": "Host * !db-*\n User one\nHost db-1\n Port 5\n",
    "only negation": "Host !web\n User one\n",
    "question mark": "Host db-? 10.0.0.?\n Port 2222\n",
    "equals and quotes": 'Host=web\n User = "one"\n HostKeyAlias="two"\nHost "db-1"\n Port 7\n',
    "several keys": "IdentityFile /a\nHost web\n IdentityFile /b\n IdentityFile /a\n IdentitiesOnly yes\n",
    "before any block": "Port 2\nUser three\nHost web\n Port 3\n",
    "comments": "# first\nHost web # the web\n  Port 22 # the port\n\n   # last\n",
    "keywords in any case": "HOST web\n hostNAME 10.1.1.1\n",
    "proxies": "Host web\n ProxyJump a,b:33\nHost db-1\n ProxyCommand exec nc -X 5 %h %p 2>/dev/null\n",
    "match all": "Match all\n User one\n",
    "match host after hostname": "Host web\n HostName real.example.net\nMatch host real.*\n Port 44\n",
    "match originalhost": "Host web\n HostName real\nMatch originalhost web,db-1\n User one\n",
    "match user of the file": "Host web\n User one\nMatch user one\n Port 44\n",
    "match user": f"Match user {ME}\n Port 44\nMatch user four\n Port 45\n",
    "match localuser": f"Match localuser {ME} host web\n Port 44\nMatch localuser nobody-at-all\n User x\n",
    "match negated": "Match !host web*\n Port 44\nMatch host web* !originalhost web\n Port 45\n",
    "match final": "Match final host real\n Port 44\nHost web\n HostName real\n",
    "match final again": "Host web\n HostName real\nMatch final\n User a\n IdentityFile /a\n Port 5\n",
    "hostname with token": "Host web db-1\n HostName %h.example.org\nMatch host web.example.org\n Port 44\n",
    "known hosts": "Host web\n UserKnownHostsFile /a /b\n",
    "tabs": "Host\tweb\n\tPort\t44\n",
    "two tokens in a pattern list": "Host web,db-1\n Port 44\nMatch originalhost web,!db-1\n User one\n",
    "host in capitals": "Host WEB\n Port 44\n",
    "match names in any case": "Match host WEB\n Port 44\nMatch originalhost Db-1\n Port 45\n",
    "match with equals": 'Match host=web\n Port 44\nMatch originalhost="db-1,jump"\n Port 45\n',
    "single quotes": "Host 'web'\n IdentityFile '/it\"s'\n HostKeyAlias=a'b'\"c\"\n",
    "escapes": 'Host we\\\'b web\n User a\\\\b\n HostKeyAlias "a\\"b"\nHost *\n IdentityFile C:\\k\n',
    "quotes with a mark of comments": 'Host web\n HostKeyAlias "#a" # b\n User a#b\n',
    "quoted keywords": '"Host" web\n "Port" 44\n  "hostKEYalias"a\n"User"  "two"\n',
    "a comment of other lines": "# one\u2028Port 5\nHost web\r\n Port 44\r\n",
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_as_openssh_reads_them(tmp_path: Path, name: str) -> None:
    path = config(tmp_path, FILES[name])
    for alias, user in [*((alias, None) for alias in ALIASES), ("web", "four")]:
        found, theirs = ours(path, alias, user), openssh(path, alias, user)
        if user is not None:
            found.pop("user", None)
        if "hostname" in found:
            found["hostname"] = [found["hostname"][0].replace("%h", alias)]
        assert found == {keyword: theirs[keyword] for keyword in found}
        unsaid = {keyword for keyword in ("port", "proxyjump", "proxycommand") if keyword not in found}
        assert {theirs[keyword][0] for keyword in unsaid & set(theirs)} <= {"22", "none"}


@pytest.mark.parametrize("name", FILES)
def test_names_in_capitals_fit_where_they_fit_for_openssh(tmp_path: Path, name: str) -> None:
    path = config(tmp_path, FILES[name])
    found, theirs = ours(path, "WEB", None), openssh(path, "WEB", None)
    if "hostname" in found:
        found["hostname"] = [found["hostname"][0].replace("%h", "WEB").lower()]
    assert found == {keyword: theirs[keyword] for keyword in found}
    assert "port" in found or theirs["port"] == ["22"]


def test_spaces_in_the_name_of_a_key(tmp_path: Path) -> None:
    path = config(tmp_path, "Host web\n IdentityFile '/a b'\n IdentityFile /c\\ d\n IdentityFile \"/e f\"\n")
    assert ours(path, "web", None) == {"identityfile": ["/a b", "/c d", "/e f"]}
    assert openssh(path, "web", None)["identityfile"] == ["/a", "b", "/c", "d", "/e", "f"]


@pytest.mark.parametrize("line", ['User "abc', "User o'brien", 'Host "web'])
def test_a_quote_that_is_not_closed_is_refused_as_openssh_refuses_it(tmp_path: Path, line: str) -> None:
    path = config(tmp_path, f"Port 22\n{line}\n")
    with pytest.raises(HostError, match="line 2 has a quote that is not closed"):
        ours(path, "web", None)
    with pytest.raises(AssertionError, match="invalid quotes"):
        openssh(path, "web", None)


def test_includes_as_openssh_takes_them(tmp_path: Path) -> None:
    inner = config(tmp_path, "User in\nHost db-1\n Port 11\nHost web\n Port 12\n", "inner")
    config(tmp_path, "HostKeyAlias from-b\n", "part-b")
    config(tmp_path, "HostKeyAlias from-a\n", "part-a")
    path = config(
        tmp_path,
        f"Host web\n Include {inner} {tmp_path}/absent\n IdentityFile /web\n"
        f"Host *\n Include {tmp_path}/part-*\n Port 13\n",
    )
    for alias in ALIASES:
        found = ours(path, alias, None)
        theirs = openssh(path, alias, None)
        assert found == {keyword: theirs[keyword] for keyword in found}
    assert ours(path, "web", None) == {
        "user": ["in"],
        "port": ["12"],
        "identityfile": ["/web"],
        "hostkeyalias": ["from-a"],
    }
    assert ours(path, "db-1", None) == {"hostkeyalias": ["from-a"], "port": ["13"]}


def test_a_folder_among_the_files_to_include_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "conf.d" / "old").mkdir(parents=True)
    config(tmp_path, "User in\n", "conf.d/work")
    path = config(tmp_path, f"Include {tmp_path}/conf.d/*\nPort 5\n")
    found, theirs = ours(path, "web", None), openssh(path, "web", None)
    assert found == {"user": ["in"], "port": ["5"]} == {keyword: theirs[keyword] for keyword in found}


def test_a_relative_include_of_a_user_leads_to_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    (tmp_path / "conf.d").mkdir()
    config(tmp_path, "User beside\nInclude conf.d/d\n", "conf.d/c")
    path = config(tmp_path, "Include conf.d/*\nPort 5\n")
    assert ours(path, "web", None) == {"port": ["5"]}
    assert openssh(path, "web", None)["user"] == [ME]  # its home is that of the system's table of users
    config(tmp_path, "User ours\nInclude conf.d/b\n", ".ssh/conf.d/a")
    config(tmp_path, "HostKeyAlias b\n", ".ssh/conf.d/b")
    assert ours(path, "web", None) == {"user": ["ours"], "hostkeyalias": ["b"], "port": ["5"]}
    inner = config(tmp_path, "Include conf.d/a\n", "inner")
    outer = config(tmp_path, f"Include {inner}\n", "outer")
    assert ours(outer, "web", None)["user"] == ["ours"]


def test_a_relative_include_of_the_system_stands_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    config(tmp_path, "User in\n", "conf.d/a")
    path = config(tmp_path, "Include conf.d/*\n")
    assert SshConfig([path], system=path).settings("web") == {"user": ["in"]}
    assert default_ssh_config()[-1] == GLOBAL_SSH_CONFIG == Path("/etc/ssh/ssh_config")


WORDS = st.sampled_from(["web", "web*", "!web", "*", "db-?", "!db-1", "10.*", "real"])
LINES = st.one_of(
    st.builds("Host {} {}".format, WORDS, WORDS),
    st.builds("Match host {}".format, WORDS),
    st.builds("Match originalhost {} !host {}".format, WORDS, WORDS.map(lambda word: word.lstrip("!"))),
    st.just("Match final"),
    st.just("Match all"),
    st.builds("  Port {}".format, st.integers(1, 65535)),
    st.builds("  User u{}".format, st.integers(0, 9)),
    st.builds("  IdentityFile /k{}".format, st.integers(0, 3)),
    st.builds("  HostName {}".format, st.sampled_from(["real", "db-1", "%h.x"])),
    st.builds("  ProxyJump j{}".format, st.integers(0, 3)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=12), alias=st.sampled_from(ALIASES))
def test_any_file_is_read_as_openssh_reads_it(tmp_path: Path, lines: list[str], alias: str) -> None:
    path = config(tmp_path, "\n".join(lines) + "\n")
    found, theirs = ours(path, alias, None), openssh(path, alias, None)
    if "hostname" in found:
        found["hostname"] = [found["hostname"][0].replace("%h", alias)]
    assert found == {keyword: theirs[keyword] for keyword in found}
    for keyword in ("port", "proxyjump", "user"):
        assert keyword in found or theirs.get(keyword, ["none"])[0] in ("none", "22", ME)


@given(st.text(alphabet="ab*?!", max_size=6), st.text(alphabet="ab", max_size=6))
def test_patterns_never_fail(pattern: str, text: str) -> None:
    assert matches(text, [pattern, f"!{pattern}"]) is False
    assert matches(text, ["*"])


# ---- what is done otherwise -----------------------------------------------------------------------


def test_nothing_is_run_for_a_match(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mark = tmp_path / "ran"
    path = config(
        tmp_path, f'Match exec "touch {mark}"\n User one\nMatch !exec true\n Port 4\nHost *\n Port 5\n'
    )
    with caplog.at_level(logging.WARNING):
        assert ours(path, "web", None) == {"port": ["5"]}
    assert not mark.exists()
    assert "line 1: a block with 'Match exec' is left out" in caplog.text


def test_an_absent_file_says_nothing(tmp_path: Path) -> None:
    assert SshConfig([tmp_path / "absent", tmp_path / "absent" / "below"]).settings("web") == {}


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    path = config(tmp_path, "User one\n")
    path.chmod(mode)
    with pytest.raises(HostError, match="config is not used: others may write to it"):
        SshConfig([path]).settings("web")


@pytest.mark.parametrize(
    "text",
    [
        "Host\n",
        "Port\n",
        '"Port"\n',
        "'Port' 4\n",
        '" Port" 4\n',
        "=\n",
        "HostName # none\n",
        "User one\n\x00\n",
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(HostError, match=r"config, line \d is no setting of ssh_config"):
        SshConfig([config(tmp_path, text)]).settings("web")


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    path = config(tmp_path, f"Include {tmp_path}/config\n")
    with pytest.raises(HostError, match="includes files too deep"):
        SshConfig([path]).settings("web")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "config"
    path.write_bytes(content)
    with contextlib.suppress(HostError):
        assert isinstance(SshConfig([path]).settings("web"), dict)


def test_the_first_file_wins_and_all_are_read_once(tmp_path: Path) -> None:
    first, second = config(tmp_path, "User one\n", "a"), config(tmp_path, "User two\nPort 9\n", "b")
    read = SshConfig([first, second])
    assert read.settings("web") == {"user": ["one"], "port": ["9"]}
    first.unlink()
    assert read.settings("web") == {"user": ["one"], "port": ["9"]}
