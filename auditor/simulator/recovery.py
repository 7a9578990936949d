"""Microsoft.RecoveryServices, reading: vaults, policies, protected items, jobs, configuration."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from auditor.simulator.jobs import Job, job_document
from auditor.simulator.replies import ArmError, Call, Reply, answer, paged
from auditor.simulator.routes import Router
from auditor.simulator.throttle import FREE, recovery
from auditor.simulator.wire import Document
from auditor.simulator.world import World, odata_terms

_RS = "Microsoft.RecoveryServices"
VAULTS = f"/subscriptions/{{sub}}/resourceGroups/{{group}}/providers/{_RS}/vaults"
VAULT = f"{VAULTS}/{{vault}}"
ITEM = f"{VAULT}/backupFabrics/{{fabric}}/protectionContainers/{{container}}/protectedItems/{{item}}"
_ITEM_READ = f"{_RS}/vaults/backupFabrics/protectionContainers/protectedItems/read"


class Recovery:
    """Handlers that read from the backup service."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, router: Router) -> None:
        """Bind the paths with what they cost."""
        add = router.add
        read = f"{_RS}/Vaults/read"
        sub = f"/subscriptions/{{sub}}/providers/{_RS}/vaults"
        for path in (sub, VAULTS):
            add("GET", path, self.vaults, kind="vault.list", action=read)
        add("GET", VAULT, self.vault, kind="vault.get", action=read)
        for name, handler, kind in (
            ("backupProtectedItems", self.items, "item.list"),
            ("backupPolicies", self.policies, "policy.list"),
            ("backupPolicies/{policy}", self.policy, "policy.get"),
            ("backupJobs", self.jobs, "job.list"),
            ("backupJobs/{job}", self.job, "job.get"),
            ("backupstorageconfig/vaultstorageconfig", self.storage, "storage-config.get"),
            ("backupconfig/vaultconfig", self.config, "config.get"),
        ):
            action = f"{_RS}/vaults/{name.split('/', maxsplit=1)[0]}/read"
            add("GET", f"{VAULT}/{name}", handler, kind=kind, action=action, meter=recovery(action))
        add("GET", ITEM, self.item, kind="item.get", action=_ITEM_READ, meter=recovery(_ITEM_READ))
        points = f"{_ITEM_READ.removesuffix('read')}recoveryPoints/read"
        add("GET", f"{ITEM}/recoveryPoints", self.points, kind="point.list", action=points)
        proxies = f"{VAULT}/backupResourceGuardProxies"
        add("GET", proxies, self.nothing, kind="guard.list", action=f"{_RS}/vaults/read", meter=FREE)

    def vaults(self, call: Call) -> Reply:
        """The vaults of a subscription or group."""
        return paged(call, [state.document for state in self._world.vaults_of(call)])

    def vault(self, call: Call) -> Reply:
        """One vault."""
        return Reply(body=self._world.vault(call).document)

    def items(self, call: Call) -> Reply:
        """The protected items of a vault, filtered as `$filter` says."""
        state = self._world.vault(call)
        terms = odata_terms(call.query.get("$filter", ""))
        kept = [item for item in state.items.values() if _wanted(item["properties"], terms)]
        return paged(call, [state.encoded(item, call.now) for item in kept], "$skipToken")

    def item(self, call: Call) -> Reply:
        """One protected item."""
        state = self._world.vault(call)
        item = state.items.get(call.parts["item"])
        if item is None:
            raise missing("BMSUserErrorObjectNotFound", call.spelled["item"])
        return Reply(body=state.encoded(item, call.now))

    def points(self, call: Call) -> Reply:
        """The recovery points of an item."""
        state = self._world.vault(call)
        item = state.items.get(call.parts["item"])
        if item is None:
            raise missing("BMSUserErrorObjectNotFound", call.spelled["item"])
        return paged(
            call, [Document(point).render(call.now) for point in state.points_of(item)], "$skipToken"
        )

    def policies(self, call: Call) -> Reply:
        """The policies of a vault."""
        terms = odata_terms(call.query.get("$filter", ""))
        policies = self._world.vault(call).policies
        return answer({"value": [p for p in policies if _managed(p["properties"], terms)]})

    def policy(self, call: Call) -> Reply:
        """One policy."""
        for policy in self._world.vault(call).policies:
            if policy["name"].lower() == call.parts["policy"]:
                return answer(policy)
        raise missing("BMSUserErrorObjectNotFound", call.spelled["policy"])

    def jobs(self, call: Call) -> Reply:
        """The jobs of a vault, filtered by status, operation and time."""
        state = self._world.vault(call)
        terms = odata_terms(call.query.get("$filter", ""))
        kept = [job for job in state.jobs if _job_wanted(job, terms, call.now)]
        documents = [orjson.dumps(job_document(state.vault.id, job, call.now, detail=False)) for job in kept]
        return paged(call, documents, "$skipToken")

    def job(self, call: Call) -> Reply:
        """One job with its tasks."""
        state = self._world.vault(call)
        for job in state.jobs:
            if job.id == call.parts["job"]:
                return answer(job_document(state.vault.id, job, call.now, detail=True))
        raise missing("JobNotFound", call.spelled["job"])

    def storage(self, call: Call) -> Reply:
        """The redundancy of a vault; locked once it holds items."""
        state = self._world.vault(call)
        properties = {
            "storageModelType": state.vault.redundancy,
            "storageType": state.vault.redundancy,
            "storageTypeState": "Locked" if state.items else "Unlocked",
            "crossRegionRestoreFlag": False,
        }
        return self._config(state.vault.id, "backupstorageconfig", "vaultstorageconfig", properties)

    def config(self, call: Call) -> Reply:
        """The soft delete of a vault."""
        state = self._world.vault(call)
        soft = state.vault.document["properties"]["securitySettings"]["softDeleteSettings"]
        properties = {
            "enhancedSecurityState": "Enabled",
            "softDeleteFeatureState": soft["softDeleteState"],
            "softDeleteRetentionPeriodInDays": soft["softDeleteRetentionPeriodInDays"],
            "isSoftDeleteFeatureStateEditable": True,
        }
        return self._config(state.vault.id, "backupconfig", "vaultconfig", properties)

    def nothing(self, call: Call) -> Reply:
        """A list that is empty in every vault."""
        self._world.vault(call)
        return answer({"value": []})

    @staticmethod
    def _config(vault: str, kind: str, name: str, properties: Mapping[str, Any]) -> Reply:
        document = {"id": f"{vault}/{kind}/{name}", "name": name, "type": f"{_RS}/vaults/{kind}"}
        return answer({**document, "properties": properties})


def missing(code: str, name: str) -> ArmError:
    """404 of the backup service itself."""
    return ArmError(404, code, f"Object not found: {name}. Please check the name and try again.")


def _managed(properties: Mapping[str, Any], terms: Mapping[str, str]) -> bool:
    wanted = terms.get("backupmanagementtype")
    return wanted is None or wanted.lower() == properties["backupManagementType"].lower()


def _wanted(properties: Mapping[str, Any], terms: Mapping[str, str]) -> bool:
    kind = terms.get("itemtype")
    return _managed(properties, terms) and (
        kind is None or kind.lower() == properties["workloadType"].lower()
    )


def _job_wanted(job: Job, terms: Mapping[str, str], now: float) -> bool:
    if terms.get("backupmanagementtype", "AzureIaasVM").lower() != "azureiaasvm":
        return False
    if terms.get("status", job.status_at(now)).lower() != job.status_at(now).lower():
        return False
    if terms.get("operation", job.operation).lower() != job.operation.lower():
        return False
    start = job.start(now)
    return _moment(terms.get("starttime"), start) <= start <= _moment(terms.get("endtime"), start)


def _moment(text: str | None, default: float) -> float:
    if text is None:
        return default
    for shape in ("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %H:%M:%S"):
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise ArmError(400, "BMSUserErrorInvalidInput", f"The time {text!r} in the filter is not valid.")
