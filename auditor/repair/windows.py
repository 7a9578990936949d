"""A step's work in a Windows guest."""

from auditor.hosts import Script
from auditor.remedy import Work


def command(step: str, work: Work) -> Script:
    """The command for a step's work."""
    raise ValueError(f"no work for Windows is known (step {step}, {work.shell})")
