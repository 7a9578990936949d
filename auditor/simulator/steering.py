"""What happens in an estate while it is served: jobs begin and end, agents speak up and fall silent."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from auditor.simulator.changes import merged
from auditor.simulator.jobs import Job
from auditor.simulator.state import VaultState, VmState
from auditor.simulator.vaults import container_of
from auditor.simulator.views import reporting
from auditor.simulator.world import World


class Steering:
    """Changes to a running estate, from outside the requests; ids of VMs and vaults in any case."""

    world: World

    def start_job(self, vm_id: str, vault: str | None = None, operation: str = "Backup") -> str:
        """Begin a job of a VM that runs until `end_job`: in a vault (an id), or in the one that holds it.

        Returns the job's id.
        """
        vm = self._vm(vm_id).vm
        container = container_of(vm.group.lower(), vm.name.lower())
        job = Job(
            id=self.world.new_id(),
            container=container,
            friendly_name=vm.name,
            operation=operation,
            status="InProgress",
            age=0,
            takes=None,
            started=self.world.options.clock(),
        )
        self._vault(vm_id, vault).jobs.insert(0, job)
        return job.id

    def end_job(self, job_id: str, status: str = "Completed") -> None:
        """Let a job that was begun here end, or (status "Cancelling") begin to."""
        for state in self.world.vaults.values():
            for index, job in enumerate(state.jobs):
                if job.id == job_id:
                    takes = self.world.options.clock() - (job.started or 0)
                    state.jobs[index] = replace(job, status=status, takes=takes)

    def agent_reports(self, vm_id: str, version: str | None) -> None:
        """Let Azure hear the agent of a VM from now on, in this version; None: hear nothing of it."""
        state = self._vm(vm_id)
        with state.changing():
            handlers = state.view.get("vmAgent", {}).get("extensionHandlers", [])
            state.view = {**state.view, "vmAgent": reporting(version, handlers)}

    def allow_extensions(self, vm_id: str, allowed: bool) -> None:
        """Set what the VM's model says of extensions."""
        self._merge(vm_id, {"properties": {"osProfile": {"allowExtensionOperations": allowed}}})

    def tag(self, vm_id: str, name: str, value: str) -> None:
        """Set a tag of a VM."""
        self._merge(vm_id, {"tags": {name: value}})

    def _merge(self, vm_id: str, changes: Mapping[str, Any]) -> None:
        state = self._vm(vm_id)
        with state.changing():
            state.model = merged(state.model, changes)

    def _vm(self, vm_id: str) -> VmState:
        return self.world.vms[vm_id.lower()]

    def _vault(self, vm_id: str, vault: str | None) -> VaultState:
        if vault is not None:
            return self.world.vaults[vault.lower()]
        holding = [state for state, _ in self.world.items_of_vm(vm_id.lower())]
        return holding[0] if holding else next(iter(self.world.vaults.values()))
