"""The Linux probe run for real: in every shell there is, and against a network that plays along or not."""

import getpass
import json
import os
import platform
import shutil
import socket
import time
from pathlib import Path
from types import MappingProxyType

import pytest
import trustme

from auditor.facts import Attempt, Disk, GuestAgent, Unseen
from auditor.rules import Endpoint
from tests.conftest import require_lane
from tests.probe.conftest import Box, Stubbed, run_probe

VM_ID = "5b1ca0de-0000-4000-8000-00000000a001"
IMDS_BODY = json.dumps(
    {"name": "web-1", "tags": 'a:"vmId":"00000000-bad"', "vmId": VM_ID, "resourceId": "/subscriptions/s"},
    separators=(",", ":"),
)
WIRE = ("wire,168.63.129.16,80", "wire,168.63.129.16,32526")
IMDS = f"imds,169.254.169.254,80,{IMDS_BODY}"
ADDRESSES = ("ip addr add 168.63.129.16/32 dev lo", "ip addr add 169.254.169.254/32 dev lo")
BLACK_HOLE = ("ip route add 168.63.129.16/32 dev lo", "ip route add 169.254.169.254/32 dev lo")

SHELLS = MappingProxyType(
    {
        "sh": ("sh", "-s"),
        "dash": ("dash", "-s"),
        "bash": ("bash", "--posix", "-s"),
        "bash-as-it-is": ("bash", "-s"),
        "busybox": ("busybox", "sh", "-s"),
        "ksh": ("ksh", "-s"),
    }
)


def stages(attempts: tuple[Attempt, ...] | Unseen) -> list[str]:
    assert not isinstance(attempts, Unseen), attempts
    return [attempt.stage for attempt in attempts]


# ---- this machine --------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_this_machine_in_every_shell(shell: str) -> None:
    command = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed here")
    answer = run_probe(command, endpoints=[Endpoint("localhost", 9, False, "")])
    guest = answer.guest
    assert guest.kernel == platform.release()
    assert guest.architecture == platform.machine()
    assert guest.hostname == socket.gethostname()
    assert guest.os_name == platform.freedesktop_os_release()["NAME"]
    assert guest.os_version == platform.freedesktop_os_release().get("VERSION_ID")
    assert answer.json["user"] == getpass.getuser()
    assert isinstance(guest.disk, Disk)
    assert guest.disk.total == pytest.approx(shutil.disk_usage("/var/lib").total, rel=0.01)
    assert guest.clock is not None
    assert abs(guest.clock.timestamp() - time.time()) < 60
    assert stages(guest.endpoints) == ["tcp"]
    assert answer.seconds < 15
    assert answer.output.count(b"\n") == 2


def test_it_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    run_probe(["sh", "-s"], environment=environment)
    assert list(tmp_path.iterdir()) == []


# ---- a network of its own -------------------------------------------------------------------------


@pytest.fixture
def internet(tmp_path: Path) -> tuple[list[str], list[Endpoint], dict[str, str]]:
    """Two TLS servers (one trusted), what to ask, and the environment that trusts the first."""
    right, wrong = trustme.CA(), trustme.CA()
    right.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, authority in (("right", right), ("wrong", wrong)):
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
    servers = [f"tls,127.0.0.1,{port},{tmp_path / name}" for port, name in ((4431, "right"), (4432, "wrong"))]
    endpoints = [
        Endpoint("localhost", 4431, True, "good"),
        Endpoint("localhost", 4432, True, "not trusted"),
        Endpoint("localhost", 4433, True, "refused"),
        Endpoint("no-such-name.invalid", 443, True, "no name"),
        Endpoint("127.0.0.1", 4431, False, "TCP"),
        Endpoint("127.0.0.1", 4433, False, "TCP refused"),
    ]
    trust = str(tmp_path / "ca.pem")
    return servers, endpoints, {"SSL_CERT_FILE": trust, "CURL_CA_BUNDLE": trust}


Internet = tuple[list[str], list[Endpoint], dict[str, str]]
TOOLS = {"curl": (), "python3": ("curl",), "openssl, wget and bash": ("curl", "python3")}


@pytest.mark.parametrize("hidden", TOOLS.values(), ids=TOOLS)
def test_azure_and_the_internet(box: Box, internet: Internet, hidden: tuple[str, ...]) -> None:
    servers, endpoints, trust = internet
    if "python3" in hidden and not (shutil.which("wget") and shutil.which("openssl")):
        pytest.skip("wget and openssl are not installed here")
    answer = box.probe(*WIRE, IMDS, *servers, setup=ADDRESSES, hidden=hidden, endpoints=endpoints, **trust)
    guest = answer.guest
    assert guest.privileged
    assert stages(guest.wire_server) == ["ok", "ok"]
    assert isinstance(guest.imds, Attempt)
    assert guest.imds.ok
    assert guest.vm_id == VM_ID
    assert stages(guest.endpoints) == ["ok", "tls", "tcp", "dns", "ok", "tcp"]
    assert [attempt.target for attempt in guest.endpoints][:2] == ["localhost:4431", "localhost:4432"]  # type: ignore[union-attr]


def test_nothing_to_ask_with(box: Box, internet: Internet) -> None:
    servers, endpoints, trust = internet
    hidden = ("curl", "python3", "wget", "openssl", "bash")
    answer = box.probe(*WIRE, *servers, setup=ADDRESSES, hidden=hidden, endpoints=endpoints, **trust)
    for fact in (answer.guest.wire_server, answer.guest.imds, answer.guest.endpoints):
        assert isinstance(fact, Unseen)
        assert "no tool on the guest can try" in fact.reason


@pytest.mark.parametrize("hidden", [(), ("curl",)], ids=["curl", "python3"])
def test_black_holes_cost_no_more_than_their_limit(box: Box, hidden: tuple[str, ...]) -> None:
    endpoints = [Endpoint("168.63.129.16", 443, True, ""), Endpoint("169.254.169.254", 25, False, "")]
    answer = box.probe(setup=BLACK_HOLE, hidden=hidden, endpoints=endpoints)
    assert stages(answer.guest.wire_server) == ["tcp", "tcp"]
    assert isinstance(answer.guest.imds, Attempt)
    assert answer.guest.imds.stage == "tcp"
    assert isinstance(answer.guest.vm_id, Unseen)
    assert stages(answer.guest.endpoints) == ["tcp", "tcp"]
    assert answer.seconds < 15


@pytest.mark.parametrize("hidden", [(), ("curl",)], ids=["curl", "python3"])
def test_names_that_nobody_resolves_are_a_fault_of_dns(
    box: Box, tmp_path: Path, hidden: tuple[str, ...]
) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 168.63.129.16\n")
    setup = (*BLACK_HOLE, f"mount --bind {tmp_path / 'resolv.conf'} /etc/resolv.conf")
    answer = box.probe(setup=setup, hidden=hidden, endpoints=[Endpoint("a.example", 443, True, "")])
    assert stages(answer.guest.endpoints) == ["dns"]
    assert answer.seconds < 15


def test_no_network_at_all(box: Box) -> None:
    answer = box.probe(endpoints=[Endpoint("a.example", 443, True, "")])
    assert stages(answer.guest.wire_server) == ["tcp", "tcp"]
    assert stages(answer.guest.endpoints) == ["dns"]


@pytest.mark.parametrize("hidden", [(), ("curl",)], ids=["curl", "python3"])
def test_a_wire_server_that_answers_wrongly(box: Box, hidden: tuple[str, ...]) -> None:
    azure = ("wire,168.63.129.16,80,503", "mute,168.63.129.16,32526", "mute,169.254.169.254,80")
    answer = box.probe(*azure, setup=ADDRESSES, hidden=hidden)
    assert stages(answer.guest.wire_server) == ["http", "ok"]
    assert isinstance(answer.guest.wire_server, tuple)
    assert answer.guest.wire_server[0].detail.startswith("HTTP 503")
    assert isinstance(answer.guest.imds, Attempt)
    assert not answer.guest.imds.ok


@pytest.mark.parametrize("hidden", [(), ("curl",)], ids=["curl", "python3"])
def test_a_proxy_is_for_the_internet_only(
    box: Box, internet: Internet, tmp_path: Path, hidden: tuple[str, ...]
) -> None:
    servers, endpoints, trust = internet
    log = tmp_path / "proxy.log"
    answer = box.probe(
        *WIRE,
        IMDS,
        *servers,
        f"proxy,127.0.0.1,3128,{log}",
        setup=ADDRESSES,
        hidden=hidden,
        endpoints=[endpoints[0], endpoints[1], endpoints[3]],
        http_proxy="http://127.0.0.1:9",
        https_proxy="http://canary:s3cret@127.0.0.1:3128",
        **trust,
    )
    guest = answer.guest
    assert stages(guest.wire_server) == ["ok", "ok"]
    assert guest.vm_id == VM_ID
    assert stages(guest.endpoints) == ["ok", "tls", "http"]
    assert all("through the proxy http://***@127.0.0.1:3128" in text for text in details(guest.endpoints))
    assert "CONNECT no-such-name.invalid:443" in log.read_text()
    assert "168.63" not in log.read_text()
    assert ("environment https_proxy", "http://***@127.0.0.1:3128") in (guest.proxies or ())  # type: ignore[operator]
    assert b"s3cret" not in answer.output
    assert b"canary" not in answer.output


@pytest.mark.parametrize("login", ["us er:s3cret", "canary:s3#cret", "canary:s3/cret", "canary:'s3cret"])
def test_a_proxy_that_nobody_understands_stays_secret(
    box: Box, internet: Internet, tmp_path: Path, login: str
) -> None:
    servers, endpoints, trust = internet
    proxy = f"http://{login}@127.0.0.1:99999"
    answer = box.probe(*servers, setup=ADDRESSES, endpoints=endpoints[:1], https_proxy=proxy, **trust)
    (told,) = details(answer.guest.endpoints)
    assert stages(answer.guest.endpoints) == ["http"]
    assert "***@127.0.0.1:99999" in told
    for word in ("s3", "cret", "canary"):
        assert word.encode() not in answer.output


def details(attempts: tuple[Attempt, ...] | Unseen) -> list[str]:
    assert not isinstance(attempts, Unseen)
    return [attempt.detail for attempt in attempts]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_somebody_without_rights() -> None:
    require_lane("setpriv", shutil.which("setpriv") is not None)
    answer = run_probe(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-s"])
    assert answer.json["user"] == "nobody"
    assert answer.guest.privileged is False
    assert answer.guest.agent is None or isinstance(answer.guest.agent, GuestAgent)


# ---- stand-ins: the reading is tried here, not what the real programs print -------------------------

VERSIONS = (
    "echo WALinuxAgent-2.7.3.0 running on debian 12; echo Python: 3.11.2; echo Goal state agent: 2.15.0.1"
)
SHOWN = "Extensions.Enabled = {}\nAutoUpdate.Enabled = {}\n"
SYSTEMD = """case "$*" in
*Environment*) echo "Environment=A=b \\"https_proxy=http://u:s3cret@proxy:3128\\""; exit;;
esac
printf 'Id=walinuxagent.service\\nLoadState={}\\nActiveState={}\\nUnitFileState={}\\n\\n'
printf 'Id=waagent.service\\nLoadState=not-found\\nActiveState=inactive\\nUnitFileState=\\n'"""
DPKG = """case $1 in -S) echo "waagent: $2";; *) echo 'waagent 2.7.3.0-4.1 install ok installed';; esac"""


def agent(shown: str = "", versions: str = VERSIONS) -> str:
    return f"case $1 in --version) {versions};; *) printf '{shown}';; esac"


def test_a_healthy_agent(stubbed: Stubbed) -> None:
    answer = stubbed(
        waagent=agent(SHOWN.format("True", "True")),
        systemctl=SYSTEMD.format("loaded", "active", "enabled"),
        dpkg_query=DPKG,
        lib=["Microsoft.Azure.RecoveryServices.VMSnapshotLinux-1.0.9220.0", "WALinuxAgent-2.15.0.1"],
    )
    guest = answer.guest
    assert isinstance(guest.agent, GuestAgent)
    assert guest.agent.path is not None
    assert guest.agent.path.endswith("/stubs/waagent")
    assert guest.agent == GuestAgent(
        guest.agent.path,
        "2.7.3.0",
        "2.15.0.1",
        "waagent",
        "2.7.3.0-4.1",
        "walinuxagent",
        "active",
        "enabled",
        origin="package",
    )
    assert guest.extensions_enabled is True
    assert guest.auto_update is True
    assert guest.snapshot_extension == ("1.0.9220.0",)
    assert isinstance(guest.proxies, tuple)
    assert ("unit https_proxy", "http://***@proxy:3128") in guest.proxies
    assert b"s3cret" not in answer.output


def test_a_masked_unit(stubbed: Stubbed) -> None:
    answer = stubbed(waagent=agent(), systemctl=SYSTEMD.format("masked", "inactive", "masked"))
    assert isinstance(answer.guest.agent, GuestAgent)
    assert (answer.guest.agent.active, answer.guest.agent.enabled) == ("inactive", "masked")
    assert answer.json["agent"]["load"] == "masked"


BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.getuid() == 0 else ()
SOMEBODY = {
    "id": "case $1 in -u) echo 1000;; *) echo azops;; esac",
    "sudo": "echo 'a password is required'; exit 1",
}


def test_defaults_shown_for_an_unreadable_configuration_are_not_believed(stubbed: Stubbed) -> None:
    (stubbed.top / "etc").mkdir()
    (stubbed.top / "etc/waagent.conf").write_text("Extensions.Enabled=n\n")
    (stubbed.top / "etc/waagent.conf").chmod(0)
    shows = agent(SHOWN.format("True", "True"))
    found = stubbed(shell=(*BOUND, "sh", "-s"), waagent=shows, **SOMEBODY).guest
    for fact in (found.extensions_enabled, found.auto_update):
        assert isinstance(fact, Unseen)
        assert "waagent.conf is not readable by azops" in fact.reason


def test_an_agent_that_somebody_may_not_read_is_not_damaged(stubbed: Stubbed) -> None:
    (stubbed.stubs / "waagent").write_text("#!/bin/sh\n")
    (stubbed.stubs / "waagent").chmod(0)
    found = stubbed(shell=(*BOUND, "sh", "-s"), **SOMEBODY).guest
    assert isinstance(found.agent, GuestAgent)
    assert found.agent.timed_out
    assert "is not readable by azops: sudo wants a password" in (found.agent.problem or "")


@pytest.mark.parametrize(
    ("processes", "active"), [("exit 1", "not-found"), ("echo 812", None)], ids=["idle", "runs"]
)
def test_an_agent_without_a_unit(stubbed: Stubbed, processes: str, active: str | None) -> None:
    found = stubbed(
        waagent=agent(), systemctl=SYSTEMD.format("not-found", "inactive", ""), pgrep=processes
    ).guest.agent
    assert isinstance(found, GuestAgent)
    assert (found.unit, found.active) == (None, active)


def test_a_package_without_its_binary(stubbed: Stubbed) -> None:
    guest = stubbed(dpkg_query="echo 'waagent 2.7.3.0-4.1 install ok installed'").guest
    assert guest.agent == GuestAgent(None, None, None, "waagent", "2.7.3.0-4.1")


@pytest.mark.parametrize("status", ["deinstall ok config-files", "unknown ok not-installed"])
def test_a_removed_package_is_no_agent(stubbed: Stubbed, status: str) -> None:
    guest = stubbed(dpkg_query=f"echo 'waagent 2.7.3.0-4.1 {status}'").guest
    assert guest.agent is None
    assert guest.extensions_enabled is None


def test_a_copy_that_no_package_owns(stubbed: Stubbed) -> None:
    dpkg = "case $1 in -S) exit 1;; *) echo 'waagent 2.7.3.0-4.1 install ok installed';; esac"
    guest = stubbed(waagent=agent(), dpkg_query=dpkg).guest
    assert isinstance(guest.agent, GuestAgent)
    assert guest.agent.daemon_version == "2.7.3.0"
    assert guest.agent.package is None
    assert guest.agent.origin == "source"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("echo Traceback; echo 'ModuleNotFoundError: azurelinuxagent' >&2; exit 1", "ModuleNotFoundError"),
        ("kill -11 $$", "gave no version"),
        ("sleep 60", "gave no version"),
        ("yes", "gave no version: y"),
        ("printf '\\377\\000\\033\"\\\\'", "gave no version"),
    ],
    ids=["broken-python", "crash", "hang", "endless", "bytes"],
)
def test_an_agent_that_prints_no_version(stubbed: Stubbed, body: str, problem: str) -> None:
    answer = stubbed(waagent=body)
    assert isinstance(answer.guest.agent, GuestAgent)
    assert answer.guest.agent.daemon_version is None
    assert problem in (answer.guest.agent.problem or "")
    assert answer.guest.agent.timed_out is (body == "sleep 60")
    assert answer.seconds < 15


def test_a_damaged_agent_is_not_run(stubbed: Stubbed, tmp_path: Path) -> None:
    answer = stubbed(waagent="", config="")
    assert "gave no version" in str(answer.guest.agent)
    (tmp_path / "stubs" / "waagent").write_text(f"touch {tmp_path}/ran\n")
    answer = run_probe(["sh", "-s"], answer.script)
    assert isinstance(answer.guest.agent, GuestAgent)
    assert "does not begin like a script" in (answer.guest.agent.problem or "")
    assert answer.guest.extensions_enabled is True
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("config", "shown", "extensions", "update"),
    [
        ("", None, True, True),
        ("Extensions.Enabled=n\n", None, False, True),
        ("  Extensions.Enabled = N  # why\n", None, False, True),
        ('Extensions.Enabled="n"\n', None, False, True),
        ("# Extensions.Enabled=n\n", None, True, True),
        ("Extensions.Enabled=no\n", None, True, True),
        ("Extensions.Enabled=n\nExtensions.Enabled=y\n", None, True, True),
        ("AutoUpdate.Enabled=n\n", None, True, False),
        ("AutoUpdate.Enabled=n\nAutoUpdate.UpdateToLatestVersion=y\n", None, True, True),
        ("AutoUpdate.Enabled=y\nAutoUpdate.UpdateToLatestVersion=n\n", None, True, False),
        ("Extensions.Enabled=y\n", SHOWN.format("False", "False"), False, False),
        ("AutoUpdate.UpdateToLatestVersion=n\n", SHOWN.format("True", "True"), True, True),
        (
            "AutoUpdate.UpdateToLatestVersion=n\n",
            SHOWN.format("True", "True") + "AutoUpdate.UpdateToLatestVersion = False\n",
            True,
            False,
        ),
        (
            "AutoUpdate.Enabled=n\n",
            SHOWN.format("True", "False") + "AutoUpdate.UpdateToLatestVersion = True\n",
            True,
            False,
        ),
    ],
)
def test_switches_as_the_agent_reads_them(
    stubbed: Stubbed, config: str, shown: str | None, extensions: bool, update: bool
) -> None:
    guest = stubbed(config=config, waagent=agent((shown or "").replace("\n", "\\n"))).guest
    assert guest.extensions_enabled is extensions
    assert guest.auto_update is update


def test_the_proxy_of_the_agent_itself(stubbed: Stubbed) -> None:
    config = "HttpProxy.Host=canary:s3cret@proxy\nHttpProxy.Port=None\n#HttpProxy.Port=1\n"
    answer = stubbed(config=config, waagent=agent())
    assert isinstance(answer.guest.proxies, tuple)
    assert [pair for pair in answer.guest.proxies if "waagent" in pair[0]] == [
        ("waagent.conf HttpProxy.Host", "***@proxy")
    ]
    assert b"s3cret" not in answer.output


def test_hostile_bytes_stay_words(stubbed: Stubbed) -> None:
    hostile = """printf 'WALinuxAgent-<script>"};{{7*7}}\\\\\\000\\033\\377$(id) running on x\\n'"""
    answer = stubbed(waagent=agent(versions=hostile))
    assert isinstance(answer.guest.agent, GuestAgent)
    assert answer.guest.agent.daemon_version is not None
    assert answer.guest.agent.daemon_version.startswith('<script>"};{{7*7}}\\')
    assert answer.guest.agent.daemon_version.isprintable()
    assert answer.guest.hostname == socket.gethostname()


def test_sudo_is_asked_once_without_a_question(stubbed: Stubbed, tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root needs no sudo")
    answer = stubbed(sudo=f'echo "$*" >> {tmp_path}/sudo.log; shift; exec "$@"', lib=["x"])
    assert answer.guest.privileged is True
    assert (tmp_path / "sudo.log").read_text().splitlines()[0] == "-n true"
