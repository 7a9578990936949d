"""Ansible inventories: recognised, merged as Ansible merges them, never evaluated, no password taken."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import InventoryFileError
from auditor.inventory.file import read_hosts
from auditor.inventory.host import Host
from auditor.model import Connection, Machine, Platform
from tests.inventory.inventories import ALL, DEEP_INI, INI

VM = "/subscriptions/S-1/resourceGroups/Rg/providers/Microsoft.Compute/virtualMachines/Db"


def hosts(folder: Path, text: str, name: str = "inventory") -> dict[str, Host]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return {host.machine.name: host for host in read_hosts(path)}


def machines(folder: Path, text: str, name: str = "inventory") -> dict[str, Machine]:
    return {key: host.connected() for key, host in hosts(folder, text, name).items()}


def listed(**hostvars: dict[str, Any]) -> str:
    return json.dumps(
        {"_meta": {"hostvars": hostvars}, "all": {"children": ["web"]}, "web": {"hosts": [*hostvars]}}
    )


def one(folder: Path, **variables: Any) -> Host:
    """The one host of an inventory, with these variables."""
    return hosts(folder, listed(h=variables), "inventory.json")["h"]


# ---- what is an inventory, and what a hosts file -----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "source"),
    [
        ("hosts.ini", "web1", "ansible"),
        ("hosts.cfg", "[web]\nweb1", "ansible"),
        ("hosts", "# a comment\n\n[web]\nweb1", "ansible"),
        ("hosts", "web1 ansible_host=10.0.0.1", "ansible"),
        ("hosts", "10.0.0.1:2222", "ansible"),
        ("hosts", "all:\n  hosts: {web1: }", "ansible"),
        ("hosts.txt", '{"web": {"hosts": ["web1"]}, "_meta": {"hostvars": {}}}', "ansible"),
        ("hosts.json", '{"web": {"hosts": ["web1"]}}', "ansible"),
        ("hosts.yml", "web: {hosts: {web1: {}}}", "ansible"),
        ("hosts.yaml", "all:\n  children:\n    web:\n      hosts:\n        web1:", "ansible"),
        ("hosts.yaml", "- {name: web1, address: a}", "hosts-file"),
        ("hosts", "- name: web1\n  address: a", "hosts-file"),
        ("hosts", "hosts:\n- {name: web1, address: a}", "hosts-file"),
        ("hosts", "[{name: web1, address: a}]", "hosts-file"),
        ("hosts.json", '{"hosts": [{"name": "web1", "address": "a"}]}', "hosts-file"),
        ("hosts.json", '[{"name": "web1", "address": "a"}]', "hosts-file"),
        ("hosts.csv", "name,address\nweb1,a", "hosts-file"),
    ],
)
def test_a_file_is_known_by_its_name_and_content(tmp_path: Path, name: str, text: str, source: str) -> None:
    assert {key: host.machine.source for key, host in hosts(tmp_path, text, name).items()} in (
        {"web1": source},
        {"10.0.0.1": source},
    )


# ---- groups and variables ----------------------------------------------------------------------------


def test_variables_of_inner_groups_and_of_hosts_win(tmp_path: Path) -> None:
    found = {name: machine.connection for name, machine in machines(tmp_path, DEEP_INI).items()}
    assert found == {
        "h1": Connection("c.example", 2, "a"),
        "h2": Connection("c.example", 2, "own"),
        "h3": Connection("c.example", 3, "d"),
    }


def test_groups_become_tags(tmp_path: Path) -> None:
    found = machines(tmp_path, DEEP_INI)
    assert {name: sorted(machine.tags) for name, machine in found.items()} == {
        "h1": ["group:a", "group:b", "group:c", "group:d", "group:x"],
        "h2": ["group:a", "group:b", "group:c", "group:x"],
        "h3": ["group:c", "group:d"],
    }
    assert set(found["h1"].tags.values()) == {"yes"}


def test_many_groups_within_each_other_take_no_longer_than_as_many_beside(tmp_path: Path) -> None:
    count = 10_000
    chain = {f"g{number:05}": {"children": [f"g{number + 1:05}"]} for number in range(count)}
    text = json.dumps({"_meta": {}, **chain, f"g{count:05}": {"hosts": ["web"]}})
    start = time.process_time()
    assert len(machines(tmp_path, text, "i.json")["web"].tags) == count + 1
    assert time.process_time() - start < 10


def test_patterns_name_several_hosts(tmp_path: Path) -> None:
    names = list(machines(tmp_path, INI, "hosts.ini"))
    assert names[:4] == ["lonely.example", "10.0.0.7", "2001:db8::1", "2001:db8::2"]
    assert [name for name in names if name.startswith("rack")] == [
        "rack1-slota",
        "rack1-slotb",
        "rack2-slota",
        "rack2-slotb",
    ]
    assert [name for name in names if name.startswith("node")] == ["node0", "node2", "node4"]


# ---- the way to a host -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "connection", "platform"),
    [
        ({}, Connection("h"), Platform.UNKNOWN),
        ({"ansible_connection": "ansible.builtin.ssh"}, Connection("h"), Platform.UNKNOWN),
        (
            {"ansible_ssh_host": "a", "ansible_ssh_port": "22", "ansible_ssh_user": "u"},
            Connection("a", 22, "u"),
            Platform.UNKNOWN,
        ),
        ({"ansible_user": "u", "ansible_ssh_user": "v"}, Connection("h", user="v"), Platform.UNKNOWN),
        ({"ansible_shell_type": "powershell"}, Connection("h"), Platform.WINDOWS),
        (
            {
                "ansible_private_key_file": "k",
                "ansible_ssh_common_args": "-o ProxyJump=a@b:2,c -C",
            },
            Connection("h", key="k", jump=("a@b:2", "c")),
            Platform.UNKNOWN,
        ),
        ({"ansible_ssh_extra_args": "-J bastion"}, Connection("h", jump=("bastion",)), Platform.UNKNOWN),
        (
            {"ansible_connection": "winrm", "ansible_winrm_transport": "credssp, kerberos"},
            Connection("h", transport="winrm", auth="kerberos"),
            Platform.WINDOWS,
        ),
        (
            {"ansible_connection": "winrm", "ansible_port": 5985, "ansible_winrm_transport": ["ntlm"]},
            Connection("h", 5985, transport="winrm", auth="ntlm", plain_http=True),
            Platform.WINDOWS,
        ),
        (
            {"ansible_connection": "winrm", "ansible_port": 5985, "ansible_winrm_scheme": "https"},
            Connection("h", 5985, transport="winrm"),
            Platform.WINDOWS,
        ),
        (
            {
                "ansible_connection": "winrm",
                "ansible_winrm_transport": "certificate",
                "ansible_winrm_cert_pem": "c.pem",
                "ansible_winrm_cert_key_pem": "c.key",
                "ansible_winrm_ca_trust_path": "ca.pem",
                "ansible_winrm_kerberos_hostname_override": "h.corp",
            },
            Connection(
                "h",
                key="c.key",
                transport="winrm",
                auth="certificate",
                certificate="c.pem",
                ca="ca.pem",
                server_name="h.corp",
            ),
            Platform.WINDOWS,
        ),
        (
            {"ansible_connection": "psrp", "ansible_psrp_auth": "negotiate", "ansible_psrp_protocol": "http"},
            Connection("h", transport="winrm", plain_http=True),
            Platform.WINDOWS,
        ),
    ],
)
def test_variables_become_a_connection(
    tmp_path: Path, variables: dict[str, Any], connection: Connection, platform: Platform
) -> None:
    machine = one(tmp_path, **variables).connected()
    assert (machine.connection, machine.platform, machine.unreachable) == (connection, platform, "")


@pytest.mark.parametrize(
    ("variables", "field", "said"),
    [
        (
            {"ansible_host": "{{ lookup('pipe', 'id') }}"},
            "address",
            "ansible_host of the inventory is a",
        ),
        ({"ansible_user": "{% if x %}a{% endif %}"}, "user", "ansible_user of the inventory is a template"),
        ({"ansible_port": "{{ 22 }}"}, "port", "ansible_port of the inventory is a template"),
        ({"ansible_port": "ssh"}, "port", "ansible_port of the inventory is no port"),
        ({"ansible_port": 70000}, "port", "is no port"),
        ({"ansible_user": ["a"]}, "user", "ansible_user of the inventory is no text"),
        ({"ansible_user": {"__ansible_vault": "x"}}, "user", "is encrypted with ansible-vault"),
        ({"ansible_user": "a\nb"}, "user", "holds a control character"),
        ({"ansible_connection": "local"}, "transport", "is 'local', and only SSH and WinRM lead into guests"),
        ({"ansible_connection": "community.docker.docker"}, "transport", "is 'community.docker.docker'"),
        (
            {"ansible_connection": "{{ how }}"},
            "transport",
            "ansible_connection of the inventory is a",
        ),
        (
            {"ansible_connection": "winrm", "ansible_winrm_transport": "credssp"},
            "auth",
            "ansible_winrm_transport of the inventory names none of basic",
        ),
    ],
)
def test_what_cannot_be_used_keeps_that_host_out_of_reach(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, variables: dict[str, Any], field: str, said: str
) -> None:
    host = one(tmp_path, **variables)
    machine = host.connected()
    assert list(host.unusable) == [field]
    assert said in machine.unreachable
    assert f"give {field} in a connections file" in machine.unreachable
    assert ": ansible_" in caplog.text
    offered = {"port": 22} if field == "port" else {field: "ssh" if field == "transport" else "ntlm"}
    assert host.connected(offered).unreachable == ""


def test_a_rule_may_say_how_a_host_is_reached_whose_inventory_does_not(tmp_path: Path) -> None:
    offered = {"transport": "winrm", "user": "admin"}
    assert one(tmp_path).connected(offered).connection == Connection("h", user="admin", transport="winrm")
    told = one(tmp_path, ansible_connection="ssh").connected(offered)
    assert told.connection == Connection("h")


def test_basic_over_plain_http_is_refused_host_by_host(tmp_path: Path) -> None:
    variables = {"ansible_connection": "winrm", "ansible_port": 5985, "ansible_winrm_transport": "basic"}
    machine = one(tmp_path, **variables).connected()
    assert machine.unreachable.startswith("auth basic over plain HTTP")


def test_a_text_marked_as_no_template_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "all: {hosts: {h: {ansible_user: !unsafe '{{ braces }}'}}}"
    assert hosts(tmp_path, text, "h.yaml")["h"].given["user"] == "{{ braces }}"
    assert one(tmp_path, ansible_user={"__ansible_unsafe": "{{ b }}"}).given["user"] == "{{ b }}"


@pytest.mark.parametrize(
    "arguments",
    ["-o ProxyCommand='nc %h %p'", "-J 'a b'", "-J -oProxyCommand=id", "-J '{{ jump }}'", "-o ProxyJump='x"],
)
def test_a_way_that_is_not_simple_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, arguments: str
) -> None:
    host = one(tmp_path, ansible_ssh_common_args=arguments)
    assert "jump" not in host.given
    assert "ansible_ssh_common_args of h is not followed, as it " in caplog.text


# ---- passwords ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h.yaml", "all:\n  hosts: {a: }\n  hosts: {b: }\n"),
        ("h.json", '{"all": {"hosts": ["a"], "hosts": ["b"]}}'),
    ],
)
def test_a_key_that_stands_twice_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, text: str
) -> None:
    assert set(hosts(tmp_path, text, name)) == {"b"}
    assert "the key 'hosts' stands" in caplog.text
    assert "twice; only the last one counts" in caplog.text


VAULT = "$ANSIBLE_VAULT;1.1;AES256\n6162canary"


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("plugin", ["env", "ansible.builtin.env"])
def test_a_look_up_in_the_environment_becomes_a_reference(tmp_path: Path, quote: str, plugin: str) -> None:
    look_up = "{{ lookup(" + f"{quote}{plugin}{quote}, {quote}WEB_PASSWORD{quote}" + ") }}"
    host = one(tmp_path, ansible_password=look_up, ansible_become_password=look_up.replace(" ", ""))
    assert host.given["password"] == host.given["sudo_password"] == "env:WEB_PASSWORD"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("canary", "is written out"),
        (4711, "is written out"),
        ("{{ canary }}", "is a template"),
        ("{{ lookup('env', 'A') | default('canary') }}", "is a template"),
        ("x{{ lookup('env', 'A') }}", "is a template"),
        ("{{ lookup('file', 'canary') }}", "is a template"),
        ({"__ansible_vault": "canary"}, "is encrypted with ansible-vault"),
        ({"__ansible_unsafe": "canary"}, "is written out"),
        (VAULT, "is encrypted with ansible-vault"),
    ],
)
@pytest.mark.parametrize("variable", ["ansible_password", "ansible_ssh_pass", "ansible_become_pass"])
def test_no_password_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, value: Any, why: str, variable: str
) -> None:
    host = one(tmp_path, **{variable: value})
    assert not host.given.keys() & {"password", "sudo_password"}
    assert "canary" not in repr(host)
    assert "canary" not in caplog.text
    assert f"{variable} of h {why}" in caplog.text
    assert "and no password is taken from an inventory" in caplog.text
    assert "(--connections)" in caplog.text


def test_a_vaulted_value_of_yaml_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["all:", "  hosts:", "    h:", "      ansible_password: !vault |"]
    text = "\n".join([*lines, *(f"        {line}" for line in VAULT.splitlines())])
    assert "canary" not in repr(hosts(tmp_path, text, "h.yaml")["h"])
    assert "is encrypted with ansible-vault" in caplog.text


def test_one_warning_for_many_hosts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    machines(tmp_path, "web[1:50]\n[all:vars]\nansible_password=canary", "hosts.ini")
    (record,) = caplog.records
    assert "ansible_password of web1 and 49 more is written out" in record.getMessage()
    assert "canary" not in caplog.text


def test_verification_that_is_switched_off_stays_on_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one(tmp_path, ansible_connection="winrm", ansible_winrm_server_cert_validation="ignore")
    assert "ansible_winrm_server_cert_validation of h is not honoured" in caplog.text


# ---- Azure -------------------------------------------------------------------------------------------


def test_a_vm_of_the_azure_plugin_is_that_vm(tmp_path: Path) -> None:
    host = one(
        tmp_path,
        id=VM,
        location="westeurope",
        os_profile={"system": "windows"},
        tags={"env": "prod", "n": 1, "x": None},
        ansible_host="20.0.0.4",
    )
    assert host.machine == Machine(
        VM.lower(),
        "h",
        Platform.WINDOWS,
        "ansible",
        "westeurope",
        "s-1",
        "rg",
        {"env": "prod", "n": "1", "group:web": "yes"},
    )


@pytest.mark.parametrize("identifier", ["4711", 4711, None, VM + "/extensions/x"])
def test_any_other_id_is_no_vm(tmp_path: Path, identifier: Any) -> None:
    assert one(tmp_path, id=identifier).machine.id == "host/h"


# ---- mistakes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("h.ini", "", "names no host"),
        ("h.ini", "[web:vars]\na=b\n", "[web:vars] is about a group that is not there"),
        ("h.ini", "[web:children]\ndb\n", "[web:children] names 'db', which is no group"),
        ("h.ini", "[web:kids]\n", "line 1: unknown section kind 'kids'; known: hosts, children, vars"),
        ("h.ini", "[web db]\n", "line 1: this is no section"),
        ("h.ini", "web ansible_user\n", "line 1: a host is written NAME variable=value"),
        ("h.ini", "web ansible_password=x canary\n", "line 1: a host is written NAME"),
        ("h.ini", "web ansible_password='canary\n", "line 1: a quote is not closed"),
        ("h.ini", "\nweb:\n", "line 2: a host pattern must not end in ':'"),
        ("h.ini", "web[1:2\n", "line 1: a host range is written [begin:end]"),
        ("h.ini", "web[1]\n", "line 1: a host range is written"),
        ("h.ini", "web[1:]\n", "line 1: a host range is written"),
        ("h.ini", "web[01:100]\n", "the two ends of a host range with leading zeros"),
        ("h.ini", "web[a:3]\n", "a host range goes from number to number"),
        ("h.ini", "web[9:1]\n", "a host range must begin before it ends"),
        ("h.ini", "web[1:9:0]\n", "the step of a host range is a number above 0"),
        ("h.ini", "web[1:999999999]\n", "more than 100000 members"),
        ("h.ini", "web[1:999][1:999]\n", "more than 100000 members"),
        ("h.ini", "web:70000\n", "the port of a host pattern is a number from 1 to 65535"),
        ("h.ini", "[web]\na\n[web:vars]\ncanary\n", "line 4: a variable of a group is written name=value"),
        ("h.ini", "h\n[a:children]\nb\n[b:children]\na\n", "stands below itself"),
        ("h.ini", "h\n[a:children]\nall\n", "the group 'all' cannot stand below another"),
        ("h.ini", "[a]\nx\n[a:vars]\nansible_group_priority=high\n", "of the group 'a' is no whole number"),
        ("h.ini", "[a]\nx\n[a:vars]\nansible_group_priority=1e999\n", "of the group 'a' is no whole number"),
        ("h.yaml", "a: {hosts: {h: }, vars: {ansible_group_priority: .inf}}", "is no whole number"),
        ("h.ini", "Web\nweb\n", "the name of 'web' stands at"),
        ("h.yaml", "all: {hosts: [1]}", "1 is no name of a group or host; put it in quotes"),
        ("h.yaml", "all: {hosts: {h: 3}}", "'h' of 'all' is no mapping"),
        ("h.yaml", "all: {host: {h: }}", "the group 'all' has 'host'; known: children, hosts, vars"),
        ("h.yaml", "all: {children: {web: 3}}", "the group 'web' is no mapping"),
        ("h.yaml", "plugin: azure.azcollection.azure_rm\nall: x", "ansible-inventory -i h.yaml --list"),
        ("h.yaml", "x: &a {hosts: {h: }}\ny: *a", "aliases (*name) are not read"),
        ("h.json", '{"_meta": {"hostvars": []}}', "'hostvars' of '_meta' is no mapping"),
        ("h.json", '{"_meta": ' + '{"a":' * 100_000, "not usable"),
        ("h.json", '{"all": {"hosts": ["h"', "not usable YAML"),
    ],
)
def test_a_mistake_is_named_and_no_secret_shown(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(InventoryFileError) as caught:
        machines(tmp_path, text, name)
    assert str(tmp_path / name) in str(caught.value)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


def test_folders_of_variables_beside_it_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "group_vars").mkdir()
    machines(tmp_path, "web1", "hosts.ini")
    assert "group_vars beside it is not read; `ansible-inventory -i hosts.ini --list" in caplog.text
    caplog.clear()
    machines(tmp_path, listed(h={}), "hosts.json")
    assert caplog.text == ""


# ---- any text ----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["hosts.ini", "hosts", "hosts.json", "hosts.yaml"])
LINES = st.sampled_from(
    [
        *("[web]", "[web:vars]", "[db:children]", "web", "a=b", "h ansible_user=u", "h[1:3]", "h[a:c]:22"),
        *(
            "- name: x",
            "all:",
            "  hosts:",
            "    h:",
            "      ansible_password: !vault x",
            "{",
            "}",
            '"all": {',
        ),
        *(
            "ansible_group_priority=1",
            "ansible_host={{ x }}",
            "'",
            "#",
            "\t",
            "[",
            "ansible_port=99999999999",
        ),
    ]
)


@given(st.text(max_size=200) | st.lists(LINES, max_size=12).map("\n".join), NAMES)
def test_any_text_is_machines_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    with contextlib.suppress(InventoryFileError):
        found = machines(tmp_path_factory.mktemp("any"), text.replace("\udfff", ""), name)
        assert found
        assert all(machine.connection is not None for machine in found.values())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
variables = st.dictionaries(
    st.sampled_from(
        [
            "ansible_host",
            "ansible_port",
            "ansible_user",
            "ansible_connection",
            "ansible_password",
            "id",
            "tags",
        ]
    ),
    values | st.sampled_from(["winrm", "ssh", "psrp", "{{ x }}", VM]),
)


@given(st.dictionaries(st.sampled_from(["web", "all", "_meta", "db"]), values), variables)
def test_any_json_is_machines_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, groups: dict[str, Any], own: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    with contextlib.suppress(InventoryFileError):
        assert machines(folder, json.dumps(groups), "hosts.json")
    machine = one(folder, **own).connected()
    assert machine.unreachable or machine.connection


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_the_hosts_is_the_file_s(tmp_path: Path, name: str) -> None:
    found = machines(tmp_path, ALL[name], name)
    assert found
    assert {machine.id for machine in found.values()} == {f"host/{key}" for key in found}
