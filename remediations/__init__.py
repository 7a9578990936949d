"""The remediations that come with the auditor."""
