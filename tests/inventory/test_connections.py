"""The connections file: which rule fits, what it gives, and how a mistake in it is named."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import SettingsError
from auditor.inventory.addresses import NicAddresses
from auditor.inventory.connections import Addresses, Connections
from auditor.inventory.connections_file import read_connections
from auditor.inventory.host import Host
from auditor.model import Connection, Machine, Platform

VM = Machine(
    "/subscriptions/s-1/resourcegroups/rg/providers/microsoft.compute/virtualmachines/web-1",
    "Web-1",
    Platform.LINUX,
    "azure",
    location="West Europe",
    subscription="s-1",
    resource_group="rg",
    tags={"Env": "prod", "group:web": "yes"},
)
PLAIN = Machine("host/db", "db", Platform.UNKNOWN, "hosts-file")
ADDRESSES = Addresses({VM.id: NicAddresses(("10.0.0.4", "10.0.0.5"), ("20.0.0.4",), "web.example")})


def rules(folder: Path, text: str) -> Connections:
    path = folder / "connections.toml"
    path.write_text(text, encoding="utf-8")
    return read_connections(path)


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ("", True),
        ('name = "web-*"', True),
        ('name = "WEB-?"', True),
        ('name = ["db-*", "web-1"]', True),
        ('name = "web"', False),
        ('tag = { env = "prod" }', True),
        ('tag = { env = ["test", "prod"] }', True),
        ('tag = { env = "Prod" }', False),
        ('tag = { env = "prod", tier = "1" }', False),
        ('tag = { "group:web" = "yes" }', True),
        ('subscription = "S-1"', True),
        ('subscription = "s-2"', False),
        ('resource_group = ["RG"]', True),
        ('location = "westeurope"', True),
        ('location = "WEST EUROPE"', True),
        ('location = "northeurope"', False),
        ('platform = "Linux"', True),
        ('platform = ["windows", "unknown"]', False),
        (f'id = "{VM.id.upper()}/"', True),
        ('id = "host/web-1"', False),
        ('name = "web-*"\nlocation = "northeurope"', False),
    ],
)
def test_a_rule_fits_where_every_condition_holds(tmp_path: Path, conditions: str, fits: bool) -> None:
    found = rules(tmp_path, f'[[connection]]\n{conditions}\nuser = "azops"').rule_for(VM)
    assert (found is not None) is fits


def test_the_first_rule_that_fits_counts(tmp_path: Path) -> None:
    text = """
    [[connection]]
    name = "db*"
    user = "first"
    [[connection]]
    user = "second"
    [[connection]]
    name = "web-1"
    user = "third"
    """
    found = rules(tmp_path, text)
    assert [rule.fields["user"] for machine in (VM, PLAIN) if (rule := found.rule_for(machine))] == [
        "second",
        "first",
    ]
    assert Connections().rule_for(VM) is None


@pytest.mark.parametrize(
    ("rule", "connection"),
    [
        ("", Connection("10.0.0.4")),
        ('address = "private-ip"', Connection("10.0.0.4")),
        ('address = "public-ip"', Connection("20.0.0.4")),
        ('address = "name"', Connection("Web-1")),
        ('address = "{name}.corp.example"', Connection("Web-1.corp.example")),
        ('address = "192.0.2.1"\nport = 2222', Connection("192.0.2.1", 2222)),
        ('transport = "run-command"', Connection("Web-1", transport="run-command")),
        (
            'address = "name"\nuser = "u"\nkey = "~/.ssh/k"\npassphrase = "env:A"\npassword = "prompt:b"\n'
            'sudo_password = "file:/c"\njump = ["a", "b@c:22"]',
            Connection(
                "Web-1",
                None,
                "u",
                "~/.ssh/k",
                password="prompt:b",
                passphrase="env:A",
                sudo_password="file:/c",
                jump=("a", "b@c:22"),
            ),
        ),
        (
            'transport = "winrm"\nauth = "kerberos"\nplain_http = true\n'
            'server_name = "{name}.corp"\nca = "c"',
            Connection(
                "10.0.0.4",
                transport="winrm",
                auth="kerberos",
                plain_http=True,
                ca="c",
                server_name="Web-1.corp",
            ),
        ),
        ('auth = "kerberos"\nca = "for windows only"\njump = "a"', Connection("10.0.0.4", jump=("a",))),
    ],
)
def test_a_rule_gives_a_vm_its_connection(tmp_path: Path, rule: str, connection: Connection) -> None:
    found = rules(tmp_path, f"[[connection]]\n{rule}").connect(VM, None, ADDRESSES)
    assert (found.connection, found.unreachable) == (connection, "")


@pytest.mark.parametrize(
    ("rule", "addresses", "said"),
    [
        ("", Addresses(), "Azure shows no private address of this VM"),
        ('address = "public-ip"', Addresses({VM.id: NicAddresses(("10.0.0.4",))}), "no public address"),
        ("", Addresses(gaps={"s-1": "403 Forbidden"}), "its addresses could not be read: 403 Forbidden"),
    ],
)
def test_a_vm_without_such_an_address_is_out_of_reach(
    tmp_path: Path, rule: str, addresses: Addresses, said: str
) -> None:
    found = rules(tmp_path, f"\n[[connection]]\n{rule}").connect(VM, None, addresses)
    assert found.connection is None
    assert said in found.unreachable
    assert "403" in said or f"{tmp_path / 'connections.toml'}, line 2" in found.unreachable


def test_a_name_that_is_no_host_name_is_no_address(tmp_path: Path) -> None:
    found = rules(tmp_path, '[[connection]]\naddress = "{name}.example"')
    for name in ("a b", "-oProxyCommand=id", "a/../b", "{name}", "a" * 300, "", "a\nb"):
        machine = found.connect(replace(PLAIN, name=name), None, Addresses())
        assert machine.connection is None
        assert "is no host name" in machine.unreachable


def test_a_rule_may_leave_guests_out(tmp_path: Path) -> None:
    found = rules(tmp_path, '[[connection]]\nname = "db"\nskip = true\n[[connection]]\nuser = "u"')
    left = found.connect(PLAIN, Host(PLAIN, {"address": "db"}), Addresses())
    assert (left.left_out, left.connection) == (True, None)
    assert not found.connect(VM, None, ADDRESSES).left_out


@pytest.mark.parametrize(
    ("given", "rule", "connection"),
    [
        ({"address": "a"}, 'user = "u"\npassword = "env:P"', Connection("a", user="u", password="env:P")),
        ({"address": "a", "user": "me"}, 'user = "u"\nport = 1', Connection("a", 1, "me")),
        (
            {"address": "a", "user": "me"},
            'user = "u"\nport = 1\npassword = "env:P"\nkey = "k"\nsudo_password = "env:S"',
            Connection("a", 1, "me"),
        ),
        ({"address": "a", "user": "me"}, 'password = "env:P"', Connection("a", user="me", password="env:P")),
        ({"address": "a", "key": "mine"}, 'key = "k"\npassphrase = "env:P"', Connection("a", key="mine")),
        (
            {"address": "a", "key": "mine"},
            'passphrase = "env:P"',
            Connection("a", key="mine", passphrase="env:P"),
        ),
        (
            {"address": "a", "transport": "ssh"},
            'transport = "winrm"\nuser = "Administrator"\npassword = "env:P"',
            Connection("a"),
        ),
        (
            {"address": "a"},
            'transport = "winrm"\nauth = "kerberos"',
            Connection("a", transport="winrm", auth="kerberos"),
        ),
        ({"address": "a"}, 'address = "public-ip"', Connection("a")),
        ({}, 'address = "{name}.example"', Connection("db.example")),
    ],
)
def test_a_hosts_file_comes_before_a_rule(
    tmp_path: Path, given: dict[str, Any], rule: str, connection: Connection
) -> None:
    found = rules(tmp_path, f"[[connection]]\n{rule}").connect(PLAIN, Host(PLAIN, given), Addresses())
    assert (found.connection, found.unreachable) == (connection, "")


def test_what_a_file_leaves_unusable_a_rule_may_give(tmp_path: Path) -> None:
    unusable = {"address": "ansible_host is a template", "user": "ansible_user is a template"}
    host = Host(PLAIN, {}, unusable)
    assert host.connected().unreachable == "ansible_host is a template"
    partly = rules(tmp_path, '[[connection]]\naddress = "name"').connect(PLAIN, host, Addresses())
    assert partly.unreachable == "ansible_user is a template"
    still = rules(tmp_path, '[[connection]]\nuser = "u"').connect(PLAIN, host, Addresses())
    assert still.unreachable == "ansible_host is a template"
    wholly = rules(tmp_path, '[[connection]]\naddress = "name"\nuser = "u"').connect(PLAIN, host, Addresses())
    assert (wholly.connection, wholly.unreachable) == (Connection("db", user="u"), "")


def test_fields_that_do_not_go_together_keep_that_machine_out_of_reach(tmp_path: Path) -> None:
    host = Host(PLAIN, {"address": "a", "transport": "winrm", "plain_http": True})
    found = rules(tmp_path, '[[connection]]\nauth = "basic"').connect(PLAIN, host, Addresses())
    assert found.unreachable.startswith("auth basic over plain HTTP")


def test_azure_is_asked_only_for_the_addresses_that_rules_need(tmp_path: Path) -> None:
    found = rules(tmp_path, '[[connection]]\nname = "web-*"\n[[connection]]\naddress = "name"')
    other = replace(VM, id=VM.id.replace("web-1", "app"), name="app")
    assert found.asking_azure([VM, other, PLAIN], {}) == [VM]
    assert found.asking_azure([VM], {VM.id: Host(VM, {"address": "10.0.0.9"})}) == []
    assert rules(tmp_path, '[[connection]]\ntransport = "run-command"').asking_azure([VM], {}) == []
    assert rules(tmp_path, "[[connection]]\nskip = true").asking_azure([VM], {}) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("= x", "is not usable TOML"),
        (f"[[connection]]\nport = {'9' * 5000}", "is not usable TOML"),
        ("[connection]\nuser = 'u'", "every rule is a table [[connection]]"),
        ("connection = 3", "every rule is a table [[connection]]"),
        ("[[conection]]\nuser = 'u'", "unknown key 'conection'; every rule is a table [[connection]]"),
        ("\n[[connection]]\n\nusr = 'u'", ", line 4: unknown key 'usr'; did you mean 'user'?"),
        (
            "[[connection]]\nuser='u'\n[[connection]]\n'nmae' = 'u'",
            ", line 4: unknown key 'nmae'; did you mean 'name'",
        ),
        ("[[connection]]\n[connection.tags]\na = 'b'", ", line 2: unknown key 'tags'; did you mean 'tag'?"),
        ("connection = [{usr = 'u'}]", ", connection 1: unknown key 'usr'"),
        ("[[connection]]\nport = 0", ", line 1: port '0' is not a number"),
        ("[[connection]]\nport = 1.5", "port is 1.5; text is wanted"),
        ("[[connection]]\nname = []", "name is a text or a list of texts"),
        ("[[connection]]\nname = ['a', 3]", "name is a text or a list of texts"),
        (
            "[[connection]]\nplatform = 'solaris'",
            "platform 'solaris' is not supported; choose one of",
        ),
        ("[[connection]]\ntag = 'env=prod'", "tag is a table"),
        ("[[connection]]\ntag = {env = 3}", "tag env is a text"),
        ("[[connection]]\nskip = 'yes'", "skip is true or false"),
        ("[[connection]]\nskip = true\nuser = 'u'", "a rule with skip = true says nothing else"),
        ("[[connection]]\naddress = '{vm}.example'", "address '{vm}.example' is none of private-ip"),
        ("[[connection]]\naddress = 'public ip'", "is none of private-ip, public-ip, name"),
        ("[[connection]]\nserver_name = '{0}.corp'", "server_name '{0}.corp' is no host name"),
        ("[[connection]]\njump = ['-oProxyCommand=x']", "the jump host '-oProxyCommand=x' is not written"),
        ("[[connection]]\naddress = 'u:canary@h'", "address 'u:***@h' is none of private-ip"),
        ("[[connection]]\ntransport = 'telnet'", "transport 'telnet' is not supported"),
        ("[[connection]]\ntransport = 'ssh'\nauth = 'ntlm'", "auth is not for ssh"),
        ("[[connection]]\ntransport = 'run-command'\nuser = 'u'", "user is not for run-command"),
        ("[[connection]]\nauth = 'basic'\nplain_http = true", "auth basic over plain HTTP"),
        (
            "[[connection]]\ntransport = 'winrm'\nauth = 'ntlm'\ncertificate = 'c'",
            "a certificate is for auth certificate",
        ),
        ("[[connection]]\npassword = 'canary'", "password: a secret is given by reference (env:NAME"),
        ("[[connection]]\npassword = {env = 'canary'}", "password is no text"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        rules(tmp_path, text)
    assert str(tmp_path / "connections.toml") in str(caught.value)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the connections file"):
        read_connections(tmp_path / "none.toml")


KEYS = st.sampled_from([*("name", "tag", "address", "user", "password", "port", "jump", "skip", "nmae")])
VALUES = st.sampled_from(
    ['"x"', '""', "3", "true", "[]", '["a"]', '{a = "b"}', '"env:A"', "2026-01-01", '"{name}"']
)
RULE = st.dictionaries(KEYS, VALUES, max_size=4).map(
    lambda rule: "[[connection]]\n" + "\n".join(f"{key} = {value}" for key, value in rule.items())
)


@given(st.lists(RULE, max_size=3).map("\n".join) | st.text(max_size=60))
def test_any_text_is_rules_or_a_mistake(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with contextlib.suppress(SettingsError):
        found = rules(tmp_path_factory.mktemp("any"), text)
        for machine in (VM, PLAIN):
            connected = found.connect(machine, None, ADDRESSES)
            assert connected.id == machine.id
