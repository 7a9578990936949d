"""Guests over SSH; the one package that imports paramiko."""

from auditor.hosts.ssh.config import SshConfig
from auditor.hosts.ssh.jump import Network
from auditor.hosts.ssh.keys import Credentials
from auditor.hosts.ssh.session import SshHost

__all__ = ["Credentials", "Network", "SshConfig", "SshHost"]
