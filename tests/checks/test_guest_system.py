"""guest-disk-space and guest-clock."""

from datetime import timedelta

import pytest

from auditor.facts import Disk, Facts, Unseen
from auditor.model import Status
from tests.checks.estate import HOST, NOW, finding, guested, linux, said, windowed

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
MB = 1_000_000
GB = 1000 * MB


def drive(free: int, total: int = 100 * GB) -> Facts:
    return windowed(disk=Disk("C:\\", free, total))


def agents(free: int, total: int = 10 * GB, *, noexec: bool = False) -> Facts:
    return guested(linux(), disk=Disk("/var/lib/waagent", free, total, noexec))


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (drive(40 * GB), PASS, "40.0 GB free"),
        (drive(GB), PASS, "1.0 GB free"),
        (drive(GB - 1), WARN, "999 MB free is little"),
        (drive(100 * MB), WARN, "100 MB free is little"),
        (drive(100 * MB - 1), FAIL, "only 99 MB free"),
        (drive(5 * GB, 200 * GB), PASS, "5.0 GB free"),
        (agents(5 * GB), PASS, "5.0 GB free"),
        (agents(GB + 1), PASS, "free"),
        (agents(GB), WARN, "90 % in use"),
        (agents(500 * MB, 2 * GB), PASS, "500 MB free"),
        (agents(99 * MB, 150 * MB), FAIL, "only 99 MB free at /var/lib/waagent"),
        (agents(0, 0), FAIL, "only 0 MB free"),
        (agents(5 * GB, noexec=True), FAIL, "mounted with noexec"),
        (agents(10 * MB, noexec=True), FAIL, "only 10 MB free"),
        (guested(HOST, disk=Disk("/", 5 * GB, 10 * GB)), PASS, "free"),
        (guested(disk=Unseen("df gave no answer")), UNKNOWN, "df gave no answer"),
        (guested(disk=None), UNKNOWN, "was not seen"),
    ],
)
def test_guest_disk_space(facts: Facts, status: Status, text: str) -> None:
    got, words = said("guest-disk-space", facts)
    assert (got, text in words) == (status, True), words


def test_the_file_system_that_counts_is_named() -> None:
    (row,) = finding("guest-disk-space", agents(GB, noexec=True)).evidence
    assert (row.source, row.value) == ("file system of /var/lib/waagent", "1.0 GB of 10.0 GB free, noexec")


def off(**span: float) -> Facts:
    return guested(clock=NOW + timedelta(**span))


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (off(), PASS, "the clock is right"),
        (off(seconds=300), PASS, "right"),
        (off(seconds=-300), PASS, "right"),
        (off(seconds=301), FAIL, "5 min ahead"),
        (off(seconds=-301), WARN, "5 min behind"),
        (off(days=400), FAIL, "400 d ahead"),
        (off(hours=-3), WARN, "3 h behind"),
        (guested(clock=None), UNKNOWN, "was not seen"),
    ],
)
def test_guest_clock(facts: Facts, status: Status, text: str) -> None:
    got, words = said("guest-clock", facts)
    assert (got, text in words) == (status, True), words
