"""What is repaired in guests with rpm, and what must not be: as in `repairs.py`, by rpm's own means."""

from collections.abc import Mapping

from tests.lab.faults import CONF, FAULTS, FULL_DISK, NO_EXTENSIONS
from tests.lab.network import OPERATOR
from tests.lab.repairs import AGENT, FREEZING, PASSWORD, READ_ONLY, STRICT, Repairable, Untouchable
from tests.lab.rpms import FAMILIES, NEWEST, OLDER

DAMAGE = "head -c 3000 /dev/zero > /usr/sbin/waagent; systemctl restart waagent || true\n"
REFRESH = {"dnf": "dnf -q makecache >/dev/null\n", "zypper": "zypper --quiet refresh >/dev/null\n"}
INSTALL = {"dnf": "dnf -y install", "zypper": "zypper --non-interactive install --allow-unsigned-rpm"}
# a real transaction of another, which waits in a script of its package
LOCKED = """systemd-run --quiet {} /root/lab-slow-1.rpm
for try in $(seq 300); do ! pgrep -f '[r]pm-tmp' >/dev/null || exit 0; sleep 0.1; done
exit 1
"""
PACKAGE = ("linux-agent",)
MODULES = "/usr/lib/python3/dist-packages/azurelinuxagent"
KEEP = f"mkdir /root/kept; cp -a /usr/sbin/waagent {MODULES} /root/kept/\n"
BACK = f"cp -a /root/kept/waagent /usr/sbin/; cp -a /root/kept/azurelinuxagent {MODULES}\n"
FILL = "head -c 100m /dev/zero > /var/fill 2>/dev/null || true\n"
DEAD = f"""cat > /etc/zypp/repos.d/dead.repo <<'END'
[dead]
baseurl=http://{OPERATOR}:9/
enabled=1
gpgcheck=0
END
"""
YUM = "rm /usr/bin/dnf; mv /usr/bin/dnf-3 /usr/bin/yum\n"
FOREIGN = "rpm -i --force-debian /root/lab-{}-1.rpm 2>/dev/null\n"
# everything that a repair may change
CONTENT = r"""set +e
rpm -qa --qf '%{NAME} %{VERSION} %{INSTALLTIME}\n' | sort
systemctl list-unit-files 'wa*' --no-legend
find /etc /usr/sbin /usr/lib/python3 /var/lib/waagent* -xdev \( -type f -o -type l -o -type d \) \
  -printf '%p %y %m %U %G %l\n' 2>/dev/null | sort
find /etc /usr/sbin /var/lib/waagent* -xdev -type f -exec sha256sum {} + 2>/dev/null | sort
"""


def repairable(family: str) -> Mapping[str, Repairable]:
    """What is repaired in the guests of a family, by the name of the fault."""
    refresh, remove, older = REFRESH[family], _remove(family), _older(family)
    lock, bare = LOCKED.format(INSTALL[family]), LOCKED.format("rpm -i --force-debian")
    replaced = older + DAMAGE + _only(family, NEWEST) + refresh
    return {
        "locked": Repairable(DAMAGE + refresh + lock, AGENT, PACKAGE),
        "rpm-locked": Repairable(DAMAGE + refresh + bare, AGENT, PACKAGE),
        "missing": Repairable(remove + refresh, AGENT, PACKAGE, PASSWORD),
        "corrupt": Repairable(DAMAGE + STRICT, AGENT, PACKAGE),
        "stopped": Repairable(_here("stopped"), AGENT, PACKAGE),
        "masked": Repairable(_here("masked"), AGENT, PACKAGE, PASSWORD),
        "no-extensions": Repairable(
            f"{NO_EXTENSIONS}; systemctl restart waagent", ("extensions-enabled",), ("linux-agent-config",)
        ),
        "older": Repairable(older, ("vm-agent-version",), ("agent-update",)),
        "superseded": Repairable(replaced, AGENT, PACKAGE),
        **_offline(family, remove, older),
        **_special(remove, refresh)[family],
    }


def _offline(family: str, remove: str, older: str) -> Mapping[str, Repairable]:
    """Those that get the package sent, where no source is within reach."""
    cut = f"sed -i 's#packages.lab#{OPERATOR}:9#' /{FAMILIES[family].sources}\n"
    return {
        "offline": Repairable(remove + cut, AGENT, PACKAGE, pushed=True),
        "offline-corrupt": Repairable(DAMAGE + cut, AGENT, PACKAGE, pushed=True),
        "offline-older": Repairable(older + cut, ("vm-agent-version",), ("agent-update",), pushed=True),
        "offline-both": Repairable(older + DAMAGE + cut, AGENT, PACKAGE, pushed=True),
    }


def _special(remove: str, refresh: str) -> Mapping[str, Mapping[str, Repairable]]:
    """What only one family has: the other name of dnf; sources of which zypper leaves one out."""
    return {
        "dnf": {
            "yum": Repairable(remove + refresh + YUM, AGENT, PACKAGE),
            "only-stopped": Repairable(_here("only-stopped"), AGENT, ("agent-restart",)),
        },
        "zypper": {"half-offline": Repairable(remove + DEAD, AGENT, PACKAGE)},
    }


def untouchable(family: str) -> Mapping[str, Untouchable]:
    """What must not be repaired in the guests of a family."""
    refresh, remove = REFRESH[family], _remove(family)
    withdrawn = "older version" if family == "zypper" else "no longer offer"
    return {
        "barrier": Untouchable(remove + FOREIGN.format("barrier") + refresh, "lab-barrier"),
        "forerunner": Untouchable(remove + FOREIGN.format("forerunner") + refresh, "lab-forerunner"),
        "source": Untouchable(KEEP + remove + BACK, "installed from source"),
        "full": Untouchable(refresh + remove + FILL, "MB are free", disk=FULL_DISK),
        "withdrawn": Untouchable(DAMAGE + _only(family, OLDER) + refresh, withdrawn),
        "other-package": Untouchable(remove, "is the package lab-barrier", pushed="lab-barrier-1.rpm"),
        "downgrade": Untouchable(DAMAGE, "rpm will not take the file", pushed="older"),
        **(_of_any_manager(remove) if family == "dnf" else {}),
    }


def _of_any_manager(remove: str) -> Mapping[str, Untouchable]:
    """What no manager has to do with, so one family will do."""
    return {
        "read-only": Untouchable(remove + READ_ONLY, "read-only file system"),
        "freezing": Untouchable(remove + FREEZING, "snapshot extension"),
    }


def _remove(family: str) -> str:
    return (
        f"systemctl disable --quiet --now waagent; rpm -e --force-debian {FAMILIES[family].agent}\n"
        f"rm -rf /var/lib/waagent {CONF}*\n"
    )


def _older(family: str) -> str:
    package = f"http://packages.lab/{family}/{FAMILIES[family].agent}-{OLDER}.rpm"
    return f"rpm -U --oldpackage --force-debian {package} 2>/dev/null; systemctl restart waagent\n"


def _only(family: str, version: str) -> str:
    """The package source holds one version alone."""
    return f"sed -i 's#packages.lab/{family}$#&/{version}#' /{FAMILIES[family].sources}\n"


def _here(fault: str) -> str:
    return FAULTS[fault].setup.replace("walinuxagent", "waagent") + "\n"
