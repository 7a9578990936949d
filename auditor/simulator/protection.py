"""Microsoft.RecoveryServices, changing: enable and stop protection, back up now, and their operations."""

from dataclasses import replace
from random import Random
from typing import Any

from auditor.model import Platform
from auditor.simulator.jobs import Job
from auditor.simulator.recovery import ITEM, VAULT, missing
from auditor.simulator.replies import ArmError, Call, Reply, answer, paged
from auditor.simulator.routes import Router
from auditor.simulator.scenarios import ItemSpec
from auditor.simulator.state import VaultState, VmState
from auditor.simulator.throttle import ARM_WRITE, FREE, recovery
from auditor.simulator.vaults import Source, container_of, item_document
from auditor.simulator.wire import NEVER, Document, instant
from auditor.simulator.world import Operation, World, odata_terms, signed

_RS = "Microsoft.RecoveryServices"
_FABRIC = f"{VAULT}/backupFabrics/{{fabric}}"
_OPERATIONS = f"{_RS}/vaults/backupOperations/read"
_PROTECTABLE = f"{_RS}/vaults/backupProtectableItems/read"
_ITEM_WRITE = f"{_RS}/vaults/backupFabrics/protectionContainers/protectedItems"


class Protection:
    """Handlers that change what is protected, and tell what could be."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = Random(world.estate.seed + 1)

    def register(self, router: Router) -> None:
        """Bind the paths with what they cost."""
        add = router.add
        add(
            "POST",
            f"/subscriptions/{{sub}}/providers/{_RS}/locations/{{location}}/backupStatus",
            self.status,
            kind="backup-status",
            action=f"{_RS}/locations/backupStatus/action",
            meter=ARM_WRITE,
        )
        add(
            "GET",
            f"{VAULT}/backupProtectableItems",
            self.protectable,
            kind="protectable.list",
            action=_PROTECTABLE,
            meter=recovery(_PROTECTABLE),
        )
        refresh = f"{_RS}/vaults/backupFabrics/refreshContainers/action"
        writes = (
            ("POST", f"{_FABRIC}/refreshContainers", self.refresh, "refresh", refresh),
            ("PUT", ITEM, self.protect, "item.put", f"{_ITEM_WRITE}/write"),
            ("DELETE", ITEM, self.unprotect, "item.delete", f"{_ITEM_WRITE}/delete"),
            ("POST", f"{ITEM}/backup", self.back_up, "item.backup", f"{_ITEM_WRITE}/backup/action"),
        )
        for method, path, handler, kind, action in writes:
            add(method, path, handler, kind=kind, action=action, meter=ARM_WRITE)
        for base, right in ((_FABRIC, f"{_RS}/vaults/backupFabrics"), (ITEM, _ITEM_WRITE)):
            for name, handler in (("operationsStatus", self.operation), ("operationResults", self.result)):
                path, action = f"{base}/{name}/{{operation}}", f"{right}/{name}/read"
                add("GET", path, handler, kind="operation", action=action, meter=FREE)
        add(
            "GET",
            f"{VAULT}/backupOperations/{{operation}}",
            self.operation,
            kind="operation",
            action=_OPERATIONS,
            meter=recovery(_OPERATIONS),
        )
        add("GET", f"{VAULT}/backupOperationResults/{{operation}}", self.result, kind="operation", meter=FREE)

    def status(self, call: Call) -> Reply:
        """Whether a VM is protected in a vault of the region of the path."""
        source = str(call.body.get("resourceId", ""))
        vm = self._world.vms.get(source.lower())
        group, name = _group_and_name(source)
        container = container_of(group.lower(), name.lower())
        body: dict[str, Any] = {"protectionStatus": "NotProtected"}
        for vault, item in self._world.items_of_vm(source.lower()):
            if vault.vault.location == call.parts["location"] and vm is not None:
                body = {"protectionStatus": "Protected", "vaultId": vault.vault.id}
                body["policyName"] = item["properties"]["policyName"]
        names = {
            "fabricName": "Azure",
            "containerName": f"iaasvmcontainer;{container}",
            "protectedItemName": f"vm;{container}",
            "protectedItemsCount": 0,
            "objectType": "BackupStatusResponse",
        }
        return answer({**body, **names})

    def protectable(self, call: Call) -> Reply:
        """The VMs that the vault could take; empty until its containers were refreshed."""
        vault = self._world.vault(call)
        terms = odata_terms(call.query.get("$filter", ""))
        if not vault.refreshed or terms.get("backupmanagementtype", "AzureIaasVM").lower() != "azureiaasvm":
            return answer({"value": []})
        free = [
            state
            for state in self._world.vms.values()
            if state.vm.subscription == vault.vault.subscription
            and state.vm.location == vault.vault.location
            and not any(True for _ in self._world.items_of_vm(state.vm.key))
        ]
        return paged(call, [Document(_protectable(vault, state)).render() for state in free], "$skipToken")

    def refresh(self, call: Call) -> Reply:
        """Look for VMs that could be protected."""
        vault = self._world.vault(call)
        vault.refreshed = True
        path = f"{vault.vault.id}/backupFabrics/Azure"
        return self._accepted(call, path, self._world.start())

    def protect(self, call: Call) -> Reply:
        """Enable protection with a policy, change the policy, or stop protection and keep the data."""
        vault = self._world.vault(call)
        wanted = call.body.get("properties", {})
        known = vault.items.get(call.parts["item"])
        if wanted.get("protectionState") == "ProtectionStopped" and known is not None:
            changes = {"protectionState": "ProtectionStopped", "policyId": "", "policyName": ""}
            vault.put_item({**known, "properties": {**known["properties"], **changes}})
            job = self._job(vault, known["properties"]["containerName"], "DisableBackup")
        else:
            job = self._enable(vault, wanted, known)
        return self._accepted(call, _item_path(vault, call), self._world.start(job=job))

    def unprotect(self, call: Call) -> Reply:
        """Stop protection and delete the data."""
        vault = self._world.vault(call)
        item = vault.items.pop(call.parts["item"], None)
        if item is None:
            return Reply(204)
        job = self._job(vault, item["properties"]["containerName"], "DeleteBackupData")
        return self._accepted(call, _item_path(vault, call), self._world.start(job=job))

    def back_up(self, call: Call) -> Reply:
        """Start a backup; its job ends by itself, and completes where the agent answers or is not needed."""
        vault = self._world.vault(call)
        item = vault.items.get(call.parts["item"])
        if item is None:
            raise missing("BMSUserErrorObjectNotFound", call.spelled["item"])
        if item["properties"]["protectionState"] == "ProtectionStopped":
            message = "The backup of an item whose protection is stopped is not allowed."
            raise ArmError(400, "UserErrorOperationNotAllowedOnProtectionStoppedItem", message)
        consistency = self._consistency(item["properties"])
        job = self._new_job(item["properties"]["containerName"], "Backup")
        if consistency is None:
            job = replace(job, status="Failed", error=400196)
        vault.back_up(job, item["name"].lower(), consistency or "")
        return self._accepted(call, _item_path(vault, call), self._world.start(job=job.id))

    def operation(self, call: Call) -> Reply:
        """The state of an operation, with the id of the job that it started once it has succeeded."""
        operation = self._operation(call)
        done = operation.poll()
        body: dict[str, Any] = {
            "id": operation.id,
            "name": operation.id,
            "status": "Succeeded" if done else "InProgress",
            "startTime": instant(operation.started),
            "endTime": instant(call.now) if done else NEVER,
        }
        if done and operation.job:
            body["properties"] = {"objectType": "OperationStatusJobExtendedInfo", "jobId": operation.job}
        return answer(body, headers={} if done else {"Retry-After": str(self._world.options.retry_after)})

    def result(self, call: Call) -> Reply:
        """The result of an operation: 202 while it runs, the item where there is one, 204 otherwise."""
        operation = self._operation(call)
        if not operation.done and not operation.poll():
            headers = {"Location": f"{call.base}{call.path}?api-version={call.query['api-version']}"}
            return Reply(202, headers=headers | {"Retry-After": str(self._world.options.retry_after)})
        vault = self._world.vault(call)
        item = vault.items.get(call.parts.get("item", ""))
        return Reply(body=vault.encoded(item, call.now)) if item else Reply(204)

    def _consistency(self, properties: dict[str, Any]) -> str | None:
        """Of the recovery point that a backup makes now; None where it fails for want of the agent."""
        state = self._world.vms.get(properties["sourceResourceId"].lower())
        if state is None or state.power != "running" or properties["policyName"].startswith("Crash"):
            return "CrashConsistent"
        statuses = state.view.get("vmAgent", {}).get("statuses", [])
        if not any(status["code"].lower() == "provisioningstate/succeeded" for status in statuses):
            return None
        return "AppConsistent" if state.vm.platform is Platform.WINDOWS else "FileSystemConsistent"

    def _operation(self, call: Call) -> Operation:
        operation = self._world.operations.get(call.parts["operation"])
        if operation is None:
            raise missing("OperationNotFound", call.spelled["operation"])
        return operation

    def _enable(self, vault: VaultState, wanted: dict[str, Any], known: dict[str, Any] | None) -> str:
        source = str(wanted.get("sourceResourceId") or "")
        if known is not None and not source:
            source = known["properties"]["sourceResourceId"]
        state = self._world.vms.get(source.lower())
        if state is None:
            raise ArmError(400, "UserErrorVmNotFoundV2", "Virtual machine doesn't exist.")
        self._check_place(vault, state)
        policy = str(wanted.get("policyId", "")).rsplit("/", 1)[-1]
        names = {entry["name"].lower(): entry["name"] for entry in vault.policies}
        if policy.lower() not in names:
            raise missing("BMSUserErrorObjectNotFound", policy)
        container = container_of(state.vm.group.lower(), state.vm.name.lower())
        spec = ItemSpec(state="IRPending", health_code=0, last="", policy=names[policy.lower()])
        item = item_document(self._rng, vault.vault, Source(state.vm.id, container, state.vm.name), spec)
        if known is not None:
            policy_keys = {key: item["properties"][key] for key in ("policyId", "policyName")}
            resumed = {"protectionState": "Protected", **policy_keys}
            item = {**known, "properties": {**known["properties"], **resumed}}
        vault.put_item(item)
        return self._job(vault, container, "ConfigureBackup")

    def _check_place(self, vault: VaultState, state: VmState) -> None:
        if state.vm.location != vault.vault.location:
            message = "The virtual machine and the vault are in different regions."
            raise ArmError(400, "UserErrorVmVaultLocationMismatch", message)
        for other, item in self._world.items_of_vm(state.vm.key):
            active = item["properties"]["protectionState"] != "ProtectionStopped"
            if active and other.vault.key != vault.vault.key:
                message = f"The virtual machine is already protected in the vault {other.vault.name}."
                raise ArmError(400, "UserErrorVmAlreadyProtected", message)

    def _job(self, vault: VaultState, container: str, operation: str) -> str:
        job = self._new_job(container, operation)
        vault.jobs.insert(0, job)
        return job.id

    def _new_job(self, container: str, operation: str) -> Job:
        return Job(
            id=self._world.new_id(),
            container=container,
            friendly_name=container.rsplit(";", 1)[-1],
            operation=operation,
            status="Completed",
            age=0,
            takes=self._world.options.backup_seconds,
            started=self._world.options.clock(),
        )

    def _accepted(self, call: Call, path: str, operation: Operation) -> Reply:
        version = call.query["api-version"]
        status = f"{path}/operationsStatus/{operation.id}"
        return Reply(
            202,
            headers={
                "Azure-AsyncOperation": signed(call.base, status, "2019-05-13-preview"),
                "Location": signed(call.base, f"{path}/operationResults/{operation.id}", version),
            },
        )


def _item_path(vault: VaultState, call: Call) -> str:
    container, item = call.spelled["container"], call.spelled["item"]
    return f"{vault.vault.id}/backupFabrics/Azure/protectionContainers/{container}/protectedItems/{item}"


def _group_and_name(resource: str) -> tuple[str, str]:
    parts = resource.split("/")
    return (parts[4], parts[8]) if len(parts) == 9 else ("", resource)


def _protectable(vault: VaultState, state: VmState) -> dict[str, Any]:
    vm = state.vm
    container = container_of(vm.group.lower(), vm.name.lower())
    base = f"{vault.vault.id}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{container}"
    return {
        "id": f"{base}/protectableItems/vm;{container}",
        "name": container,
        "type": f"{_RS}/vaults/backupFabrics/protectionContainers/protectableItems",
        "properties": {
            "virtualMachineId": vm.id,
            "virtualMachineVersion": "Compute",
            "resourceGroup": vm.group,
            "backupManagementType": "AzureIaasVM",
            "protectableItemType": "Microsoft.Compute/virtualMachines",
            "friendlyName": vm.name,
            "protectionState": "NotProtected",
        },
    }
