"""Root file systems with rpm: Debian's userland and its rpm, dnf and zypper, and an agent packaged here."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.bases import (
    CONFIGURE,
    DROP_IN,
    OLD,
    PACKAGES,
    PASSWORD,
    USERS,
    Base,
    age,
    bootstrap,
    cached,
    download,
)
from tests.lab.system import run

SUITE = "bookworm"
NEWEST = "2.7.3.0"
OLDER = OLD.partition("-")[0]
PROGRAMS = (
    *(name for name in PACKAGES if name != "waagent"),
    *(
        "python3",
        "python3-distro",
        "python3-pkg-resources",
        "openssl",
        "rpm",
        "dnf",
        "zypper",
        "createrepo-c",
    ),
)
SPEC = """Name: %{agent}
Version: %{number}
Release: 1
Summary: The Azure Linux agent, made of the files of the Debian package
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
Requires: python3, openssl
Conflicts: lab-barrier
Obsoletes: lab-forerunner < 2
%description
%{summary}.
%install
cp -a %{tree}/. %{buildroot}/
%post
[ $1 -ne 1 ] || systemctl --no-reload preset waagent.service || :
%preun
[ $1 -ne 0 ] || systemctl --no-reload disable --now waagent.service || :
%postun
[ $1 -eq 0 ] || { systemctl daemon-reload && systemctl try-restart waagent.service; } || :
%files
%config(noreplace) /etc/waagent.conf
%dir %attr(0700, root, root) /var/lib/waagent
/etc/logrotate.d/*
/usr/lib/python3/dist-packages/*
/usr/lib/systemd/system/waagent.service
/usr/lib/udev/rules.d/*
/usr/sbin/waagent*
"""
# packages without files: what bars the agent, what it replaces, and the system, which came without rpm
EMPTY = """Name: %{name_of_it}
Version: 1
Release: 1
Summary: A package without files
License: MIT
BuildArch: noarch
AutoReqProv: no
%{?gives:Provides: %{gives}}
%description
%{summary}.
%{?waits:%pre}
%{?waits}
%files
"""
# holds the locks of whoever installs it until a step has waited for them
WAITS = (
    "for try in $(seq 3000); do "
    "! grep -q 'waiting for it' /var/lib/fleet-auditor/*/output 2>/dev/null || break; sleep 0.1; done"
)
BUILD = f"""set -eu
cd /lab
rpms() {{
  into=$1
  shift
  rpmbuild --quiet -bb -D '_topdir /lab/top' -D "_rpmdir /lab/$into" \\
    -D '_build_name_fmt %%{{NAME}}-%%{{VERSION}}.rpm' "$@" 2>&1
}}
for tree in newest older; do
  mkdir -p $tree/usr/lib/systemd/system $tree/usr/lib/udev $tree/var/lib/waagent
  mv $tree/lib/systemd/system/walinuxagent.service $tree/usr/lib/systemd/system/waagent.service
  mv $tree/lib/udev/rules.d $tree/usr/lib/udev/
  rm -rf $tree/lib $tree/usr/share $tree/etc/init.d
done
for agent in WALinuxAgent python-azure-agent; do
  rpms $agent -D "agent $agent" -D 'number {NEWEST}' -D 'tree /lab/newest' agent.spec
  rpms $agent -D "agent $agent" -D 'number {OLDER}' -D 'tree /lab/older' agent.spec
  createrepo_c --quiet --no-database $agent
  for number in {NEWEST} {OLDER}; do
    mkdir $agent/$number
    cp $agent/$agent-$number.rpm $agent/$number/
    createrepo_c --quiet --no-database $agent/$number
  done
done
rpms root -D 'name_of_it lab-slow' -D "waits $WAITS" empty.spec
for name in barrier forerunner; do rpms root -D "name_of_it lab-$name" empty.spec; done
rpms root -D 'name_of_it lab-system' \\
  -D 'gives python3, openssl, /bin/sh, /usr/bin/python3, system-release = 9' empty.spec
"""
# no such system has the programs and the database of the packages that this one was made of
FINISH = """set -eu
cd "$1"
rm -rf usr/bin/apt* usr/bin/dpkg* usr/lib/apt usr/lib/dpkg etc/apt etc/dpkg
rm -rf var/lib/apt var/lib/dpkg var/cache/apt
rm -f usr/bin/$2 usr/bin/createrepo_c usr/bin/rpmbuild etc/debian_version
SYSTEMD_OFFLINE=1 chroot . rpm -i --force-debian /lab/root/lab-system-1.rpm "/lab/$3/$3-$4.rpm"
chroot . systemctl enable waagent.service
mv "lab/$3" "$5"
mv lab/root/* root/
rm -rf lab
"""
# as the distributions have them; Debian's own rpm keeps its database in the user's home
SETTINGS = {
    "etc/rpm/macros": "%_dbpath /var/lib/rpm\n",
    "etc/dnf/dnf.conf": "[main]\ngpgcheck=1\ninstallonly_limit=3\nbest=True\n"
    "clean_requirements_on_remove=True\nskip_if_unavailable=False\n",
    "usr/lib/systemd/system-preset/10-lab.preset": "disable waagent.service\n",
}
REPOSITORY = (
    "[lab]\nname=lab\nbaseurl=http://packages.lab/{}\nenabled=1\nautorefresh=1\ngpgcheck=0\ntype=rpm-md\n"
)


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of distribution: its agent's package, its manager and what it lacks, and what it says it is."""

    agent: str
    lacks: str
    sources: str
    release: str


FAMILIES: Mapping[str, Family] = {
    "dnf": Family(
        "WALinuxAgent",
        "zypper",
        "etc/yum.repos.d/lab.repo",
        'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n'
        'PRETTY_NAME="AlmaLinux 9.4 (lab)"\n',
    ),
    "zypper": Family(
        "python-azure-agent",
        "dnf*",
        "etc/zypp/repos.d/lab.repo",
        'NAME="SLES"\nID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"\n'
        'PRETTY_NAME="SUSE Linux Enterprise Server 15 SP6 (lab)"\n',
    ),
}


def rpm_base(name: str) -> Base:
    """The base of a family, both built at once (1 to 2 minutes) unless the cache has them."""
    recipe = (
        PROGRAMS,
        USERS,
        PASSWORD,
        DROP_IN,
        CONFIGURE,
        SPEC,
        EMPTY,
        WAITS,
        BUILD,
        FINISH,
        SETTINGS,
        FAMILIES,
    )
    folder = cached("rpm", recipe, _build)
    return Base(name, folder / name, {FAMILIES[name].sources: REPOSITORY.format(name)})


def _build(draft: Path) -> None:
    lab, common = draft / "lab", draft / "common"
    lab.mkdir()
    _sources(lab)
    hooks = [
        download(lab),
        f"cd {lab} && for tree in newest older; do dpkg-deb -x waagent_*.deb $tree; done",
    ]
    bootstrap(SUITE, common, PROGRAMS, hooks, CONFIGURE.replace("walinuxagent", "waagent"))
    age(lab / "older")
    shutil.move(lab, common / "lab")
    run("env", f"WAITS={WAITS}", "chroot", common, "sh", "/lab/build", timeout=300)
    for name, family in FAMILIES.items():
        _finish(common, draft / name, family)
    shutil.rmtree(common)


def _sources(lab: Path) -> None:
    for name, text in (("agent.spec", SPEC), ("empty.spec", EMPTY), ("build", BUILD)):
        (lab / name).write_text(text)


def _finish(common: Path, folder: Path, family: Family) -> None:
    root = folder / "root"
    folder.mkdir()
    run("cp", "-a", "--reflink=auto", common, root, timeout=300)
    for path, text in {**SETTINGS, "usr/lib/os-release": family.release}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / family.sources).parent.mkdir(parents=True, exist_ok=True)
    run("sh", "-c", FINISH, "sh", root, family.lacks, family.agent, NEWEST, folder / "packages")
