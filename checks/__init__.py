"""The checks that come with the auditor, in the order in which reports show them."""

from auditor.plugin import Check

CHECKS: tuple[Check, ...] = ()
