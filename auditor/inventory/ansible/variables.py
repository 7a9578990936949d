"""The variables that Ansible's connections read, and what may be taken of their values.

Where several names mean the same, the last that is set counts, as in Ansible's plugins.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.inventory.documents import Literal, Vaulted

_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_LOOKUP = re.compile(
    r"""\{\{\s*lookup\(\s*(["'])(?:ansible\.builtin\.)?env\1\s*,\s*(["'])([A-Za-z_][A-Za-z0-9_]*)\2\s*\)\s*\}\}"""
)


@dataclass(frozen=True, slots=True)
class Names:
    """What one connection plugin calls the fields that we have."""

    address: tuple[str, ...]
    port: tuple[str, ...]
    user: tuple[str, ...]
    key: tuple[str, ...]
    password: tuple[str, ...]
    certificate: tuple[str, ...] = ()
    passphrase: tuple[str, ...] = ()
    auth: str = ""
    scheme: str = ""
    ca: tuple[str, ...] = ()
    server_name: tuple[str, ...] = ()


SSH = Names(
    address=("ansible_host", "ansible_ssh_host"),
    port=("ansible_port", "ansible_ssh_port"),
    user=("ansible_user", "ansible_ssh_user"),
    key=("ansible_private_key_file", "ansible_ssh_private_key_file"),
    password=("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
    passphrase=("ansible_private_key_passphrase", "ansible_ssh_private_key_passphrase"),
)
PARAMIKO = Names(
    address=(*SSH.address, "ansible_paramiko_host"),
    port=(*SSH.port, "ansible_paramiko_port"),
    user=(*SSH.user, "ansible_paramiko_user"),
    key=(*SSH.key, "ansible_paramiko_private_key_file"),
    password=(*SSH.password, "ansible_paramiko_pass", "ansible_paramiko_password"),
)
WINRM = Names(
    address=("ansible_host", "ansible_winrm_host"),
    port=("ansible_port", "ansible_winrm_port"),
    user=("ansible_user", "ansible_winrm_user"),
    key=("ansible_winrm_cert_key_pem",),
    password=("ansible_password", "ansible_winrm_pass", "ansible_winrm_password"),
    certificate=("ansible_winrm_cert_pem",),
    auth="ansible_winrm_transport",
    scheme="ansible_winrm_scheme",
    ca=("ansible_winrm_ca_trust_path",),
    server_name=("ansible_winrm_kerberos_hostname_override",),
)
PSRP = Names(
    address=("ansible_host", "ansible_psrp_host"),
    port=("ansible_port", "ansible_psrp_port"),
    user=("ansible_user", "ansible_psrp_user"),
    key=("ansible_psrp_certificate_key_pem",),
    password=("ansible_password", "ansible_winrm_pass", "ansible_winrm_password", "ansible_psrp_password"),
    certificate=("ansible_psrp_certificate_pem",),
    auth="ansible_psrp_auth",
    scheme="ansible_psrp_protocol",
    ca=("ansible_psrp_cert_trust_path", "ansible_psrp_ca_cert"),
    server_name=("ansible_psrp_negotiate_hostname_override",),
)
BECOME = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")


class Unusable(Exception):
    """A value that cannot be taken; the message says why and does not repeat it."""


def pick(variables: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, Any]:
    """The name that counts and its value; None where none is set."""
    found = [(name, variables[name]) for name in names if variables.get(name) is not None]
    return found[-1] if found else (names[0] if names else "", None)


def text(value: Any) -> str:
    """A value as text, empty for none; raises `Unusable`."""
    if isinstance(value, dict) and value.keys() == {"__ansible_unsafe"}:
        value = Literal(value["__ansible_unsafe"])
    if value is None:
        return ""
    if _is_vaulted(value):
        raise Unusable("is encrypted with ansible-vault")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unusable("is no text")
    if isinstance(value, str) and not isinstance(value, Literal) and _TEMPLATE.search(value):
        raise Unusable("is a template, which is never evaluated")
    if not str(value).isprintable():
        raise Unusable("holds a control character")
    return str(value).strip()


def reference(value: Any) -> str:
    """A secret's reference, empty for none; raises `Unusable` for all but a look-up in the environment."""
    if value is None or value == "":
        return ""
    if isinstance(value, str):
        match = _LOOKUP.fullmatch(value.strip())
        if match is not None and not isinstance(value, Literal):
            return f"env:{match[3]}"
    if _is_vaulted(value):
        raise Unusable("is encrypted with ansible-vault")
    if isinstance(value, str) and _TEMPLATE.search(value):
        raise Unusable("is a template, which is never evaluated")
    raise Unusable("is written out")


def _is_vaulted(value: Any) -> bool:
    return (
        isinstance(value, Vaulted)
        or (isinstance(value, dict) and "__ansible_vault" in value)
        or (isinstance(value, str) and value.lstrip().startswith("$ANSIBLE_VAULT"))
    )
