"""A seeded estate: subscriptions, machines, vaults and the truth about each machine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

from auditor.model import Platform, Status, Verdict
from auditor.simulator.catalogue import FAULTS, HEALTHY, HEALTHY_SHARED
from auditor.simulator.jobs import Job, make_jobs
from auditor.simulator.scenarios import ItemSpec, Scenario, Where
from auditor.simulator.seeds import Seed, choose_image
from auditor.simulator.vaults import (
    CLASSIC,
    Source,
    Vault,
    container_of,
    item_document,
    make_item,
    make_vault,
    other_workload_item,
)
from auditor.simulator.vms import Vm, make_vm

REGIONS = ("westeurope", "northeurope")
HEALTHY_SHARE = 0.55
VMS_PER_VAULT = 900
_GROUPS = ("rg-web", "RG-Data", "rg-app", "Rg-Ops")
_Place = tuple[str, str, str]
_ROLES = ("web", "sql", "app", "ops", "batch", "files")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription that the simulated identity can see."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What an audit must say about one machine; `findings` lists only the decisive checks."""

    scenario: str
    verdict: Verdict
    findings: Mapping[str, Status]


@dataclass(frozen=True, slots=True)
class Estate:
    """Everything that the simulator serves; the same numbers give the same estate, byte for byte."""

    seed: int
    tenant: str
    management_group: str
    client_id: str
    client_secret: str = field(repr=False)
    subscriptions: tuple[Subscription, ...]
    vms: tuple[Vm, ...]
    vaults: tuple[Vault, ...]

    def truth(self) -> dict[str, Truth]:
        """The truth per machine, by its lower-case id."""
        return {
            vm.key: Truth(vm.scenario.name, vm.scenario.verdict, dict(vm.scenario.findings))
            for vm in self.vms
        }


def build_estate(vms: int, seed: int) -> Estate:
    """An estate of `vms` machines; deterministic in both numbers."""
    rng = Random(f"{seed}/{vms}")
    subscriptions = tuple(
        Subscription(_uuid(rng), name)
        for name in ("Contoso Production", "Contoso Development", "Contoso Platform")
    )
    machines = tuple(_machines(rng, vms, subscriptions))
    vaults = _fill(rng, machines, _vaults(rng, vms, subscriptions), subscriptions)
    return Estate(
        seed=seed,
        tenant=_uuid(rng),
        management_group="contoso",
        client_id=_uuid(rng),
        client_secret=f"simulated~{rng.getrandbits(128):032x}",
        subscriptions=subscriptions,
        vms=machines,
        vaults=vaults,
    )


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _scenarios(rng: Random, count: int) -> list[Scenario]:
    healthy = round(count * HEALTHY_SHARE)
    faults = list(FAULTS)
    rng.shuffle(faults)
    shared = max(1, healthy // 12) if healthy else 0
    chosen = [faults[index % len(faults)] for index in range(count - healthy)]
    chosen += [HEALTHY_SHARED] * shared + [HEALTHY] * (healthy - shared)
    rng.shuffle(chosen)
    return chosen


def _machines(rng: Random, count: int, subscriptions: Sequence[Subscription]) -> Iterator[Vm]:
    width = max(3, len(str(count)))
    twins = _Twins()
    for index, scenario in enumerate(_scenarios(rng, count)):
        group = rng.choice(_GROUPS)
        subscription = rng.choices(subscriptions, (5, 4, 1))[0].id
        name = f"{rng.choice(_ROLES)}-{index:0{width}d}"
        yield make_vm(rng, _seed(rng, scenario, twins.place(scenario, (subscription, group, name))))


class _Twins:
    """Gives a machine that is protected and one that is not the same name in two resource groups."""

    def __init__(self) -> None:
        self._waiting: tuple[bool, _Place] | None = None

    def place(self, scenario: Scenario, place: _Place) -> _Place:
        """Where the machine goes: where it was meant to, or beside its opposite."""
        opposite = bool(scenario.items)
        if self._waiting is None:
            self._waiting = (opposite, place)
        elif self._waiting[0] != opposite and self._waiting[1][1] != place[1]:
            twin = self._waiting[1]
            self._waiting = None
            return (twin[0], place[1], twin[2])
        return place


def _seed(rng: Random, scenario: Scenario, place: _Place) -> Seed:
    subscription, group, name = place
    platform = scenario.platform or rng.choice((Platform.WINDOWS, Platform.LINUX))
    return Seed(
        subscription=subscription,
        group=group,
        name=name,
        location=scenario.region or rng.choice(REGIONS),
        platform=platform,
        scenario=scenario,
        managed=rng.random() < 0.9,
        image=choose_image(rng, platform),
        disk=f"{name}_OsDisk_1_{rng.getrandbits(64):016x}",
    )


@dataclass(frozen=True, slots=True)
class _Vaults:
    """Empty vaults by purpose: per subscription and region, a second one each, shared, and empty."""

    home: Mapping[tuple[str, str], tuple[Vault, ...]]
    second: Mapping[tuple[str, str], Vault]
    shared: Mapping[str, Vault]
    empty: Vault


def _vaults(rng: Random, count: int, subscriptions: Sequence[Subscription]) -> _Vaults:
    per_place = 1 + count // (2 * VMS_PER_VAULT)
    platform = subscriptions[-1].id

    def vault(subscription: str, name: str, region: str) -> Vault:
        return make_vault(rng, subscription=subscription, group="RG-Backup", name=name, location=region)

    places = [(sub.id, region) for sub in subscriptions for region in REGIONS]
    short = {region: region.replace("europe", "eu") for region in REGIONS}
    return _Vaults(
        home={
            (sub, region): tuple(
                vault(sub, f"vault-{short[region]}-{n}", region) for n in range(1, per_place + 1)
            )
            for sub, region in places
        },
        second={(sub, region): vault(sub, f"Vault-Second-{short[region]}", region) for sub, region in places},
        shared={region: vault(platform, f"vault-shared-{short[region]}", region) for region in REGIONS},
        empty=vault(platform, "vault-empty", "westeurope"),
    )


def _fill(
    rng: Random, machines: Sequence[Vm], empty: _Vaults, subscriptions: Sequence[Subscription]
) -> tuple[Vault, ...]:
    items: dict[str, list[dict[str, Any]]] = {}
    jobs: dict[str, list[Job]] = {}

    def put(vault: Vault, item: dict[str, Any], error: int = 0, running: bool = False) -> None:
        items.setdefault(vault.key, []).append(item)
        jobs.setdefault(vault.key, []).extend(make_jobs(rng, item, error, running))

    for vm in machines:
        running = vm.scenario is HEALTHY and rng.random() < 0.05
        for spec in vm.scenario.items:
            vault = _place(rng, empty, vm, spec)
            put(vault, make_item(rng, vault, vm, spec), vm.scenario.job_error, running)
    first = empty.home[(subscriptions[0].id, REGIONS[0])][0]
    for stray in _strays(rng, first, subscriptions[0].id):
        put(first, stray)
    items[first.key].append(other_workload_item(rng, first))
    every = [vault for group in empty.home.values() for vault in group]
    every += [*empty.second.values(), *empty.shared.values(), empty.empty]
    return tuple(
        replace(vault, items=tuple(items.get(vault.key, ())), jobs=tuple(jobs.get(vault.key, ())))
        for vault in every
    )


def _place(rng: Random, vaults: _Vaults, vm: Vm, spec: ItemSpec) -> Vault:
    match spec.where:
        case Where.HOME:
            return rng.choice(vaults.home[(vm.subscription, vm.location)])
        case Where.SECOND:
            return vaults.second[(vm.subscription, vm.location)]
        case Where.SHARED:
            return vaults.shared[vm.location]
        case Where.ELSEWHERE:
            other = next(region for region in REGIONS if region != vm.location)
            return vaults.home[(vm.subscription, other)][0]


def _strays(rng: Random, vault: Vault, subscription: str) -> Iterator[dict[str, Any]]:
    group = f"/subscriptions/{subscription}/resourceGroups"
    classic = f"{group}/legacy01/providers/Microsoft.ClassicCompute/virtualMachines/legacy01"
    container = container_of("legacy01", "legacy01", "iaasvmcontainer")
    yield item_document(rng, vault, Source(classic, container, "legacy01", CLASSIC), ItemSpec())
    gone = f"{group}/rg-gone/providers/Microsoft.Compute/virtualMachines/gone-01"
    lost = ItemSpec(status="Unhealthy", health="ActionRequired", health_code=400136, last="Failed")
    yield item_document(rng, vault, Source(gone, container_of("rg-gone", "gone-01"), "gone-01"), lost)
    deleted = ItemSpec(state="ProtectionStopped", policy="", deleted=True)
    source = f"{group}/rg-gone/providers/Microsoft.Compute/virtualMachines/gone-02"
    yield item_document(rng, vault, Source(source, container_of("rg-gone", "gone-02"), "gone-02"), deleted)
