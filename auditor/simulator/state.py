"""One machine and one vault while they are served: what changes, and the encoded form of what does not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from auditor.simulator.jobs import Job
from auditor.simulator.vaults import Vault
from auditor.simulator.views import power_status
from auditor.simulator.vms import Vm
from auditor.simulator.wire import Document, instant


class VmState:
    """One VM; its documents are encoded when first asked for."""

    def __init__(self, vm: Vm) -> None:
        self.vm = vm
        self.power = vm.power
        self.model: dict[str, Any] = vm.model
        self.view: dict[str, Any] = vm.view
        self.extensions: dict[str, dict[str, Any]] = {e["name"].lower(): e for e in vm.extensions}
        self._encoded: dict[str, Document] = {}
        self._changing = threading.Lock()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold off every other change; the documents are made anew afterwards."""
        with self._changing:
            try:
                yield
            finally:
                # a new one: what is being encoded in another thread just now goes into the old one
                self._encoded = {}

    def listed(self) -> bytes:
        """The VM as lists have it: no instance view."""
        return self._document("listed", lambda: self.model).render()

    def status_only(self) -> bytes:
        """The VM as a list of run-time states has it: the power state and no agent."""
        return self._document("status", self._status).render()

    def instance_view(self, now: float) -> bytes:
        """The bare instance view."""
        return self._document("view", lambda: self.view).render(now)

    def full(self, now: float, expand: bool) -> bytes:
        """The VM as a GET has it: child resources only where there are extensions."""
        return self._document("expanded" if expand else "plain", lambda: self._full(expand)).render(now)

    def _document(self, name: str, make: Callable[[], dict[str, Any]]) -> Document:
        encoded = self._encoded
        document = encoded.get(name)
        if document is None:
            document = encoded[name] = Document(make())
        return document

    def _full(self, expand: bool) -> dict[str, Any]:
        model = {**self.model, "id": self.vm.id}
        if expand:
            model["properties"] = {**model["properties"], "instanceView": self.view}
        if self.extensions:
            model["resources"] = list(self.extensions.values())
        return model

    def _status(self) -> dict[str, Any]:
        model = self.model
        properties = {
            "vmId": model["properties"]["vmId"],
            "provisioningState": model["properties"]["provisioningState"],
            "instanceView": {"statuses": [power_status(self.power)]},
        }
        return {**{key: model[key] for key in ("name", "id", "type", "location")}, "properties": properties}


class VaultState:
    """One vault with its items, policies and jobs as they are now."""

    def __init__(self, vault: Vault, policies: tuple[dict[str, Any], ...] | None = None) -> None:
        self.vault = vault
        self.policies = vault.policies if policies is None else policies
        self.document = orjson.dumps(vault.document)
        self.items: dict[str, dict[str, Any]] = {item["name"].lower(): item for item in vault.items}
        self.jobs: list[Job] = list(vault.jobs)
        self.refreshed = False
        self._encoded: dict[str, Document] = {}
        self._points: dict[str, list[dict[str, Any]]] = {}
        self._pending: list[tuple[Job, str, str]] = []

    def put_item(self, item: dict[str, Any]) -> None:
        """Add an item or replace the one of that name."""
        name = item["name"].lower()
        self.items[name] = item
        self._encoded.pop(name, None)

    def back_up(self, job: Job, item_name: str, consistency: str) -> None:
        """Start a backup; the item changes, and a recovery point comes, when the job's time is over."""
        self.jobs.insert(0, job)
        self._pending.append((job, item_name, consistency))

    def points_of(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """The recovery points of an item, the newest first."""
        properties = item["properties"]
        made = self._points.get(item["name"].lower(), [])
        if made or "lastRecoveryPoint" not in properties:
            return made[::-1]
        return [_point(item, properties["lastRecoveryPoint"], "AppConsistent", 1)]

    def settle(self, now: float) -> None:
        """Let the backups whose time is over change their items."""
        for entry in list(self._pending):
            job, name, consistency = entry
            item = self.items.get(name)
            if job.status_at(now) == "InProgress":
                continue
            self._pending.remove(entry)
            if item is not None and job.status == "Completed":
                points = self._points.setdefault(name, self.points_of(item)[::-1])
                points.append(_point(item, instant(now), consistency, len(points) + 1))
                self.put_item(_backed_up(item, now))
            elif item is not None:
                changed = {"lastBackupStatus": job.status, "lastBackupTime": instant(now)}
                self.put_item({**item, "properties": {**item["properties"], **changed}})

    def encoded(self, item: dict[str, Any], now: float) -> bytes:
        """An item as JSON."""
        name = item["name"].lower()
        document = self._encoded.get(name)
        if document is None:
            document = self._encoded[name] = Document(item)
        return document.render(now)


def _point(item: dict[str, Any], moment: str, consistency: str, number: int) -> dict[str, Any]:
    return {
        "id": f"{item['id']}/recoveryPoints/{number}",
        "name": str(number),
        "type": f"{item['type']}/recoveryPoints",
        "properties": {
            "objectType": "IaasVMRecoveryPoint",
            "recoveryPointType": consistency,
            "recoveryPointTime": moment,
            "sourceVMStorageType": "NormalStorage",
        },
    }


def _backed_up(item: dict[str, Any], now: float) -> dict[str, Any]:
    moment = instant(now)
    changed = {
        "protectionState": "Protected",
        "protectionStatus": "Healthy",
        "lastBackupStatus": "Completed",
        "lastBackupTime": moment,
        "lastRecoveryPoint": moment,
    }
    return {**item, "properties": {**item["properties"], **changed}}
