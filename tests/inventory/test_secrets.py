"""Which secrets a run needs, and what becomes of machines that miss one."""

from dataclasses import replace

import pytest

from auditor.errors import SecretError
from auditor.inventory.secrets import references, without
from auditor.model import Connection, Machine, Platform

PLAIN = Machine("host/a", "a", Platform.LINUX, "hosts-file")
KEYED = replace(PLAIN, name="b", connection=Connection("b", key="k", passphrase="env:KEY", password="env:A"))
SUDOER = replace(PLAIN, name="c", connection=Connection("c", sudo_password="env:A"))


def test_each_reference_of_a_guest_that_will_be_asked_is_needed_once() -> None:
    machines = [
        PLAIN,
        KEYED,
        SUDOER,
        replace(KEYED, left_out=True, connection=Connection("d", password="env:LEFT_OUT")),
        replace(KEYED, unreachable="no address", connection=Connection("e", password="env:OUT_OF_REACH")),
    ]
    assert references(machines) == ("env:A", "env:KEY")


def test_only_those_that_miss_a_secret_are_out_of_reach(caplog: pytest.LogCaptureFixture) -> None:
    failures = {"env:A": SecretError("A is not set")}
    plain, keyed, sudoer = without([PLAIN, KEYED, SUDOER], failures)
    assert plain == PLAIN
    assert keyed == replace(KEYED, unreachable="its password: A is not set")
    assert sudoer == replace(SUDOER, unreachable="its sudo password: A is not set")
    assert [record.getMessage() for record in caplog.records] == [
        "env:A: A is not set; b and 1 more cannot be asked"
    ]
