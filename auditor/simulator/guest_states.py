"""The states of simulated Linux guests, and what the tool's own probe says in each."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from uuid import NAMESPACE_DNS, uuid5

import orjson

from auditor.model import Status, Verdict

USER = "auditor"
_WIRE = ("http://168.63.129.16/?comp=versions", "168.63.129.16:32526")
_NO_MODULE = "ModuleNotFoundError: No module named 'azurelinuxagent'"
_NO_RIGHTS = f"{USER} is not root, and there is no sudo"


@dataclass(frozen=True, slots=True)
class GuestState:
    """One guest: how it differs from a healthy one, and what an audit must say of it.

    `clock_ahead` is in seconds; `azure_id` is the id of the VM whose inside this is, empty outside Azure.
    `repaired` is the verdict that remediations make possible, None where they leave it as it is.
    """

    name: str
    verdict: Verdict
    findings: Mapping[str, Status]
    changes: Mapping[str, Any]
    internet: bool = True
    clock_ahead: float = 0.0
    azure_id: str = ""
    repaired: Verdict | None = None

    @property
    def machine_id(self) -> str:
        """The id of the machine whose inside this is."""
        return self.azure_id.lower() or f"host/{self.name}"

    def told(self, fact: str) -> Any:
        """What the probe says of one fact here."""
        return self.changes.get(fact, _HEALTHY.get(fact))

    def changed(self, **facts: Any) -> Self:
        """The same guest with these facts instead."""
        changes = {**self.changes, **facts}
        return replace(
            self,
            changes={
                fact: value
                for fact, value in changes.items()
                if fact not in _HEALTHY or value != _HEALTHY[fact]
            },
        )

    def mended(self, *facts: str) -> Self:
        """The same guest with these facts as they are in a healthy one."""
        return self.changed(**{fact: _HEALTHY[fact] for fact in facts})


def _attempt(target: str, stage: str = "ok", detail: str = "HTTP 200") -> dict[str, Any]:
    return {"target": target, "stage": stage, "ms": 12, "detail": detail}


_AGENT = {
    "path": "/usr/sbin/waagent",
    "daemon_version": "2.2.46",
    "goal_state_version": "2.13.0.2",
    "python": "3.10.12",
    "package": "walinuxagent",
    "package_version": "2.2.46-0ubuntu5.1",
    "unit": "walinuxagent",
    "load": "loaded",
    "active": "active",
    "enabled": "enabled",
    "origin": "package",
}
_PYTHON = {"path": "/usr/bin/python3", "version": "3.10.12", "imports_agent": True, "problem": None}
_DISK = {
    "path": "/var/lib/waagent",
    "mount": "/",
    "free": 12_884_901_888,
    "total": 31_138_512_896,
    "noexec": False,
}
_NIC = {"name": "eth0", "dhcp": True, "addresses": ["10.0.4.11/24"], "source": "systemd-networkd"}
_MOUNTS = [["/", "ext4", "/dev/sda1"], ["/boot/efi", "vfat", "/dev/sda15"]]
_OUTPUT = "iptables security: -A OUTPUT -d 168.63.129.16/32"
_AGENT_FIREWALL = (
    "iptables security: -P OUTPUT ACCEPT",
    f"{_OUTPUT} -p tcp -m tcp --dport 53 -j ACCEPT",
    f"{_OUTPUT} -p tcp -m owner --uid-owner 0 -j ACCEPT",
    f"{_OUTPUT} -p tcp -m conntrack --ctstate INVALID,NEW -j DROP",
)

_HEALTHY: dict[str, Any] = {
    "schema": 1,
    "platform": "linux",
    "privileged": True,
    "privilege_problem": None,
    "user": USER,
    "os": {"name": "Ubuntu", "version": "22.04"},
    "kernel": "6.8.0-1017-azure",
    "architecture": "x86_64",
    "bits": 64,
    "agent": _AGENT,
    "python": _PYTHON,
    "extensions_enabled": True,
    "auto_update": True,
    "snapshot_extension": ["1.0.9220.0"],
    "snapshot_log": None,
    "wire_server": [_attempt(target) for target in _WIRE],
    "imds": _attempt("http://169.254.169.254/metadata/instance"),
    "firewall": [*_AGENT_FIREWALL],
    "on_azure_host": True,
    "disk": _DISK,
    "interfaces": [_NIC],
    "freeze_mounts": _MOUNTS,
    "freeze_settings": None,
    "installable": {"manager": "apt", "name": "walinuxagent", "version": "2.2.46-0ubuntu5.1"},
    "proxies": [],
}

GUESTS: tuple[GuestState, ...] = (
    GuestState(
        "guest-healthy",
        Verdict.READY,
        {"vm-agent-installed": Status.PASS, "wire-server": Status.PASS, "internet-connectivity": Status.PASS},
        {},
    ),
    GuestState(
        "guest-agent-stopped",
        Verdict.NOT_READY,
        {"vm-agent-installed": Status.PASS, "agent-service": Status.FAIL},
        {"agent": {**_AGENT, "active": "inactive"}},
        repaired=Verdict.READY,
    ),
    GuestState(
        "guest-unit-masked",
        Verdict.NOT_READY,
        {"vm-agent-installed": Status.PASS, "agent-service": Status.FAIL},
        {"agent": {**_AGENT, "load": "masked", "active": "inactive", "enabled": "masked"}},
        repaired=Verdict.READY,
    ),
    GuestState(
        "guest-extensions-disabled",
        Verdict.NOT_READY,
        {"agent-service": Status.PASS, "extensions-enabled": Status.FAIL},
        {"extensions_enabled": False},
        repaired=Verdict.READY,
    ),
    GuestState(
        "guest-update-off",
        Verdict.AT_RISK,
        {"extensions-enabled": Status.PASS, "agent-auto-update": Status.WARN},
        {"auto_update": False},
        repaired=Verdict.READY,
    ),
    GuestState(
        "guest-python-broken",
        Verdict.NOT_READY,
        {"agent-service": Status.FAIL, "linux-python": Status.FAIL},
        {
            "python": {**_PYTHON, "version": "3.12.4", "imports_agent": False, "problem": _NO_MODULE},
            "agent": {**_AGENT, "active": "failed"},
        },
        repaired=Verdict.READY,
    ),
    GuestState(
        "guest-disk-full",
        Verdict.NOT_READY,
        {"guest-disk-space": Status.FAIL},
        {"disk": {**_DISK, "free": 41_943_040}},
    ),
    GuestState(
        "guest-noexec",
        Verdict.NOT_READY,
        {"guest-disk-space": Status.FAIL},
        {"disk": {**_DISK, "mount": "/var", "noexec": True}},
    ),
    GuestState(
        "guest-internet-blocked",
        Verdict.AT_RISK,
        {"wire-server": Status.PASS, "internet-connectivity": Status.FAIL},
        {},
        internet=False,
    ),
    GuestState(
        "guest-firewall-drops",
        Verdict.NOT_READY,
        {"wire-server": Status.FAIL, "internet-connectivity": Status.PASS},
        {
            "wire_server": [_attempt(target, "tcp", "no answer within 5 s") for target in _WIRE],
            "firewall": [
                "nft inet site: output policy accept",
                "nft inet site: output ip daddr 168.63.129.16 drop",
            ],
        },
    ),
    GuestState(
        "guest-static-address",
        Verdict.AT_RISK,
        {"guest-dhcp": Status.WARN},
        {"interfaces": [{**_NIC, "dhcp": False, "source": "ifupdown"}]},
    ),
    GuestState(
        "guest-proxy-in-the-way",
        Verdict.AT_RISK,
        {"wire-server": Status.PASS, "guest-proxy": Status.WARN},
        {"proxies": [["/etc/environment https_proxy", "http://proxy.corp.example:3128"]]},
    ),
    GuestState("guest-clock-ahead", Verdict.AT_RISK, {"guest-clock": Status.FAIL}, {}, clock_ahead=1200.0),
    GuestState(
        "guest-stale-mounts",
        Verdict.AT_RISK,
        {"linux-freeze": Status.WARN},
        {
            "freeze_mounts": [
                *_MOUNTS,
                ["/data", "xfs", "/dev/sdc1"],
                ["/srv/data", "xfs", "/dev/sdc1"],
                ["/mnt/gone\\040(deleted)", "nfs4", "nas.corp.example:/vol1"],
            ]
        },
    ),
    GuestState(
        "guest-without-rights",
        Verdict.UNKNOWN,
        {"agent-service": Status.PASS, "wire-server": Status.UNKNOWN},
        {
            "privileged": False,
            "privilege_problem": _NO_RIGHTS,
            "wire_server": [_attempt(target, "tcp", "no answer within 5 s") for target in _WIRE],
            "firewall": {"unseen": f"the firewall is not readable by {USER}: {_NO_RIGHTS}"},
            "snapshot_extension": {"unseen": f"/var/lib/waagent is not readable by {USER}: {_NO_RIGHTS}"},
        },
    ),
    GuestState(
        "guest-agent-missing",
        Verdict.NOT_READY,
        {"vm-agent-installed": Status.FAIL, "agent-installable": Status.WARN},
        {"agent": None, "extensions_enabled": None, "auto_update": None, "snapshot_extension": []},
        repaired=Verdict.READY,
    ),
)


def probe_answer(state: GuestState, endpoints: Sequence[str]) -> bytes:
    """What the probe prints on a guest in this state; `endpoints` are host and port."""
    reached = ("ok", "HTTP 200") if state.internet else ("tcp", "no answer within 8 s")
    identity = str(uuid5(NAMESPACE_DNS, state.name))
    facts = {
        **_HEALTHY,
        "vm_id": identity,
        "firmware_id": identity,
        "hostname": state.name,
        "clock": time.time() + state.clock_ahead,
        "endpoints": [_attempt(endpoint, *reached) for endpoint in endpoints],
    }
    body = orjson.dumps({**facts, **state.changes})
    return b"\nAUDITOR-PROBE-BEGIN " + body + b" AUDITOR-PROBE-END\n"
