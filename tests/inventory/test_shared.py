"""Machines that share an address and port."""

import logging

import pytest

from auditor.inventory.shared import shared
from auditor.model import RUN_COMMAND, WINRM, Connection, Machine, Plane, Platform


def at(name: str, address: str = "10.0.0.4", **way: object) -> Machine:
    left_out, unreachable = bool(way.pop("left_out", False)), str(way.pop("unreachable", ""))
    connection = Connection(address, **way)  # type: ignore[arg-type]
    return Machine(
        f"host/{name}", name, Platform.UNKNOWN, "hosts-file",
        connection=connection, left_out=left_out, unreachable=unreachable,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("machines", "scopes"),
    [
        ([at("a"), at("b")], ["10.0.0.4:22"]),
        ([at("a"), at("b", port=22, user="other")], ["10.0.0.4:22"]),
        ([at("a", "Web.example"), at("b", "web.example.")], ["web.example:22"]),
        ([at("a", transport=WINRM), at("b", transport=WINRM, port=5986)], ["10.0.0.4:5986"]),
        ([at("a", "::1"), at("b", "::1"), at("c"), at("d")], ["[::1]:22", "10.0.0.4:22"]),
        ([at("a"), at("b", port=2222)], []),
        ([at("a"), at("b", transport=WINRM)], []),
        ([at("a", transport=WINRM, plain_http=True), at("b", transport=WINRM)], []),
        ([at("a", jump=("one",)), at("b", jump=("two",)), at("c")], []),
        ([at("a"), at("b", left_out=True), at("c", unreachable="no user")], []),
        ([at("a", "", transport=RUN_COMMAND), at("b", "", transport=RUN_COMMAND)], []),
        ([at("a"), Machine("host/b", "b", Platform.LINUX, "hosts-file")], []),
    ],
)
def test_who_shares_an_address(
    machines: list[Machine], scopes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = shared(machines)
    assert [limit.scope for limit in found] == scopes
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == scopes
    assert not any(limit.expected for limit in found)
    assert all(limit.plane is Plane.GUEST for limit in found)


def test_it_is_said_once_however_many_there_are(caplog: pytest.LogCaptureFixture) -> None:
    (limit,) = shared([at(f"web-{number}") for number in range(1, 6)])
    assert limit.reason == (
        "5 machines have this address and port (web-1, web-2, web-3 and 2 more): "
        "one guest may answer for them all"
    )
    assert len(caplog.records) == 1
