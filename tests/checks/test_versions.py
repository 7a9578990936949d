"""Agent versions as they occur: the parser and the order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.versions import parse_version

PARTS = st.lists(st.integers(0, 10**9 - 1), min_size=2, max_size=4)
SUFFIXES = st.sampled_from(["", "-4.1", "-1.el6", "~deb12u1", "+git.5", " (rd_art_stable)", "\r\n"])


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.6.1198.718", (2, 6, 1198, 718)),
        ("2.7.41491.1010", (2, 7, 41491, 1010)),
        ("2.2.45", (2, 2, 45, 0)),
        ("2.7.3.0-4.1", (2, 7, 3, 0)),
        ("2.2.18-1.el6", (2, 2, 18, 0)),
        ("9.9.9.9", (9, 9, 9, 9)),
        (" 2.12.0.2-3\n", (2, 12, 0, 2)),
        ("2.7.41491.1095 (rd_art_stable.230101-0000)", (2, 7, 41491, 1095)),
        ("Unknown", None),
        ("", None),
        (None, None),
        ("6.1", (6, 1, 0, 0)),
        ("2", None),
        ("2.", None),
        ("2.2.45.", None),
        ("1.2.3.4.5", None),
        ("2.2.x", None),
        ("v2.2.45", None),
        ("-2.2.45", None),
        ("٢.٢.٤٥", None),
        ("2." + "9" * 5000 + ".1", None),
    ],
)
def test_what_agents_print(text: str | None, version: tuple[int, ...] | None) -> None:
    assert parse_version(text) == version


@given(PARTS, SUFFIXES)
def test_what_is_appended_changes_nothing(parts: list[int], suffix: str) -> None:
    assert parse_version(".".join(map(str, parts)) + suffix) == (*parts, 0, 0)[:4]


@given(PARTS, PARTS)
def test_versions_are_ordered_number_by_number(first: list[int], second: list[int]) -> None:
    one, other = (parse_version(".".join(map(str, parts))) for parts in (first, second))
    assert one is not None
    assert other is not None
    assert (one < other) == ((*first, 0, 0)[:4] < (*second, 0, 0)[:4])


@given(st.text())
def test_any_text_is_a_version_or_none(text: str) -> None:
    version = parse_version(text)
    assert version is None or (len(version) == 4 and all(part >= 0 for part in version))
