"""A machine that changes while its documents are made: what is served next is what it has become."""

from collections.abc import Callable, ValuesView
from typing import Any

import orjson
import pytest

from auditor.simulator.estate import Estate
from auditor.simulator.state import VmState
from tests.simulator.client import of

SILENT = {"vmAgent": {"vmAgentVersion": "Unknown"}}


class Meanwhile(dict[str, dict[str, Any]]):
    """Extensions that somebody looks at while something else happens, once."""

    happens: Callable[[], None] | None = None

    def values(self) -> ValuesView[str, dict[str, Any]]:
        """The extensions, after it has happened."""
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return super().values()


@pytest.fixture
def state(estate: Estate) -> VmState:
    return VmState(of(estate, "extension-failed"))


def test_a_document_that_was_overtaken_by_a_change_is_not_served_again(state: VmState) -> None:
    state.extensions = meanwhile = Meanwhile(state.extensions)
    meanwhile.happens = lambda: state.change(SILENT)
    overtaken, after = (orjson.loads(state.full(0.0, expand=True)) for _ in range(2))
    assert overtaken["properties"]["instanceView"] != SILENT
    assert after["properties"]["instanceView"] == SILENT
