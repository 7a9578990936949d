"""Where the store is, unless a user names another place."""

from pathlib import Path

from platformdirs import user_state_path


def default_store() -> Path:
    """The store of this user, in the folder that the system has for what programs remember."""
    return user_state_path("auditor", appauthor=False) / "auditor.db"
