"""A machine that two threads have to do with at a time: what is served in the end is what it has become."""

from collections.abc import Callable, ValuesView
from threading import Thread
from typing import Any

import orjson

from auditor.simulator.estate import Estate
from auditor.simulator.server import RunningServer
from auditor.simulator.state import VmState
from tests.simulator.client import Client, of

SILENT = {"vmAgent": {"vmAgentVersion": "Unknown"}}
SCENARIO = "extension-failed"


class Meanwhile(dict[str, Any]):
    """A document during whose reading something else happens, once."""

    happens: Callable[[], None] | None = None

    def values(self) -> ValuesView[str, Any]:
        """What it holds."""
        self._happen()
        return super().values()

    def get(self, key: str, default: Any = None) -> Any:
        """What it holds under a name."""
        self._happen()
        return super().get(key, default)

    def _happen(self) -> None:
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()


def test_a_document_that_was_overtaken_by_a_change_is_not_served_again(estate: Estate) -> None:
    state = VmState(of(estate, SCENARIO))
    state.extensions = meanwhile = Meanwhile(state.extensions)

    def fall_silent() -> None:
        with state.changing():
            state.view = SILENT

    meanwhile.happens = fall_silent
    overtaken, after = (orjson.loads(state.full(0.0, expand=True)) for _ in range(2))
    assert overtaken["properties"]["instanceView"] != SILENT
    assert after["properties"]["instanceView"] == SILENT


def test_a_heartbeat_brings_no_extension_back_that_is_being_deleted(
    serve: Callable[..., RunningServer], estate: Estate
) -> None:
    machine, server = of(estate, SCENARIO), serve()
    state, client = server.world.vms[machine.key], Client(server)
    (name,) = state.extensions
    path = f"{machine.id}/extensions/{name}?api-version=2024-07-01"
    deletion = Thread(target=client.send, args=("DELETE", path))

    def delete() -> None:
        deletion.start()
        deletion.join(0.3)  # it may have to wait

    state.view = meanwhile = Meanwhile(state.view)
    assert state.view["vmAgent"]["extensionHandlers"]
    meanwhile.happens = delete
    server.agent_reports(machine.id, "2.12.0.4")
    deletion.join()
    assert state.view["vmAgent"]["vmAgentVersion"] == "2.12.0.4"
    assert state.view["vmAgent"]["extensionHandlers"] == []
