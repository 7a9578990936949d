import re
from collections.abc import Callable

import pytest

from auditor.simulator import throttle
from auditor.simulator.server import RunningServer
from auditor.simulator.throttle import Meter, Quotas, Refusal
from auditor.simulator.world import Options
from tests.simulator.client import Client, of

Serve = Callable[..., RunningServer]
ITEMS = "Microsoft.RecoveryServices/vaults/backupProtectedItems/read"


def burst(meter: Meter, limit: int) -> tuple[int, int | None]:
    """How many requests for one resource pass at once, and how long the next must wait (seconds)."""
    quotas = Quotas()
    for passed in range(limit):
        result = quotas.charge(meter, "sub/westeurope", "vm", 1000.0)
        if isinstance(result, Refusal):
            return passed, result.wait
    return limit, None


@pytest.mark.parametrize(
    ("meter", "size", "wait"),
    [
        (throttle.LOW_COST_GET, 36, 6),
        (throttle.HIGH_COST_GET, 900, 1),
        (throttle.GET_OPERATION, 45, 5),
        (throttle.UPDATE_VM, 12, 16),
        (throttle.DELETE_VM, 12, 16),
        (throttle.recovery(ITEMS), 150, 25),
        (throttle.ARM_WRITE, 1200, 4),
    ],
)
def test_buckets_have_the_documented_sizes(meter: Meter, size: int, wait: int) -> None:
    assert burst(meter, 2000) == (size, wait)


def test_tokens_flow_back_and_never_exceed_the_size() -> None:
    quotas = Quotas()
    for _ in range(36):
        quotas.charge(throttle.LOW_COST_GET, "sub", "vm", 0.0)
    assert isinstance(quotas.charge(throttle.LOW_COST_GET, "sub", "vm", 0.0), Refusal)
    assert isinstance(quotas.charge(throttle.LOW_COST_GET, "sub", "vm", 4.9), Refusal)
    later = quotas.charge(throttle.LOW_COST_GET, "sub", "vm", 5.0)
    assert not isinstance(later, Refusal)
    much_later = quotas.charge(throttle.LOW_COST_GET, "sub", "vm", 10_000.0)
    assert not isinstance(much_later, Refusal)
    assert much_later["x-ms-ratelimit-remaining-resource"].endswith("LowCostGetResource;35")


def test_each_machine_has_a_bucket_of_its_own() -> None:
    quotas = Quotas()
    for _ in range(36):
        quotas.charge(throttle.LOW_COST_GET, "sub", "one", 0.0)
    assert isinstance(quotas.charge(throttle.LOW_COST_GET, "sub", "one", 0.0), Refusal)
    assert not isinstance(quotas.charge(throttle.LOW_COST_GET, "sub", "two", 0.0), Refusal)


def test_without_enforcement_nothing_is_refused() -> None:
    quotas = Quotas(enforce=False)
    results = [quotas.charge(throttle.UPDATE_VM, "sub", "vm", 0.0) for _ in range(30)]
    assert not any(isinstance(result, Refusal) for result in results)


def test_a_machine_that_is_asked_too_often_is_answered_429(serve: Serve) -> None:
    server = serve()
    client = Client(server)
    vm = of(server.estate, "healthy")
    answers = [client.get(f"{vm.id}/instanceView?api-version=1") for _ in range(40)]
    assert [a.status for a in answers].count(200) in (36, 37)
    refused = next(a for a in answers if a.status == 429)
    assert refused.code == "TooManyRequests"
    assert 0 < int(refused.headers["Retry-After"]) <= 6
    assert answers[0].headers["x-ms-ratelimit-remaining-resource"] == (
        "Microsoft.Compute/LowCostGetSubscriptionMaximum;23999,Microsoft.Compute/LowCostGetResource;35"
    )
    assert server.stats.too_many == [a.status for a in answers].count(429)
    assert server.stats.requests["vm.instance-view"] == 40


def test_the_backup_service_counts_per_action(serve: Serve) -> None:
    server = serve()
    client = Client(server)
    vault = server.estate.vaults[0]
    path = f"{vault.id}/backupProtectedItems?api-version=1"
    answers = [client.get(path) for _ in range(151)]
    assert [a.status for a in answers].count(200) == 150
    assert answers[0].headers["x-ms-ratelimit-remaining-subscription-resource-requests"] == "149"
    refused = answers[-1]
    assert (refused.status, refused.code) == (429, "ResourceRequestsThrottled")
    message = refused.json["error"]["message"]
    assert re.search(r"backupProtectedItems/read' exceeded the limit of '150' .* '01:00:00'", message)
    assert re.search(r"try again after '\d+' seconds", message)
    assert client.get(f"{vault.id}/backupPolicies?api-version=1").status == 200


def test_enforcement_can_be_switched_off(serve: Serve) -> None:
    server = serve(options=Options(enforce_quotas=False))
    client = Client(server)
    vm = of(server.estate, "healthy")
    assert {client.get(f"{vm.id}?api-version=1").status for _ in range(40)} == {200}
    assert server.stats.too_many == 0
