"""Which simulated guests remediations make ready: written down beside their faults, as the verdicts are."""

from collections.abc import Iterable

from auditor.model import Verdict
from auditor.remedy import AgentInstaller
from auditor.simulator.estate import Estate
from auditor.simulator.guest_states import GuestState
from auditor.simulator.inside import ANOTHER
from auditor.simulator.vaults import container_of
from auditor.simulator.windows import WindowsGuestState

INSTALLER = AgentInstaller("https://download.contoso.example/WindowsAzureVmAgent.msi", "5a" * 32)
"""The installer that simulated Windows guests take; there is no such place."""
_WINDOWS = frozenset(
    {
        "win-agent-missing",
        "win-service-stopped",
        "win-service-disabled",
        "win-image-path-gone",
        "win-old-agent",
    }
)


def mendable(linux: Iterable[GuestState], windows: Iterable[WindowsGuestState]) -> dict[str, Verdict]:
    """The verdict after remediations of every guest that they mend, by machine id."""
    return {
        **{guest.machine_id: guest.repaired for guest in linux if guest.repaired is not None},
        **{guest.machine_id: Verdict.READY for guest in windows if _mends(guest)},
    }


def backing_up(estate: Estate) -> frozenset[str]:
    """The machines whose backup runs all the time: nobody may touch them."""
    busy = {
        job.container.lower() for vault in estate.vaults for job in vault.jobs if job.status == "InProgress"
    }
    return frozenset(vm.key for vm in estate.vms if container_of(vm.group, vm.name).lower() in busy)


def _mends(guest: WindowsGuestState) -> bool:
    if not guest.azure_id:
        return guest.name in _WINDOWS
    # the guests in Azure have faults of their services only, or are somebody else's
    return guest.verdict is not Verdict.READY and guest.state.vm_id != ANOTHER
