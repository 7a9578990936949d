"""The remediations that ship with the auditor, the mildest first."""

from auditor.plugin import Remediation

REMEDIATIONS: tuple[Remediation, ...] = ()
