"""The checks that come with the auditor, in the order in which reports show them."""

from auditor.plugin import Check
from checks.agent import vm_agent_installed, vm_agent_ready
from checks.agent_version import vm_agent_version
from checks.configuration import agent_auto_update, extensions_enabled
from checks.extension_states import extension_health
from checks.extensions import backup_extension
from checks.guest_network import guest_dhcp, guest_proxy
from checks.guest_system import guest_clock, guest_disk_space
from checks.health import backup_health
from checks.identity import guest_identity
from checks.linux import linux_freeze, linux_python
from checks.migration import agent_installable
from checks.network import internet_connectivity, wire_server
from checks.protection import backup_protection, vault_in_region
from checks.service import agent_service
from checks.support import os_supported
from checks.windows import agent_certificate, windows_prerequisites, windows_vss

CHECKS: tuple[Check, ...] = (
    guest_identity,
    vm_agent_installed,
    vm_agent_ready,
    agent_service,
    vm_agent_version,
    agent_auto_update,
    agent_certificate,
    extensions_enabled,
    backup_extension,
    extension_health,
    vault_in_region,
    backup_protection,
    backup_health,
    wire_server,
    internet_connectivity,
    guest_dhcp,
    guest_proxy,
    guest_clock,
    guest_disk_space,
    linux_python,
    linux_freeze,
    windows_prerequisites,
    windows_vss,
    os_supported,
    agent_installable,
)
