import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.simulator.replies import Call, Reply, page_starts
from auditor.simulator.routes import Router
from auditor.simulator.wire import Document, ago, ago_z, duration
from auditor.simulator.world import odata_terms


@given(st.integers(min_value=0, max_value=20_000))
def test_pages_cover_every_entry_once_and_start_with_one_and_none(total: int) -> None:
    starts = page_starts(total)
    ends = [*starts[1:], total]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    assert sum(sizes) == total
    assert starts == sorted(starts)
    if total > 1:
        assert sizes[:2] == [1, 0]
        assert all(0 < size <= 500 for size in sizes[2:])


def test_times_are_relative_to_the_moment_of_sending() -> None:
    document = Document({"agent": ago(90), "item": ago_z(3600), "ahead": ago(-60), "plain": "@ago"})
    assert orjson.loads(document.render(1_700_000_000)) == {
        "agent": "2023-11-14T22:11:50+00:00",
        "item": "2023-11-14T21:13:20.0000001Z",
        "ahead": "2023-11-14T22:14:20+00:00",
        "plain": "@ago",
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.7, "PT9.7000000S"), (2476.2122671, "PT41M16.2122671S"), (-1, "PT0.0000000S")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", {}),
        (
            "status eq 'InProgress' and operation eq 'Restore'",
            {"status": "InProgress", "operation": "Restore"},
        ),
        ("backupManagementType eq 'AzureIaasVM'", {"backupmanagementtype": "AzureIaasVM"}),
        ("nonsense", {}),
    ],
)
def test_filters(text: str, terms: dict[str, str]) -> None:
    assert odata_terms(text) == terms


def here(call: Call) -> Reply:
    return Reply(body=call.path.encode())


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/subscriptions/S/things/T", {"sub": "s", "thing": "t"}),
        ("/SUBSCRIPTIONS/S/Things/T/", {"sub": "s", "thing": "t"}),
        ("/subscriptions/S/things/special", {"sub": "s"}),
        ("/subscriptions/S/things", None),
        ("/subscriptions/S/things/T/more", None),
        ("//", None),
    ],
)
def test_routes_ignore_case_and_prefer_fixed_segments(path: str, found: dict[str, str] | None) -> None:
    router = Router()
    router.add("GET", "/subscriptions/{sub}/things/{thing}", here, kind="thing")
    router.add("GET", "/subscriptions/{sub}/things/special", here, kind="special")
    match = router.find("GET", path)
    assert (match[1] if match else None) == found
    assert router.find("PUT", path) is None
