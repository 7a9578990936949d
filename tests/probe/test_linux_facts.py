"""What the Linux probe reads from files and small programs: interpreter, packages, mounts, rights, ways."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from auditor.facts import (
    Disk,
    Freeze,
    Guest,
    GuestAgent,
    Interface,
    LogTail,
    Mount,
    Package,
    Python,
    Unseen,
)
from tests.probe.conftest import Stubbed

SHELLS = (("sh", "-s"), ("dash", "-s"), ("bash", "-s"), ("busybox", "sh", "-s"), ("ksh", "-s"))
BOARD = "sys/class/dmi/id/product_uuid"
MOUNTS, VMBACKUP = "proc/self/mounts", "etc/azure/vmbackup.conf"
LOG = "var/log/azure/Microsoft.Azure.RecoveryServices.VMSnapshotLinux/extension.log"
LISTS = "var/lib/apt/lists/deb.example_dists_stable_main_binary-amd64_Packages"
SOMEBODY = MappingProxyType({"id": "case $1 in -u) echo 1000;; *) echo azops;; esac"})
NO_SUDO = MappingProxyType({**SOMEBODY, "sudo": "echo 'sudo: a password is required' >&2; exit 1"})

ROUTE = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth1 00000000 0100000A 0003 0 0 200 00000000 0 0 0
eth0 00000000 0100000A 0003 0 0 100 00000000 0 0 0
"""
WHOLE: Mapping[str, str] = {
    "etc/os-release": 'NAME="Ubuntu"\nVERSION_ID="22.04"\n',
    BOARD: "5B1CA0DE-0000-4000-8000-00000000A001\n",
    MOUNTS: (
        "proc /proc proc rw 0 0\n/dev/sda1 / ext4 rw,noexec 0 0\n/dev/sdb1 /srv/a\\040b\\134 ext4 rw 0 0\n"
        "/dev/loop3 /snap/x squashfs ro 0 0\nnas:/vol /mnt/nas nfs4 rw 0 0\n//nas/x /mnt/x cifs rw 0 0\n"
        "tmpfs /run tmpfs rw 0 0\nlxcfs /var/lib/lxcfs fuse.lxcfs rw 0 0\nme@h: /mnt/s fuse.sshfs rw 0 0\n"
    ),
    VMBACKUP: "# ours\n[SnapshotThread]\nfsfreeze: True\r\nMountsToSkip = /mnt/nas,/mnt/x\n[Other]\nkey=1\n",
    LOG: 'ok\nit failed https://a.blob.example/x.vhd?sv=2020&sig=c4n4ry%3D done\nfine\nError "2"\\\n',
    LISTS: "Package: waagent-x\nVersion: 9\n\nPackage: walinuxagent\nSize: 1\nVersion: 2.2.46-0ubuntu5.1\n",
    "proc/net/route": ROUTE,
    "sys/class/net/eth0/flags": "0x1003\n",
    "sys/class/net/eth0/device/vendor": "",
    "sys/class/net/eth1/flags": "0x1003\n",
    "sys/class/net/eth1/device/vendor": "",
    "sys/class/net/down0/flags": "0x1002\n",
    "sys/class/net/down0/device/vendor": "",
    "sys/class/net/vf0/flags": "0x1803\n",
    "sys/class/net/vf0/device/vendor": "",
    "sys/class/net/vf0/master/x": "",
    "sys/class/net/docker0/flags": "0x1003\n",
}
IP = r"""echo '2: eth0    inet 10.0.0.4/24 metric 100 scope global dynamic eth0\  valid_lft 1sec'
echo '3: eth1    inet 10.0.1.5/24 scope global eth1\  valid_lft forever'
echo '3: eth1    inet 10.0.1.6/24 scope global secondary eth1\  valid_lft forever'
"""
ALL = ("os", "clock", "firmware", "disk", "mounts", "vmbackup", "snapshot_log", "interfaces", "installable")


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_whole_guest_in_every_shell(stubbed: Stubbed, shell: tuple[str, ...]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed here")
    answer = stubbed(tree=WHOLE, only=ALL, shell=shell, ip=IP, apt_get="", df="echo; echo x 100 1 50 1% /")
    guest = answer.guest
    assert (guest.os_name, guest.os_version, guest.bits) == ("Ubuntu", "22.04", 64)
    assert guest.firmware_id == "5b1ca0de-0000-4000-8000-00000000a001"
    assert guest.disk == Disk(f"{stubbed.top}/var/lib/waagent", 50 * 1024, 100 * 1024, noexec=True)
    assert guest.freeze == Freeze(
        (
            Mount("/", "ext4", "/dev/sda1"),
            Mount("/srv/a b\\", "ext4", "/dev/sdb1"),
            Mount("/mnt/nas", "nfs4", "nas:/vol"),
            Mount("/mnt/x", "cifs", "//nas/x"),
            Mount("/mnt/s", "fuse.sshfs", "me@h:"),
        ),
        (("fsfreeze", "True"), ("MountsToSkip", "/mnt/nas,/mnt/x")),
    )
    assert isinstance(guest.snapshot_log, LogTail)
    assert guest.snapshot_log.lines == (
        "it failed https://a.blob.example/x.vhd?*** done",
        'Error "2"\\',
    )
    assert guest.snapshot_log.changed_at is not None
    assert abs((guest.snapshot_log.changed_at - datetime.now(UTC)).total_seconds()) < 300
    assert b"c4n4ry" not in answer.output
    assert guest.interfaces == (
        Interface("eth0", True, ("10.0.0.4/24",), "an address that expires"),
        Interface("eth1", None, ("10.0.1.5/24", "10.0.1.6/24"), ""),
    )
    assert guest.installable == Package("apt", "walinuxagent", "2.2.46-0ubuntu5.1")
    assert guest.clock is not None


# ---- rights --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sudo", "problem"),
    [
        ("echo 'sudo: a password is required' >&2; exit 1", "sudo wants a password of azops"),
        ("echo 'azops is not in the sudoers file.' >&2; exit 1", "azops may not use sudo"),
        ("echo 'Sorry, user azops may not run sudo on x.' >&2; exit 1", "azops may not use sudo"),
        ("echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1", "sudo wants a terminal"),
        ("echo 'unable to \"x\"'; exit 1", 'sudo does not work: unable to "x"'),
        ("sleep 20", "sudo gave no answer"),
    ],
)
def test_why_there_are_no_rights(stubbed: Stubbed, sudo: str, problem: str) -> None:
    answer = stubbed(only=("firewall",), id=SOMEBODY["id"], sudo=sudo)
    assert answer.guest.privileged is False
    assert answer.json["privilege_problem"].startswith(problem)
    assert isinstance(answer.guest.firewall, Unseen)
    assert answer.guest.firewall.reason.startswith(f"the firewall is not readable by azops: {problem}")


def test_sudo_that_works_makes_root_of_somebody(stubbed: Stubbed) -> None:
    log = stubbed.top / "log"
    sudo = f'echo "$*" >> {log}; shift; exec "$@"'
    answer = stubbed(tree=WHOLE, only=("firmware",), id=SOMEBODY["id"], sudo=sudo)
    assert answer.guest.privileged is True
    assert log.read_text().splitlines() == ["-n true", f"-n cat {stubbed.top}/{BOARD}"]
    assert isinstance(answer.guest.firmware_id, str)


def test_what_only_root_may_read_is_unseen(stubbed: Stubbed) -> None:
    hidden = "case $* in *product_uuid*|*waagent.conf*|*extension.log*|*vmbackup*) exit 1;; esac; "
    programs = {name: f'{hidden} exec /usr/bin/{name} "$@"' for name in ("cat", "head", "tail")}
    guest = stubbed(
        tree=WHOLE,
        config="",
        only=("firmware", "configuration", "snapshot_log", "vmbackup", "mounts"),
        **NO_SUDO,
        **programs,
    ).guest
    for fact in (
        guest.firmware_id,
        guest.extensions_enabled,
        guest.auto_update,
        guest.snapshot_log,
        guest.freeze,
    ):
        assert isinstance(fact, Unseen), fact
        assert " is not readable by azops" in fact.reason


def test_what_is_not_there_is_absent(stubbed: Stubbed) -> None:
    tree = {"proc/net/route": "", "sys/x": "", MOUNTS: "", "etc/x": "", "var/x": ""}
    only = ("firmware", "snapshot_log", "vmbackup", "mounts", "interfaces", "configuration")
    guest = stubbed(tree=tree, only=only).guest
    assert guest.firmware_id is None
    assert guest.snapshot_log is None
    assert guest.freeze == Freeze((), None)
    assert guest.interfaces == ()
    assert guest.extensions_enabled is None


# ---- the interpreter -----------------------------------------------------------------------------

WORKS = "case $* in --version) echo Python 3.11.2;; *azurelinuxagent*) exit 0;; esac"
FAILS = "case $* in --version) echo Python 2.7.5 >&2;; *) echo 'ImportError: No module' >&2; exit 1;; esac"
DIES = "case $* in --version) echo Python 3.6.8;; *) kill -11 $$;; esac"
HANGS = "case $* in --version) echo Python 3.6.8;; *) sleep 30;; esac"


def python_of(stubbed: Stubbed, shebang: str, unit: str = "", **programs: str) -> Guest:
    agent = f"{shebang}\nexit 0\n"
    (stubbed.stubs / "waagent").write_text(agent.format(stubs=stubbed.stubs))
    show = f"""case "$*" in *ExecStart*) printf '{unit}\\n'; esac""".format(stubs=stubbed.stubs)
    return stubbed(only=("python",), systemctl=show, **programs).guest


@pytest.mark.parametrize(
    ("shebang", "unit", "path"),
    [
        ("#!{stubs}/ourpython -u", "", "{stubs}/ourpython"),
        ("#! {stubs}/ourpython", "ExecStart={{ path=/usr/sbin/waagent ; argv[]=x ; }}", "{stubs}/ourpython"),
        ("#!/usr/bin/env ourpython", "", "{stubs}/ourpython"),
        ("#!/bin/sh", "ExecStart={{ path={stubs}/ourpython ; argv[]=x -u ; }}", "{stubs}/ourpython"),
    ],
)
def test_the_interpreter_that_starts_the_agent(stubbed: Stubbed, shebang: str, unit: str, path: str) -> None:
    guest = python_of(stubbed, shebang, unit, ourpython=WORKS)
    assert guest.python == Python(path.format(stubs=stubbed.stubs), "3.11.2", True)


@pytest.mark.parametrize(
    ("body", "version", "imports", "problem"),
    [
        (FAILS, "2.7.5", False, "ImportError: No module"),
        (HANGS, "3.6.8", None, "gave no answer when asked to import"),
        (DIES, "3.6.8", False, "it died when asked to import azurelinuxagent (exit status 139)"),
        ("exit 127", None, None, "it is missing or broken"),
        ("kill -11 $$", None, None, "it is missing or broken"),
    ],
)
def test_an_interpreter_that_does_not_work(
    stubbed: Stubbed, body: str, version: str | None, imports: bool | None, problem: str
) -> None:
    python = python_of(stubbed, "#!{stubs}/ourpython", ourpython=body).python
    assert isinstance(python, Python)
    assert (python.version, python.imports_agent) == (version, imports)
    assert problem in (python.problem or "")


def test_an_interpreter_that_is_slow_is_not_broken(stubbed: Stubbed) -> None:
    python = python_of(stubbed, "#!{stubs}/ourpython", ourpython="sleep 30").python
    assert python == Unseen(f"{stubbed.stubs}/ourpython gave no version within 3 s")


def test_an_interpreter_that_is_gone(stubbed: Stubbed) -> None:
    python = python_of(stubbed, "#!/usr/bin/python9.9").python
    assert isinstance(python, Python)
    assert python.path == "/usr/bin/python9.9"
    assert "missing or broken" in (python.problem or "")


def test_an_import_that_failed_without_root_proves_nothing(stubbed: Stubbed) -> None:
    python = python_of(stubbed, "#!{stubs}/ourpython", ourpython=FAILS, **NO_SUDO).python
    assert isinstance(python, Unseen)
    assert "not tried as root (sudo wants a password" in python.reason


def test_no_agent_and_the_python_it_would_use(stubbed: Stubbed) -> None:
    assert stubbed(only=("python",), python3=WORKS).guest.python == Python(
        f"{stubbed.stubs}/python3", "3.11.2"
    )


# ---- the package ---------------------------------------------------------------------------------

VERSION = "echo WALinuxAgent-2.7.0.6 running on x"


@pytest.mark.parametrize(
    ("programs", "package", "version", "origin"),
    [
        ({"dpkg_query": "case $1 in -S) exit 1;; *) exit 1;; esac"}, None, None, "source"),
        ({"dpkg_query": "kill -9 $$"}, None, None, None),
        ({"rpm": "echo WALinuxAgent 2.7.0.6-8.el8"}, "WALinuxAgent", "2.7.0.6-8.el8", "package"),
        ({"rpm": "echo 'file x is not owned by any package'; exit 1"}, None, None, "source"),
    ],
)
def test_who_owns_the_agent(
    stubbed: Stubbed, programs: dict[str, str], package: str | None, version: str | None, origin: str | None
) -> None:
    without = ("dpkg-query",) if "rpm" in programs else ()
    guest = stubbed(only=("agent",), without=without, waagent=VERSION, **programs).guest
    agent = guest.agent
    assert isinstance(agent, GuestAgent)
    assert (agent.package, agent.package_version, agent.origin) == (package, version, origin)


DNF = "Available Packages\nWALinuxAgent.noarch   2.7.0.6-8.el8_6   appstream"
ZYPPER = "S | Name | Type | Version | Arch\n--+--\n  | python-azure-agent | package | 2.9.1.1-1 | noarch"


@pytest.mark.parametrize(
    ("manager", "body", "found"),
    [
        ("dnf", f"echo '{DNF}'", Package("dnf", "WALinuxAgent", "2.7.0.6-8.el8_6")),
        ("yum", f"echo '{DNF}'", Package("yum", "WALinuxAgent", "2.7.0.6-8.el8_6")),
        (
            "tdnf",
            "echo 'WALinuxAgent.x86_64 2.11.1.4-1.azl3 base'",
            Package("tdnf", "WALinuxAgent", "2.11.1.4-1.azl3"),
        ),
        ("zypper", f"printf '%s\\n' '{ZYPPER}'", Package("zypper", "python-azure-agent", "2.9.1.1-1")),
        ("dnf", "echo 'Error: No matching Packages to list' >&2; exit 1", None),
        ("zypper", "echo 'No matching items found.'; exit 104", None),
        ("dnf", "echo 'Error: Cache-only enabled but no cache for x' >&2; exit 1", "dnf has no cached lists"),
        ("dnf", "echo oops; exit 3", "dnf could not tell: oops"),
    ],
)
def test_what_the_package_manager_would_install(
    stubbed: Stubbed, manager: str, body: str, found: Package | str | None
) -> None:
    others = {"apt-get", "tdnf", "dnf", "yum", "zypper"} - {manager}
    guest = stubbed(only=("installable",), without=others, **{manager: body}).guest
    installable = guest.installable
    assert installable == (Unseen(found) if isinstance(found, str) else found)


@pytest.mark.parametrize(
    ("lists", "found"),
    [
        ({}, Unseen("apt has no package lists: apt-get update was never run")),
        ({LISTS: "Package: other\nVersion: 1\n"}, None),
        ({LISTS: "Package: waagent\nVersion: 2.9\n", f"{LISTS}2": "Package: waagent\nVersion: 2.12~rc1\n"},
         Package("apt", "waagent", "2.12~rc1")),
        ({LISTS: 'Package: waagent\nVersion: 1"$(id)\n'}, Package("apt", "waagent", '1"$(id)')),
    ],
)  # fmt: skip
def test_what_the_lists_of_apt_hold(stubbed: Stubbed, lists: dict[str, str], found: Any) -> None:
    assert stubbed(tree=lists, only=("installable",), apt_get="").guest.installable == found


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("", Unseen("the package lists of apt could not be read to their end (exit status 124)")),
        ("printf 'Package: waagent\\nVersion: 2.9\\n'; ", Package("apt", "waagent", "2.9")),
    ],
)
def test_lists_that_are_read_in_part_prove_no_absence(stubbed: Stubbed, rest: str, found: Any) -> None:
    cat = f"{rest}exit 124"
    assert stubbed(tree={LISTS: "x"}, only=("installable",), apt_get="", cat=cat).guest.installable == found


# ---- mounts and settings of the backup -----------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "settings", "problem"),
    [
        ("[SnapshotThread]\n", (), None),
        ("[SnapshotThread]\n = 1\nplain\n  a = b = c\n;d=1\n", (("a", "b = c"),), None),
        ("fsfreeze=True\n", (), "has no section [SnapshotThread]"),
        (b"[SnapshotThread]\nfsfreeze=\xe4\n", (("fsfreeze", "\ufffd"),), "characters that are not ASCII"),
        ('[SnapshotThread]\nMountsToSkip="$(id)`id`\\\n', (("MountsToSkip", '"$(id)`id`\\'),), None),
    ],
)
def test_the_settings_of_the_backup_extension(
    stubbed: Stubbed, content: str | bytes, settings: tuple[tuple[str, str], ...], problem: str | None
) -> None:
    freeze = stubbed(tree={VMBACKUP: content, MOUNTS: ""}, only=("mounts", "vmbackup")).guest.freeze
    assert isinstance(freeze, Freeze)
    assert freeze.settings == settings
    assert (problem or "") in (freeze.problem or "")
    assert (freeze.problem is None) is (problem is None)


def test_many_mounts_and_hostile_ones(stubbed: Stubbed) -> None:
    hostile = '/dev/x /mnt/"$(touch\\040/pwned);\\011\\134 ext4 rw 0 0\n'
    tree = {MOUNTS: hostile + "".join(f"/dev/d{n} /mnt/{n} xfs rw 0 0\n" for n in range(500))}
    freeze = stubbed(tree=tree, only=("mounts",)).guest.freeze
    assert isinstance(freeze, Unseen), "the settings were not asked for"
    answer = stubbed(tree=tree, only=("mounts", "vmbackup"))
    assert answer.guest.freeze == Unseen("more than 48 file systems are mounted")
    few = stubbed(tree={MOUNTS: hostile}, only=("mounts", "vmbackup")).guest.freeze
    assert isinstance(few, Freeze)
    assert [mount.path for mount in few.mounts] == ['/mnt/"$(touch /pwned); \\']


def test_a_device_is_named_once_unless_a_place_is_mounted_over(stubbed: Stubbed) -> None:
    root, data = "/dev/sda1 / ext4 rw 0 0\n", "/dev/sdb1 /data xfs rw 0 0\n"
    binds = "".join(f"/dev/sda1 /var/lib/kubelet/{n} ext4 rw 0 0\n" for n in range(500))
    stale = "/dev/sda1 /old\\040(deleted) ext4 rw 0 0\n"
    local = "vmware-vmblk /run/vmblock-fuse fuse.vmware-vmblk rw 0 0\noverlay /m overlay rw 0 0\n"
    freeze = stubbed(
        tree={MOUNTS: root + binds + data + data + stale + local}, only=("mounts", "vmbackup")
    ).guest.freeze
    assert isinstance(freeze, Freeze)
    assert [mount.path for mount in freeze.mounts] == ["/", "/data", "/data", "/old (deleted)"]


# ---- interfaces ----------------------------------------------------------------------------------

STATIC = r"echo '2: eth0    inet 10.0.0.4/24 scope global eth0\  valid_lft forever'"
NM = """case $* in *device*) printf 'GENERAL.DEVICE:lo\\nDHCP4.OPTION[1]:y\\n\\nGENERAL.DEVICE:eth0\\n'
printf 'GENERAL.STATE:100 (connected)\\nGENERAL.CONNECTION:Wired\\\\: 1\\n{}';;
*"show id Wired: 1") echo {};; esac"""
NETWORKD = {
    "sys/class/net/eth0/ifindex": "2",
    "run/systemd/netif/links/2": "ADMIN_STATE=configured\nNETWORK_FILE=/run/n\n",
}
BY_NM = {"run/NetworkManager/x": ""}
PLANNED = "ethernets:\n  'eth0':\n    addresses: [1.2.3.4/8]\n  eth1:\n    dhcp4: true\n"


@pytest.mark.parametrize(
    ("tree", "programs", "dhcp", "source"),
    [
        ({**NETWORKD, "run/systemd/netif/leases/2": ""}, {}, True, "systemd-networkd"),
        ({**NETWORKD, "run/n": "[Network]\nDHCP=ipv4\n"}, {}, True, "systemd-networkd"),
        ({**NETWORKD, "run/n": "[Network]\nAddress=10.0.0.4/24\n"}, {}, False, "systemd-networkd"),
        ({**NETWORKD, "run/systemd/netif/links/2": "ADMIN_STATE=unmanaged\n"}, {}, None, ""),
        (BY_NM, {"nmcli": NM.format("DHCP4.OPTION[1]:x", "?")}, True, "NetworkManager"),
        (BY_NM, {"nmcli": NM.format("", "auto")}, True, "NetworkManager"),
        (BY_NM, {"nmcli": NM.format("", "manual")}, False, "NetworkManager"),
        (BY_NM, {"nmcli": "printf 'GENERAL.DEVICE:eth0\\nGENERAL.STATE:100 (externally)'"}, None, ""),
        ({"etc/network/interfaces": "auto eth0\niface eth0 inet dhcp\n"}, {}, True, "ifupdown"),
        ({"etc/network/interfaces.d/x": "iface eth0 inet static\n"}, {}, False, "ifupdown"),
        ({"etc/network/interfaces": "iface eth0 inet6 auto\niface eth1 inet dhcp\n"}, {}, None, ""),
        ({"etc/sysconfig/network-scripts/ifcfg-eth0": 'BOOTPROTO="dhcp"\n'}, {}, True, "ifcfg"),
        ({"etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='static'\n"}, {}, False, "ifcfg"),
        ({"etc/netplan/1.yaml": "ethernets:\n    eth0:\n      dhcp4: yes # x\n"}, {}, True, "netplan"),
        ({"etc/netplan/1.yaml": PLANNED}, {}, False, "netplan"),
        ({}, {"pgrep": "case $* in *eth0*) exit 0;; esac; exit 1"}, True, "a DHCP client runs"),
        ({**BY_NM, "etc/network/interfaces": "iface eth0 inet dhcp"}, {"nmcli": "exit 8"}, True, "ifupdown"),
    ],
)  # fmt: skip
def test_where_an_address_comes_from(
    stubbed: Stubbed, tree: dict[str, str], programs: dict[str, str], dhcp: bool | None, source: str
) -> None:
    base = {
        "proc/net/route": ROUTE.replace("eth1", "eth0"),
        "sys/class/net/eth0/flags": "0x1003\n",
        "sys/class/net/eth0/device/x": "",
    }
    guest = stubbed(
        tree={**base, **tree}, only=("interfaces",), **{"ip": STATIC, "pgrep": "exit 1", **programs}
    ).guest
    assert guest.interfaces == (Interface("eth0", dhcp, ("10.0.0.4/24",), source),)


# ---- firewall ------------------------------------------------------------------------------------

AGENT_RULES = """# Generated by iptables-save v1.8.9 on Mon Nov 23 00:57:27 2026
*nat
:OUTPUT DROP [0:0]
COMMIT
# Generated by iptables-save v1.8.9 on Mon Nov 23 00:57:27 2026
*security
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -j DROP
-A OUTPUT -d 10.0.0.0/8 -j DROP
-A OUTPUT -d 168.63.129.16/32 -p tcp -m owner --uid-owner 0 -j ACCEPT
-A OUTPUT -d 168.63.129.16/32 -p tcp -m conntrack --ctstate INVALID,NEW -j DROP
COMMIT
"""
CUT = AGENT_RULES.replace("--uid-owner 0 ", "--uid-owner 1000 ")
NFT = """# Warning: table ip security is managed by iptables-nft, do not touch!
table ip security {
	chain OUTPUT {
		type filter hook output priority 150; policy accept;
		meta l4proto tcp ip daddr 168.63.129.16 counter packets 0 bytes 0 drop
	}
}
table inet site {
	set bad {
		type ipv4_addr
		elements = { 168.63.129.16 }
	}

	chain way {
		type filter hook output priority filter; policy accept;
		ip daddr 10.1.2.3 drop
		jump out
	}

	chain out {
		ip daddr 168.63.0.0/16 reject with icmp port-unreachable
	}

	chain in {
		type filter hook input priority filter; policy drop;
	}
}
"""
MANY = "printf '*filter\\n:OUTPUT DROP\\n'; seq -f '-A OUTPUT -s 1.2.3.%g -j ACCEPT' 99; echo COMMIT"


@pytest.mark.parametrize(
    ("programs", "blocking"),
    [
        ({"iptables_save": "", "nft": ""}, ()),
        ({"iptables_save": f"cat <<'X'\n{AGENT_RULES}X"}, ()),
        ({"iptables_save": f"cat <<'X'\n{CUT}X"},
         (f"iptables security: {AGENT_RULES.splitlines()[-2]}",)),
        ({"nft": f"cat <<'X'\n{NFT}X"},
         ("nft inet site: out ip daddr 168.63.0.0/16 reject with icmp port-unreachable",)),
        ({"iptables_save": "exit 1", "nft": "exit 1"}, "neither iptables-save nor nft could read the rules"),
        ({"iptables_save": "exit 1", "nft": ""}, ()),
        ({"iptables_save": MANY}, "more than 60 firewall rules stand in the way out"),
    ],
)  # fmt: skip
def test_the_rules_on_the_way_out(stubbed: Stubbed, programs: dict[str, str], blocking: Any) -> None:
    tree = {"proc/x": ""}
    stand_ins = {"iptables_save": "exit 1", "nft": "exit 1", "id": "echo 0", **programs}
    guest = stubbed(tree=tree, only=("firewall",), **stand_ins).guest
    assert guest.firewall == (Unseen(blocking) if isinstance(blocking, str) else blocking)


def test_a_kernel_without_filters_is_not_made_to_load_them(stubbed: Stubbed) -> None:
    touched = stubbed.top / "touched"
    guest = stubbed(
        tree={"proc/modules": "ext4 1 0 - Live 0x0\n"},
        only=("firewall",),
        id="echo 0",
        nft=f"touch {touched}",
    ).guest
    assert guest.firewall == ()
    assert not touched.exists()


@pytest.mark.parametrize(
    ("without", "tools"),
    [
        ((), {"curl": "kill -9 $$"}),
        ((), {"curl": "echo 'Segmentation fault' >&2; exit 139"}),
        (("curl",), {"python3": "kill -9 $$"}),
        (("curl",), {"python3": "exit 1"}),
    ],
)
def test_a_tool_that_died_tells_nothing_of_the_network(
    stubbed: Stubbed, without: tuple[str, ...], tools: Mapping[str, str]
) -> None:
    guest = stubbed(only=("wire", "imds"), without=without, **tools).guest
    for fact in (guest.wire_server, guest.imds, guest.vm_id):
        assert isinstance(fact, Unseen)
        assert "too slow, or its tool is broken" in fact.reason
