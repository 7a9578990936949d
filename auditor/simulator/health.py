"""Azure's own health details and job errors: title, message and recommendations by code."""

from collections.abc import Mapping

HEALTH: Mapping[int, tuple[str, str, tuple[str, ...]]] = {
    400239: ("IaasVmHealthGreenDefault", "The pre-check of this virtual machine found nothing.", ()),
    380016: (
        "UserErrorGuestAgentVersionUnsupported",
        "The agent is not the latest one.",
        ("Bring the agent to the latest version.",),
    ),
    400196: (
        "UserErrorGuestAgentStatusUnavailable",
        "The VM agent cannot talk to the backup service.",
        ("See that the agent is current and runs, and that 168.63.129.16 can be reached.\r\n  ",),
    ),
    400206: (
        "ExtensionSnapshotFailedNoNetwork",
        "The snapshot failed because the virtual machine has no network.",
        ("See that the virtual machine has network access, or set up a proxy.",),
    ),
    400136: (
        "UserErrorVmNotFoundV2",
        "The virtual machine does not exist.",
        ("See that the virtual machine exists or choose another.",),
    ),
    400349: (
        "UserErrorCrpReportedUserError",
        "The compute service reported an error for this virtual machine.",
        ("Repair the state of the virtual machine and try again.",),
    ),
}
