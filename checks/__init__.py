"""The checks that come with the auditor, in the order in which reports show them."""

from auditor.plugin import Check
from checks.agent import vm_agent_installed, vm_agent_ready
from checks.agent_version import vm_agent_version
from checks.extension_states import extension_health
from checks.extensions import backup_extension
from checks.health import backup_health
from checks.network import internet_connectivity, wire_server
from checks.protection import backup_protection, vault_in_region

CHECKS: tuple[Check, ...] = (
    vm_agent_installed,
    vm_agent_ready,
    vm_agent_version,
    backup_extension,
    extension_health,
    vault_in_region,
    backup_protection,
    backup_health,
    wire_server,
    internet_connectivity,
)
