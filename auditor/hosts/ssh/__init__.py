"""Guests over SSH; the one package that imports paramiko."""

import sys

# paramiko imports invoke for `Match exec` in its own reader of ssh_config, which is not used here: a third of
# the time that it takes to import
if "invoke" not in sys.modules:
    sys.modules["invoke"] = None  # type: ignore[assignment]
    import paramiko as _paramiko  # noqa: F401

    del sys.modules["invoke"]

from auditor.hosts.ssh.config import SshConfig
from auditor.hosts.ssh.jump import Network
from auditor.hosts.ssh.keys import Credentials
from auditor.hosts.ssh.session import SshHost

__all__ = ["Credentials", "Network", "SshConfig", "SshHost"]
