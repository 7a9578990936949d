"""Hosts files: what they may say, and how a mistake is named."""

import contextlib
import csv
import io
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import InventoryFileError
from auditor.inventory.file import read_hosts as hosts_of
from auditor.model import Connection, Machine, Platform

VM = "/subscriptions/S-1/resourceGroups/Rg-1/providers/Microsoft.Compute/virtualMachines/Db-1"
WEB = Machine(
    "host/web-1",
    "Web-1",
    Platform.LINUX,
    "hosts-file",
    location="cellar",
    tags={"env": "prod", "role": "db"},
    connection=Connection("10.0.0.1", 2222, "azops", "~/.ssh/fleet"),
)
DB = Machine(
    VM.lower(),
    "db-1",
    Platform.UNKNOWN,
    "hosts-file",
    subscription="s-1",
    resource_group="rg-1",
    connection=Connection("db.example"),
)

YAML_LIST = f"""
- {{name: Web-1, platform: linux, address: 10.0.0.1, port: 2222, user: azops, key: ~/.ssh/fleet,
   location: cellar, tags: {{env: prod, role: db}}}}
- name: db-1
  address: db.example
  azure_id: {VM}
"""
YAML_DEFAULTS = f"""
defaults: {{user: azops, port: 22, tags: {{env: prod}}}}
hosts:
  - {{name: Web-1, platform: Linux, address: 10.0.0.1, port: "2222", key: ~/.ssh/fleet,
     location: cellar, tags: {{role: db}}}}
  - {{name: db-1, address: db.example, azure_id: "{VM}/", user: "", port: "", tags: {{}}}}
"""
CSV = f"""name,platform,address,port,user,key,location,tags,azure_id
Web-1,linux,10.0.0.1,2222,azops,~/.ssh/fleet,cellar,env=prod;role=db,
db-1,,db.example,,,,,,{VM}
"""


def read_hosts(path: Path) -> tuple[Machine, ...]:
    """The machines of a file, with the connections that it gives them."""
    return tuple(host.connected() for host in hosts_of(path))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("hosts.yaml", YAML_LIST),
        ("hosts.yml", "\ufeff" + YAML_LIST),
        ("hosts.csv", CSV),
        ("hosts.CSV", "\ufeff" + CSV.replace("\n", "\r\n")),
        (
            "hosts.csv",
            CSV.replace(";", "|").replace(",", ";").replace("env=prod|role=db", '"env=prod;role=db"'),
        ),
        ("hosts.csv", CSV.replace("\n", ",,\n") + ",,\n\n"),
    ],
    ids=["list", "list-bom", "csv", "csv-excel", "csv-german", "csv-trailing-cells"],
)
def test_the_same_two_hosts(tmp_path: Path, name: str, content: str) -> None:
    assert read_hosts(write(tmp_path / name, content)) == (WEB, DB)


def test_defaults_fill_what_a_host_leaves_out(tmp_path: Path) -> None:
    web, db = read_hosts(write(tmp_path / "hosts.yaml", YAML_DEFAULTS))
    assert web == WEB
    assert dict(db.tags) == {"env": "prod"}
    assert db.connection == Connection("db.example")


def test_windows_is_asked_by_winrm(tmp_path: Path) -> None:
    (machine,) = read_hosts(write(tmp_path / "h.yaml", "- {name: w, address: w, platform: windows}"))
    assert machine.platform is Platform.WINDOWS
    assert machine.connection == Connection("w", transport="winrm")


EVERYTHING = """
- name: web
  address: web.example
  user: azops
  key: ~/.ssh/fleet
  password: env:WEB
  passphrase: prompt:key
  sudo_password: keyring:fleet/azops
  jump: [bastion, "ops@[2001:db8::1]:2222"]
- name: win
  address: 10.0.0.9
  transport: WinRM
  user: CORP\\admin
  auth: certificate
  key: /etc/fleet/admin.key
  certificate: /etc/fleet/admin.pem
  ca: /etc/fleet/ca.pem
  server_name: win.corp.example
- {name: lab, address: lab, platform: windows, plain_http: yes, password: keyvault:fleet/lab}
- {name: ssh-windows, address: w, platform: windows, transport: ssh}
"""


def test_every_field_of_a_connection_can_be_given(tmp_path: Path) -> None:
    found = [machine.connection for machine in read_hosts(write(tmp_path / "hosts.yaml", EVERYTHING))]
    assert found == [
        Connection(
            "web.example",
            user="azops",
            key="~/.ssh/fleet",
            password="env:WEB",
            passphrase="prompt:key",
            sudo_password="keyring:fleet/azops",
            jump=("bastion", "ops@[2001:db8::1]:2222"),
        ),
        Connection(
            "10.0.0.9",
            user="CORP\\admin",
            transport="winrm",
            auth="certificate",
            key="/etc/fleet/admin.key",
            certificate="/etc/fleet/admin.pem",
            ca="/etc/fleet/ca.pem",
            server_name="win.corp.example",
        ),
        Connection("lab", transport="winrm", plain_http=True, password="keyvault:fleet/lab"),
        Connection("w"),
    ]


def test_csv_gives_the_same_fields(tmp_path: Path) -> None:
    table = (
        "name,address,platform,transport,jump,plain_http,password,azure_id\n"
        'a,a.example,,,"one, two@b:22",,env:A,\n'
        "b,b.example,windows,,,true,file:/run/secret,\n"
        f"c,,,run-command,,,,{VM}\n"
    )
    found = [machine.connection for machine in read_hosts(write(tmp_path / "hosts.csv", table))]
    assert found == [
        Connection("a.example", password="env:A", jump=("one", "two@b:22")),
        Connection("b.example", transport="winrm", plain_http=True, password="file:/run/secret"),
        Connection("c", transport="run-command"),
    ]


@pytest.mark.parametrize("field", ["password", "passphrase", "sudo_password"])
@pytest.mark.parametrize("value", ["canary", "[canary]", "{env: canary}", "!vault canary", '"a\\ncanary"'])
def test_a_written_out_secret_is_refused_and_not_repeated(tmp_path: Path, field: str, value: str) -> None:
    path = write(tmp_path / "hosts.yaml", f"- {{name: a, address: a, key: k, {field}: {value}}}")
    with pytest.raises(InventoryFileError) as caught:
        read_hosts(path)
    assert f"{path}, host 1 ('a'): {field}" in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


@pytest.mark.parametrize("word", ["ca@nary", "/canary", "ca@@n:ary", "can ary"])
@pytest.mark.parametrize("form", ["address: 'me:{0}@host'", "address: a, jump: ['me:{0}@host']"])
def test_a_password_in_an_address_is_not_repeated(tmp_path: Path, form: str, word: str) -> None:
    path = write(tmp_path / "hosts.yaml", f"- {{name: a, {form.format(word)}}}")
    with pytest.raises(InventoryFileError, match=r"'me:\*\*\*@host'"):
        read_hosts(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "h.yaml",
            "hosts:\n- {name: a, address: a}\nhosts:\n- {name: b, address: b}\n",
            "line 3: the key 'hosts'",
        ),
        ("h.yaml", "- name: a\n  address: a\n  tags: {x: y}\n  address: b\n", "line 4: the key 'address'"),
        ("h.yaml", "- {name: a, address: a, tags: {x: {x: 1}, y: [x, x], x: 2}}", "line 1: the key 'x'"),
        ("h.json", '{"hosts": [{"name": "a", "address": "a", "name": "b"}]}', "the key 'name'"),
        ("h.json", '{"hosts": [{"name": "a", "address": "a", "name": "b"},]}', "line 1: the key 'name'"),
    ],
)
def test_a_key_that_stands_twice_would_lose_what_it_held(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    with pytest.raises(InventoryFileError, match=f"{said} stands (there )?twice"):
        read_hosts(write(tmp_path / name, content))


def test_the_same_key_in_two_mappings_is_none_that_stands_twice(tmp_path: Path) -> None:
    text = "- {name: a, address: name, tags: {name: name, tags: tags}}\n- {name: b, address: address}\n"
    assert len(read_hosts(write(tmp_path / "h.yaml", text))) == 2


def test_a_key_file_need_not_exist(tmp_path: Path) -> None:
    (machine,) = read_hosts(write(tmp_path / "h.yaml", "- {name: w, address: w, key: /nowhere/key}"))
    assert machine.connection == Connection("w", key="/nowhere/key")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "names no host"),
        ("[]", "names no host"),
        ("hosts:", "names no host"),
        ("just words", "a list of hosts is wanted"),
        ("{host: []}", "a list of hosts is wanted"),
        ("{hosts: [], default: {}}", "unknown key 'default'; known: defaults, hosts"),
        ("{hosts: {a: b}}", "'hosts' must be a list"),
        ("{hosts: [], defaults: {usr: x}}", "defaults: unknown field 'usr'; did you mean 'user'?"),
        ("- web-1", "host 1: a mapping"),
        ("- {address: a}", "host 1: name is missing"),
        ("- {name: a}", "host 1 ('a'): address is missing"),
        ("- {name: a, address: ''}", "host 1 ('a'): address is missing"),
        ("- {name: a, address: a, adress: b}", "unknown field 'adress'; did you mean 'address'?"),
        ("- {name: a, address: a, passwd: b}", "unknown field 'passwd'; did you mean 'password'"),
        ("- {name: a, address: a, 3: b}", "unknown field 3"),
        ("- {name: a, address: a}\n- {name: A, address: b}", "host 2 ('A'): the name of 'A' stands at"),
        (
            f"- {{name: a, address: a, azure_id: {VM}}}\n- {{name: b, address: b, azure_id: {VM.upper()}}}",
            "host 2 ('b'): the azure_id of 'b' stands at",
        ),
        ("- {name: a, address: a, port: 0}", "port '0' is not a number from 1 to 65535"),
        ("- {name: a, address: a, port: 65536}", "port '65536' is not"),
        ("- {name: a, address: a, port: ssh}", "port 'ssh' is not"),
        ("- {name: a, address: a, port: ٢٢}", "port '٢٢' is not"),
        ("- {name: a, address: a, port: 22.5}", "port is 22.5; text is wanted"),
        ("- {name: no, address: a}", "name is False; text is wanted, put it in quotes"),
        ("- {name: [a], address: a}", "name is ['a']; text is wanted"),
        ("- {name: a, address: a, tags: {on: x}}", "the tag True is 'x'; text is wanted, put it in quotes"),
        ("- {name: a, address: a, tags: {live: yes}}", "the tag live is True; text is wanted"),
        ("- {name: 0123, address: a}", "host 1: name is 0123, of which YAML makes another number; put it in"),
        ("- {name: a, address: a, port: 0022}", "host 1 ('a'): port is 0022, of which YAML makes another"),
        ("- {name: a, address: 12:30:45}", "address is 12:30:45, of which YAML makes another number"),
        ("- {name: 0x1F, address: a}", "name is 0x1F, of which YAML makes another number"),
        ("- {name: 1_000, address: a}", "name is 1_000, of which"),
        ("- {name: +5, address: a}", "name is +5, of which"),
        (f"- {{name: 0x{'f' * 5000}, address: a}}", "name is 0xfff"),
        ("{defaults: {port: 022}, hosts: [{name: a, address: a}]}", "port is 022, of which"),
        ("- {name: a, address: a, password: 0123}", "password is a number, of which YAML makes another"),
        ("- {name: yes, address: a}", "name is True; text is wanted, put it in quotes"),
        ("- {name: 2026-01-01, address: a}", "text is wanted, put it in quotes"),
        ("- {name: a, address: a, tags: {rack: 0123}}", "tags hold 0123, of which YAML makes another number"),
        ("- {name: a, address: a, tags: {07: b}}", "the tags hold 07, of which"),
        ("- {name: a, address: a, tags: {release: 1.10}}", "the tag release is 1.1; text is wanted"),
        ('- {name: "a\\nb", address: a}', "name holds a control character"),
        ("- {name: a, address: a, platform: solaris}", "platform 'solaris' is not supported; choose one of"),
        ("- {name: a, address: a, azure_id: db-1}", "azure_id 'db-1' is not the resource id of a VM"),
        (
            "- {name: a, address: a, transport: telnet}",
            "transport 'telnet' is not supported; choose one of ssh",
        ),
        ("- {name: a, address: a, auth: digest}", "auth 'digest' is not supported; choose one of ntlm"),
        ("- {name: a, address: a, plain_http: perhaps}", "plain_http 'perhaps' is neither true nor false"),
        ("- {name: a, address: a, jump: 'a b'}", "the jump host 'a b' is not written [user@]host[:port]"),
        ("- {name: a, address: a, jump: -oProxyCommand=x}", "is not written [user@]host[:port]"),
        ("- {name: a, address: a, jump: [1]}", "jump is a list of [user@]host[:port]"),
        ("- {name: a, address: a, auth: ntlm}", "auth is not for ssh"),
        ("- {name: a, address: a, server_name: b}", "server_name is not for ssh"),
        ("- {name: a, address: a, platform: windows, jump: b}", "jump is not for winrm"),
        (
            "- {name: a, address: a, platform: windows, sudo_password: 'env:A'}",
            "sudo_password is not for winrm",
        ),
        (
            "- {name: a, address: a, platform: windows, auth: basic, plain_http: true}",
            "auth basic over plain HTTP would show the sign-in",
        ),
        ("- {name: a, address: a, platform: windows, auth: certificate}", "needs a certificate and its key"),
        (
            "- {name: a, address: a, platform: windows, certificate: c}",
            "a certificate is for auth certificate",
        ),
        ("- {name: a, address: a, passphrase: 'env:A'}", "a passphrase is for a key, and none is named"),
        ("- {name: a, transport: run-command}", "run-command leads into Azure VMs; give the azure_id"),
        (f"- {{name: a, transport: run-command, user: b, azure_id: {VM}}}", "user is not for run-command"),
        ("- {name: a, address: '; rm -rf /'}", "address '; rm -rf /' is no host name and no IP address"),
        ("- {name: a, address: '-oProxyCommand=x'}", "address '-oProxyCommand=x' is no host name"),
        ("- {name: a, address: '[::1]'}", "address '[::1]' is no host name and no IP address"),
        ("- {name: a, address: 'u:canary:x@h:22'}", "address 'u:***@h:22' is no host name"),
        ("- {name: a, address: a, jump: 'u:canary@h'}", "the jump host 'u:***@h' is not written"),
        ("- {name: a, address: a, user: 'u:canary'}", "user holds a colon; a password is not part of it"),
        ("- {name: a, address: a, tags: [x]}", "tags are ['x']; a mapping or k=v;k=v is wanted"),
        ("- {name: a, address: a, tags: x}", "every tag is written k=v"),
        ("- {name: a, address: a, tags: =x}", "every tag is written k=v"),
        ("- name: a\n  address: [", ": not usable YAML"),
        ("- &a {name: a, address: a}\n- *a", "line 2: aliases"),
        ("- !!python/object/apply:os.system [touch x]", "not usable YAML: could not determine a constructor"),
        ("- !!python/name:os.system", "not usable YAML"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 32 deep"),
        ("{a: " * 100_000, "nested more than 32 deep"),
        ("- {name: a, address: 2001-99-99}", "not usable YAML"),
        ("- {[a]: b}", "not usable YAML"),
        ("- {name: !!bool perhaps, address: a}", "not usable YAML: KeyError"),
        ("- {name: !!timestamp now, address: a}", "not usable YAML: AttributeError"),
        ("- {name: a, address: a}\n---\n- {}", "not usable YAML"),
        ("a\x00b", "not usable YAML"),
    ],
)
def test_a_yaml_mistake_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = write(tmp_path / "hosts.yaml", content)
    with pytest.raises(InventoryFileError) as caught:
        read_hosts(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "names no host"),
        ("name,address\n", "names no host"),
        ("name,adress\na,b\n", "line 1: unknown field 'adress'; did you mean 'address'?"),
        ("name,,address\na,b,c\n", "line 1: unknown field ''"),
        ("name,name\na,b\n", "line 1: the column 'name' stands there twice"),
        ("name,address\na,b,c\n", "line 2: 3 cells, the header has 2"),
        ("name,address\n\na\n", "line 3: address is missing"),
        ("name,address\na,b\na,c\n", "line 3: the name of 'a' stands at"),
        ('name,address\n"a,b\n', "not CSV"),
        ("name,address\n" + "a" * 200_000 + ",b\n", "not CSV: field larger than field limit"),
        ("name,address,port\na,b,-1\n", "line 2: port '-1' is not"),
        ("name,address\na\0,b\n", "NUL"),
    ],
)
def test_a_csv_mistake_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = write(tmp_path / "hosts.csv", content)
    with pytest.raises(InventoryFileError) as caught:
        read_hosts(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["hosts.yaml", "hosts.csv"])
def test_a_file_that_is_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(InventoryFileError, match="cannot read the hosts file"):
        read_hosts(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(InventoryFileError, match="cannot read the hosts file"):
        read_hosts(tmp_path / name)


def test_other_encodings_are_named_by_line(tmp_path: Path) -> None:
    path = write(tmp_path / "hosts.csv", "name,address\nbüro,b\n".encode("latin-1"))
    with pytest.raises(InventoryFileError, match="line 2: not UTF-8; save the file as UTF-8"):
        read_hosts(path)


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yaml"
    with path.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(InventoryFileError, match="larger than 16 MB"):
        read_hosts(path)


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    text = '- {name: "<script>$(id);`id`{{7*7}}=cmd", address: a, user: "-oProxyCommand=id; rm -rf /"}'
    (machine,) = read_hosts(write(tmp_path / "hosts.yaml", text))
    assert machine.name == "<script>$(id);`id`{{7*7}}=cmd"
    assert machine.connection == Connection("a", user="-oProxyCommand=id; rm -rf /")


@given(st.binary(max_size=300), st.sampled_from(["hosts.yaml", "hosts.csv"]))
def test_any_bytes_are_a_file_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = write(tmp_path_factory.mktemp("any") / name, content)
    with contextlib.suppress(InventoryFileError):
        assert read_hosts(path)


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


@given(st.lists(words, min_size=1, max_size=5, unique_by=str.lower), words)
def test_both_forms_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], value: str
) -> None:
    folder = tmp_path_factory.mktemp("both")
    hosts = [{"name": name, "address": "10.0.0.1", "tags": {"k": value}} for name in names]
    table = io.StringIO()
    csv.writer(table).writerows(
        [["name", "address", "tags"], *([name, "10.0.0.1", f"k={value}"] for name in names)]
    )
    one = read_hosts(write(folder / "hosts.yaml", yaml.safe_dump(hosts, allow_unicode=True)))
    assert one == read_hosts(write(folder / "hosts.csv", table.getvalue()))
    assert [machine.name for machine in one] == names
