"""Which way leads to a guest: connection before ssh_config before options."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auditor.errors import HostError
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh import SshConfig
from auditor.hosts.ssh.config import local_user
from auditor.hosts.ssh.route import Hop, jump_host, route
from auditor.model import Connection

OPTIONS = GuestOptions(user="option", key="/option", port=2022)
CONFIG = """
Host web
 HostName 10.0.0.1
 User config
 Port 2201
 IdentityFile ~/%n-%r
 IdentityFile /second
Host only
 IdentitiesOnly yes
Host door
 User doorman
 IdentityFile /door
"""


def written(folder: Path, text: str) -> SshConfig:
    (folder / "config").write_text(text)
    (folder / "config").chmod(0o600)
    return SshConfig([folder / "config"])


def hops(folder: Path, connection: Connection, text: str = CONFIG, **changes: object) -> tuple[Hop, ...]:
    return route(connection, replace(OPTIONS, **changes), written(folder, text))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("connection", "host", "port", "user", "keys", "only"),
    [
        (Connection("web", 1, "mine", "/mine"), "10.0.0.1", 1, "mine", ("/mine",), True),
        (Connection("web"), "10.0.0.1", 2201, "config", ("{home}/web-config", "/second"), False),
        (Connection("web", user="me"), "10.0.0.1", 2201, "me", ("{home}/web-me", "/second"), False),
        (Connection("db"), "db", 2022, "option", ("/option",), True),
        (Connection("only", key="/mine"), "only", 2022, "option", ("/mine",), True),
    ],
)
def test_precedence(
    tmp_path: Path, connection: Connection, host: str, port: int, user: str, keys: tuple[str, ...], only: bool
) -> None:
    (hop,) = hops(tmp_path, connection)
    expected = tuple(key.format(home=os.path.expanduser("~")) for key in keys)
    assert (hop.host, hop.port, hop.user, hop.keys, hop.only_keys) == (host, port, user, expected, only)


def test_with_nothing_named(tmp_path: Path) -> None:
    (hop,) = hops(tmp_path, Connection("db"), "", user=None, key=None, port=22)
    assert (hop.host, hop.port, hop.user, hop.keys, hop.only_keys) == ("db", 22, local_user(), None, False)
    for word in ("yes", "True"):
        (only,) = hops(tmp_path, Connection("db"), f"IdentitiesOnly {word}\n", key=None)
        assert only.only_keys


@pytest.mark.parametrize(
    ("alias", "text", "host"),
    [
        ("Web", "", "web"),
        ("Web", "HostName %h.Example.ORG\n", "web.example.org"),
        ("Web", "Host Web\n HostName Real\n", "real"),
        ("Web", "Host web\n HostName real\n", "web"),
        ("2001:DB8::1", "", "2001:db8::1"),
    ],
)
def test_the_name_is_looked_up_in_lower_case(tmp_path: Path, alias: str, text: str, host: str) -> None:
    config = f"{text}Host *\n IdentityFile /keys/%h-%n\n ProxyCommand nc %h %n\n"
    (hop,) = hops(tmp_path, Connection(alias), config, key=None)
    assert (hop.host, hop.proxy) == (host, ("nc", host, alias))
    assert hop.keys == (f"/keys/{host}-{alias}",)


@pytest.mark.parametrize(("text", "port"), [("ssh", 22), ("http", 80), ("00044", 44), ("0000044", 44)])
def test_a_port_by_its_number_or_service(tmp_path: Path, text: str, port: int) -> None:
    (hop,) = hops(tmp_path, Connection("web"), f"Port {text}\n")
    assert hop.port == port


def test_known_hosts(tmp_path: Path) -> None:
    text = f"UserKnownHostsFile {tmp_path}/a {tmp_path}/b\nHostKeyAlias inside\n"
    (hop,) = hops(tmp_path, Connection("web"), text)
    assert hop.known_hosts == (tmp_path / "a", tmp_path / "b", Path("/etc/ssh/ssh_known_hosts"))
    assert hop.known_as == "inside"
    (pinned,) = hops(tmp_path, Connection("web"), text, known_hosts=(tmp_path / "pinned",))
    assert pinned.known_hosts is None
    for weak in ("/dev/null", "none"):
        (hop,) = hops(tmp_path, Connection("web"), f"UserKnownHostsFile {weak}\nStrictHostKeyChecking no\n")
        assert hop.known_hosts is None


JUMPS = "Host web\n ProxyJump inner\nHost inner\n ProxyJump outer:33\n User in\nHost outer\n User out\n"


@pytest.mark.parametrize(
    ("text", "jump", "places"),
    [
        (JUMPS, (), ["out@outer:33", "in@inner:2022", "option@web:2022"]),
        (JUMPS, ("a@one", "two:5"), ["a@one:2022", "option@two:5", "option@web:2022"]),
        (JUMPS, ("inner",), ["out@outer:33", "in@inner:2022", "option@web:2022"]),
        ("", ("me@[::1]:2", "[2001:db8::1]"), ["me@[::1]:2", "option@[2001:db8::1]:2022", "option@web:2022"]),
        ("ProxyJump none\n", (), ["option@web:2022"]),
        ("ProxyJump none\nProxyCommand nc %h\n", (), ["option@web:2022"]),
        ("Host web\n ProxyCommand none\n ProxyJump a\n", (), ["option@web:2022"]),
        (
            "Host web\n ProxyJump ssh://u@[fe80::1]:9/,%r@b\n",
            (),
            ["u@[fe80::1]:9", "option@b:2022", "option@web:2022"],
        ),
    ],
)
def test_jump_hosts(tmp_path: Path, text: str, jump: tuple[str, ...], places: list[str]) -> None:
    way = hops(tmp_path, Connection("web", jump=jump), text)
    assert [f"{hop.user}@{hop.place}" for hop in way] == places
    assert [hop.jump for hop in way] == [True] * (len(way) - 1) + [False]
    assert not any(hop.proxy for hop in way)


def test_what_a_jump_host_is_given(tmp_path: Path) -> None:
    guest = Connection(
        "web",
        user="me",
        key="/mine",
        password="env:A",
        passphrase="env:B",
        sudo_password="env:C",
        jump=("door", "other"),
    )
    door, other, last = hops(tmp_path, guest)
    assert (door.user, door.keys) == ("doorman", ("/door",))
    assert (other.user, other.keys) == ("option", ("/mine",))
    for hop in (door, other):
        assert (hop.connection.password, hop.connection.sudo_password) == (None, None)
    assert last.connection == guest


@pytest.mark.parametrize(
    "text", ["", "a b", "u@", "h:0", "h:65536", "h:x", "[h", "-oX=y", "a@-b", "::1", "h\n"]
)
def test_what_is_no_jump_host(text: str) -> None:
    with pytest.raises(HostError, match="is no jump host"):
        jump_host(text, Connection("web"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nc %h %p", ("nc", "10.0.0.1", "22")),
        ("exec ssh -W [%h]:%p %r@gate 2>/dev/null", ("ssh", "-W", "[10.0.0.1]:22", "me@gate")),
        ("~/bin/way %n 100%%", ("{home}/bin/way", "web", "100%")),
        ("sh -c 'nc %h $PORT'", ("sh", "-c", "nc 10.0.0.1 $PORT")),
        ("none", ()),
    ],
)
def test_a_proxy_command_becomes_arguments(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    config = f"HostName 10.0.0.1\nProxyCommand {text}\n"
    (hop,) = hops(tmp_path, Connection("web", 22, "me"), config)
    assert hop.proxy == tuple(word.format(home=os.path.expanduser("~")) for word in words)


def test_a_proxy_command_takes_every_address(tmp_path: Path) -> None:
    (hop,) = hops(tmp_path, Connection("::1"), "ProxyCommand nc %h %p\n")
    assert hop.proxy == ("nc", "::1", "2022")


@pytest.mark.parametrize("text", ["IdentityFile /keys/%r\n", "UserKnownHostsFile /known/%r\n"])
@pytest.mark.parametrize("user", ["../../etc/x", "..", "/etc/x"])
def test_a_name_leads_out_of_no_folder(tmp_path: Path, text: str, user: str) -> None:
    with pytest.raises(HostError, match="cannot stand in the path"):
        hops(tmp_path, Connection("web", user=user), text)
    hops(tmp_path, Connection("web", user="CORP.x\\me"), text)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(address=st.text(min_size=1, max_size=20), user=st.text(min_size=1, max_size=20))
@example(address="-oProxyCommand=x", user="me")
@example(address="web; touch x", user="me")
@example(address="web", user="-l")
@example(address="web", user="$(touch x)")
@example(address="%h", user="%r")
def test_data_is_neither_an_option_nor_shell_text(tmp_path: Path, address: str, user: str) -> None:
    text = "ProxyCommand sh -c 'nc %h %n %r %p' x %h %r\n"
    try:
        (hop,) = hops(tmp_path, Connection(address, user=user), text)
    except HostError as error:
        assert "cannot stand in the ProxyCommand" in str(error) or "means nothing" in str(error)  # noqa: PT017
        return
    assert len(hop.proxy) == 6
    assert hop.proxy[4:] == (address.lower(), user)
    for word in (address, user):
        assert not word.startswith("-")
        assert not set(word) & set(" \t\r\n;|&$`<>(){}[]*?!#~'\"=")


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", "²"])
def test_a_port_that_is_none(tmp_path: Path, port: str) -> None:
    with pytest.raises(HostError, match="names no usable port for web"):
        hops(tmp_path, Connection("web"), f"Port {port}\n")


@pytest.mark.parametrize(
    "text", ["ProxyJump a,b,a,b,a,b,a,b\n", "Host web\n ProxyJump a\nHost a\n ProxyJump web\n"]
)
def test_a_way_without_end(tmp_path: Path, text: str) -> None:
    with pytest.raises(HostError, match="takes 8 hops or more, or goes in a circle"):
        hops(tmp_path, Connection("web"), text)
