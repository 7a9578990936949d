"""Windows guests of the simulator: a model that recognises the tool's own scripts and answers them.

What is behind it is Python, not Windows: it shows that scripts, transport, readers and checks fit together,
and nothing about how PowerShell would run them.
"""

from auditor.simulator.windows.catalogue import WINDOWS_GUESTS, WindowsGuestState
from auditor.simulator.windows.executor import WindowsGuest
from auditor.simulator.windows.guests import WinRmGuests
from auditor.simulator.windows.state import WindowsService, WindowsState, healthy
from auditor.simulator.windows.works import Msi, WindowsTrouble

__all__ = [
    "WINDOWS_GUESTS",
    "Msi",
    "WinRmGuests",
    "WindowsGuest",
    "WindowsGuestState",
    "WindowsService",
    "WindowsState",
    "WindowsTrouble",
    "healthy",
]
