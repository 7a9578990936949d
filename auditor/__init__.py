"""Audit, remediate and report the backup readiness of a fleet of machines."""

__version__ = "0.1.0"
