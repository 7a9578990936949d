"""The estate while it is served: look-ups by path, and operations under way."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from auditor.simulator.estate import Estate
from auditor.simulator.permissions import Grant, allowed
from auditor.simulator.replies import Call, forbidden, group_not_found, not_found, subscription_not_found
from auditor.simulator.state import VaultState, VmState
from auditor.simulator.vaults import scheduled
from auditor.simulator.wire import vault_id, vm_id

VM_TYPE = "Microsoft.Compute/virtualMachines"
VAULT_TYPE = "Microsoft.RecoveryServices/vaults"


@dataclass(frozen=True, slots=True)
class Options:
    """How the server behaves.

    The first `lro_polls` polls of an operation answer "in progress", with `retry_after` (seconds);
    `backup_seconds` is how long a backup takes, `token_seconds` how long a token is valid. `addresses` are
    private addresses by lower-cased VM id, where a machine is to be reached; `secrets` a key vault's.
    Policies run in `next_backup_hours` (rounded up to the half hour), so that no backup is due by chance.
    `grants` are what the identity may do; `clock` tells the time (seconds since the epoch).
    """

    latency_ms: float = 0
    lro_polls: int = 0
    retry_after: int = 1
    backup_seconds: float = 2.0
    token_seconds: float = 3600.0
    enforce_quotas: bool = True
    addresses: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    next_backup_hours: float = 11.5
    grants: tuple[Grant, ...] = (Grant(),)
    clock: Callable[[], float] = time.time


@dataclass(slots=True)
class Operation:
    """A long-running operation; `output` is what its result holds, `job` the job it started."""

    id: str
    started: float
    polls_left: int
    output: dict[str, Any] | None = None
    job: str | None = None

    def poll(self) -> bool:
        """Whether it is done; each call is one poll."""
        self.polls_left -= 1
        return self.polls_left < 0

    @property
    def done(self) -> bool:
        """Whether a poll has already said so."""
        return self.polls_left < 0


class World:
    """Everything that the handlers read and change."""

    def __init__(self, estate: Estate, options: Options) -> None:
        self.estate = estate
        self.options = options
        self.demanded: Counter[str] = Counter()
        self.operations: dict[str, Operation] = {}
        self.vms = {vm.key: VmState(vm) for vm in estate.vms}
        due = _half_hour(options.clock() + 3600 * options.next_backup_hours)
        self.vaults = {
            vault.key: VaultState(vault, scheduled(vault.policies, due)) for vault in estate.vaults
        }
        self.subscriptions = {sub.id.lower(): sub for sub in estate.subscriptions}
        self._by_subscription: dict[str, list[VmState]] = {key: [] for key in self.subscriptions}
        for state in self.vms.values():
            self._by_subscription[state.vm.subscription.lower()].append(state)
        self.groups: dict[tuple[str, str], str] = {
            (sub.lower(), group.lower()): group
            for sub, group in [
                *((vault.subscription, vault.group) for vault in estate.vaults),
                *((vm.subscription, vm.group) for vm in estate.vms),
            ]
        }
        self._ids = Random(estate.seed)

    def new_id(self) -> str:
        """A fresh id, in the order of the seed."""
        return str(UUID(int=self._ids.getrandbits(128), version=4))

    def demand(self, action: str, path: str) -> None:
        """Raise the 403 of an action that the identity may not do there."""
        self.demanded[action] += 1
        if not allowed(self.options.grants, action, path):
            raise forbidden(self.estate.client_id, action, path)

    def region(self, parts: Mapping[str, str]) -> str:
        """Where the VM of a path is, or nothing for a path without a known VM."""
        state = self.vms.get(_vm_key(parts)) if "vm" in parts else None
        return state.vm.location if state else parts.get("location", "")

    def see_group(self, call: Call) -> None:
        """Raise the 404 of a subscription or resource group that is not there."""
        if call.parts["sub"] not in self.subscriptions:
            raise subscription_not_found(call.spelled["sub"])
        if "group" in call.parts and (call.parts["sub"], call.parts["group"]) not in self.groups:
            raise group_not_found(call.spelled["group"])

    def vms_of(self, call: Call) -> list[VmState]:
        """The VMs below the subscription and the group of a path."""
        self.see_group(call)
        states = self._by_subscription[call.parts["sub"]]
        group = call.parts.get("group")
        return states if group is None else [s for s in states if s.vm.group.lower() == group]

    def vm(self, call: Call) -> VmState:
        """The VM of a path."""
        self.see_group(call)
        state = self.vms.get(_vm_key(call.parts))
        if state is None:
            raise not_found(VM_TYPE, call.spelled["vm"], call.spelled["group"])
        return state

    def vaults_of(self, call: Call) -> list[VaultState]:
        """The vaults below the subscription and the group of a path."""
        self.see_group(call)
        sub, group = call.parts["sub"], call.parts.get("group")
        return [
            state
            for state in self.vaults.values()
            if state.vault.subscription.lower() == sub and group in (None, state.vault.group.lower())
        ]

    def vault(self, call: Call) -> VaultState:
        """The vault of a path, with every backup that is over settled."""
        self.see_group(call)
        parts = call.parts
        state = self.vaults.get(vault_id(parts["sub"], parts["group"], parts["vault"]).lower())
        if state is None:
            raise not_found(VAULT_TYPE, call.spelled["vault"], call.spelled["group"])
        state.settle(call.now)
        return state

    def items_of_vm(self, vm_key: str) -> Iterable[tuple[VaultState, dict[str, Any]]]:
        """Every protected item of a VM that is not about to be deleted, in every vault."""
        for state in self.vaults.values():
            for item in state.items.values():
                properties = item["properties"]
                if properties.get("sourceResourceId", "").lower() != vm_key:
                    continue
                if not properties.get("isScheduledForDeferredDelete"):
                    yield state, item

    def start(self, output: dict[str, Any] | None = None, job: str | None = None) -> Operation:
        """Begin an operation."""
        operation = Operation(self.new_id(), self.options.clock(), self.options.lro_polls, output, job)
        self.operations[operation.id] = operation
        return operation


def _half_hour(epoch: float) -> str:
    moment = datetime.fromtimestamp(-(-epoch // 1800) * 1800, UTC)
    return f"2024-04-28T{moment:%H:%M}:00Z"


def _vm_key(parts: Mapping[str, str]) -> str:
    return vm_id(parts["sub"], parts["group"], parts["vm"]).lower()


def signed(base: str, path: str, version: str, extra: str = "") -> str:
    """The address of an operation, with the long signature that real ones carry."""
    signature = "A" * 86
    proof = f"t={int(time.time() * 1e7)}&c={signature}&s={signature}&h=sim"
    return f"{base}{path}?{extra}api-version={version}&{proof}"


def odata_terms(text: str) -> dict[str, str]:
    """The `name eq 'value'` terms of an OData filter, names in lower case."""
    terms: dict[str, str] = {}
    for term in text.split(" and "):
        name, _, value = term.partition(" eq ")
        if value:
            terms[name.strip().lower()] = value.strip().strip("'")
    return terms
