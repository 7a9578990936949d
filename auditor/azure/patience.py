"""How long a repair waits for Azure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to wait out a throttle, to follow a change and a backup, and between two looks at each.

    A throttle that lasts longer refuses the machine at hand. Backups are looked at seldom: Azure allows 150
    looks at jobs an hour.
    """

    max_wait: float = 10.0
    change: float = 1800.0
    backup: float = 6 * 3600.0
    pause: float = 3.0
    backup_pause: float = 60.0
