"""The remediations that ship with the auditor, the mildest first."""

from auditor.plugin import Remediation
from remediations.azure_vm import vm_agent_property, vm_reapply
from remediations.backup_extension import backup_extension_reset
from remediations.configuration import linux_agent_config
from remediations.linux_package import agent_update, linux_agent
from remediations.restart import agent_restart
from remediations.windows_agent import windows_agent, windows_agent_clean

REMEDIATIONS: tuple[Remediation, ...] = (
    agent_restart,
    linux_agent_config,
    linux_agent,
    windows_agent,
    agent_update,
    windows_agent_clean,
    vm_agent_property,
    vm_reapply,
    backup_extension_reset,
)
