"""linux-python and linux-freeze."""

from typing import Any

import pytest

from auditor.facts import NOT_ASKED, Facts, Freeze, Mount, Python, Unseen
from auditor.model import Status
from tests.checks.estate import HOST, finding, guested, linux, said

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
PROXIES = (("unit http_proxy", "http://proxy:3128"),)


def python(version: str | None = "3.11.2", **more: Any) -> Facts:
    others = {key: more.pop(key) for key in ("proxies",) if key in more}
    return guested(linux(), python=Python("/usr/bin/python3", version, **more), **others)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (python(imports_agent=True), PASS, "Python 3.11.2"),
        (python(), PASS, "Python 3.11.2"),
        (python("3.13.0+", imports_agent=True), PASS, "3.13.0+"),
        (python("2.6.6", imports_agent=True), PASS, "2.6.6"),
        (python("2.5.2", imports_agent=True), FAIL, "Python 2.5.2 is too old"),
        (python(imports_agent=False, problem="No module named azurelinuxagent"), FAIL, "cannot import"),
        (python(None, imports_agent=False), FAIL, "of unknown version cannot import"),
        (python(None, problem="cannot open shared object"), FAIL, "does not start"),
        (python(None), UNKNOWN, "did not tell its version"),
        (python(imports_agent=True, problem="ImportWarning"), WARN, "complains"),
        (python(problem="it gave no answer when asked"), UNKNOWN, "gave no answer"),
        (python("2.6.6", proxies=PROXIES), WARN, "too old for a backup behind a proxy"),
        (python("2.7.5", proxies=PROXIES), PASS, "2.7.5"),
        (python("2.6.6", proxies=Unseen("not readable")), PASS, "2.6.6"),
        (guested(linux(), python=None), FAIL, "no Python for the agent"),
        (guested(linux(), python=Unseen("not readable")), UNKNOWN, "not readable"),
        (guested(linux(), python=NOT_ASKED), UNKNOWN, "did not ask"),
        (guested(linux(), python=None, agent_is=None), SKIP, "no agent"),
        (guested(HOST, python=Python("/usr/libexec/platform-python", "3.6.8", True)), PASS, "3.6.8"),
    ],
)
def test_linux_python(facts: Facts, status: Status, text: str) -> None:
    got, words = said("linux-python", facts)
    assert (got, text in words) == (status, True), words


def test_the_interpreter_and_what_it_said_are_shown() -> None:
    (row,) = finding("linux-python", python(imports_agent=False, problem="No module named x")).evidence
    assert row.value == "/usr/bin/python3 3.11.2 No module named x"


ROOT = Mount("/", "ext4", "/dev/sda1")
DATA = Mount("/data", "xfs", "/dev/sdc1")
NFS = Mount("/mnt/share", "nfs4", "10.0.0.9:/export")
LOCAL_ONLY = (("onlyLocalFilesystems", "True"),)


def mounted(
    *mounts: Mount, conf: tuple[tuple[str, str], ...] | None = None, problem: str | None = None
) -> Facts:
    return guested(linux(), freeze=Freeze((ROOT, *mounts), conf, problem))


def skipping(paths: str) -> tuple[tuple[str, str], ...]:
    return (("MountsToSkip", paths),)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (mounted(DATA), PASS, "no mount is known"),
        (mounted(DATA, conf=()), PASS, "no mount is known"),
        (mounted(Mount("/boot/efi", "vfat", "/dev/sda15")), PASS, "no mount is known"),
        (mounted(Mount("/tank", "zfs", "tank")), PASS, "no mount is known"),
        # stale
        (mounted(Mount("/old\\040(deleted)", "ext4", "/dev/sdd1")), WARN, "stale: /old"),
        # twice
        (mounted(DATA, Mount("/data", "xfs", "/dev/sdd1")), WARN, "mounted twice: /data"),
        (mounted(DATA, DATA), WARN, "mounted twice: /data"),
        (mounted(DATA, DATA, conf=skipping("/x, /data")), PASS, "no mount"),
        (mounted(DATA, Mount("/bind", "xfs", "/dev/sdc1")), PASS, "no mount"),
        (mounted(Mount("/", "ext4", "/dev/sdb1"), conf=skipping("/")), WARN, "mounted twice: /"),
        (mounted(Mount("/home", "btrfs", "/dev/sdb"), Mount("/srv", "btrfs", "/dev/sdb")), PASS, "no mount"),
        (
            mounted(Mount("/snap/a", "ext4", "/dev/loop0"), Mount("/b", "ext4", "/dev/loop0")),
            PASS,
            "no mount",
        ),
        # of the network
        (mounted(NFS), WARN, "network mounts can hold the snapshot up: /mnt/share"),
        (mounted(Mount("/s3", "fuse.s3fs", "s3fs")), WARN, "/s3"),
        (mounted(Mount("/win", "cifs", "//10.0.0.9/win")), WARN, "/win"),
        (mounted(Mount("/ntfs", "fuse.ntfs-3g", "/dev/sde1")), PASS, "no mount"),
        (mounted(NFS, conf=LOCAL_ONLY), PASS, "no mount"),
        (mounted(NFS, conf=(("onlylocalfilesystems", "false"),)), WARN, "/mnt/share"),
        (mounted(NFS, conf=skipping("/mnt/share")), PASS, "no mount"),
        # the extension's settings
        (mounted(conf=(), problem="it holds characters that are not ASCII"), WARN, "not ASCII"),
        (mounted(conf=(("fsfreeze", "False"),)), WARN, "the freeze is switched off"),
        (mounted(conf=(("fsfreeze", "True"),)), PASS, "no mount"),
        (mounted(NFS, conf=(("fsfreeze", "no"),)), WARN, "switched off in vmbackup.conf; network"),
        (guested(linux(), freeze=Unseen("/proc/mounts is not readable")), UNKNOWN, "not readable"),
        (guested(linux(), freeze=None), UNKNOWN, "were not seen"),
        (guested(linux(), agent_is=None, freeze=Freeze((ROOT, NFS))), WARN, "/mnt/share"),
    ],
)
def test_linux_freeze(facts: Facts, status: Status, text: str) -> None:
    got, words = said("linux-freeze", facts)
    assert (got, text in words) == (status, True), words


def test_what_is_not_frozen_is_named_and_does_not_warn() -> None:
    found = finding(
        "linux-freeze", mounted(DATA, Mount("/old", "reiserfs", "/dev/sde1"), NFS, conf=LOCAL_ONLY)
    )
    assert found.status is PASS
    assert [(row.source, row.value) for row in found.evidence] == [
        ("mounts", "2 to be frozen"),
        ("mounts not frozen", "/old (reiserfs), /mnt/share (nfs4)"),
        ("vmbackup.conf", "onlylocalfilesystems=True"),
    ]
