"""Which ids are the same machine's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.facts import same_id

VM_ID = "5b1ca0de-1234-4abc-8000-00000000a001"


@pytest.mark.parametrize(
    ("firmware", "same"),
    [
        (VM_ID, True),
        (VM_ID.upper(), True),
        (f" {VM_ID}\n", True),
        ("dea01c5b-3412-bc4a-8000-00000000a001", True),
        ("DEA01C5B-3412-BC4A-8000-00000000A001", True),
        ("dea01c5b-3412-bc4a-0080-00000000a001", False),
        ("5b1ca0de-1234-4abc-8000-00000000a002", False),
        ("5b1ca0de12344abc800000000000a001", False),
        ("", False),
        ("not available", False),
    ],
)
def test_a_board_and_its_vm(firmware: str, same: bool) -> None:
    assert same_id(firmware, VM_ID) is same


def test_an_id_that_is_none_is_only_itself() -> None:
    assert same_id("web-1", "WEB-1")
    assert not same_id(VM_ID, "web-1")


@given(st.uuids(), st.uuids())
def test_the_order_of_bytes_is_all_that_may_differ(one: object, other: object) -> None:
    assert same_id(str(one), str(one))
    assert same_id(str(one), str(other)) is same_id(str(other), str(one))
