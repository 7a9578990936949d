"""Windows guests behind WinRM on loopback: real TLS, NTLM and Kerberos, and an executor for the commands.

It proves the protocol, not Windows: what the guests answer is up to the executor that is plugged in.
"""

from auditor.simulator.wsman.certificates import ClientCertificate, Tls
from auditor.simulator.wsman.connection import Seen
from auditor.simulator.wsman.faults import Fault, Faults, Kind
from auditor.simulator.wsman.guest import CODEPAGE, Execution, Executor, codec, console
from auditor.simulator.wsman.login import Schemes
from auditor.simulator.wsman.operations import Limits
from auditor.simulator.wsman.server import WinRmServer

__all__ = (
    "CODEPAGE",
    "ClientCertificate",
    "Execution",
    "Executor",
    "Fault",
    "Faults",
    "Kind",
    "Limits",
    "Schemes",
    "Seen",
    "Tls",
    "WinRmServer",
    "codec",
    "console",
)
