"""A guest over WinRM; the one room that imports pywinrm."""

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts import CommandResult, Script
from auditor.hosts.options import GuestOptions
from auditor.model import Connection


class WinRmHost:
    """One guest over one WinRM shell."""

    def __init__(self, connection: Connection, options: GuestOptions, secrets: Secrets) -> None:
        self._connection = connection

    @property
    def stage(self) -> str:
        """What the session is doing now."""
        return "starting"

    def run(self, script: Script, timeout: float) -> CommandResult:
        """Run a script; raises `HostError` with the reason."""
        raise HostError("Windows guests over WinRM are not supported yet")

    def abort(self, reason: str) -> None:
        """Cut the connection from another thread."""

    def close(self) -> None:
        """Let go of the connection."""
