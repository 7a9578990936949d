"""Dated rules: version floors, limits, endpoints and severities, each with its source and date.

A rule set is a TOML file. The one that ships is `default.toml`; a user's copy (`--rules FILE`) may
hold only what it changes.
"""

from auditor.rules.reader import default_rules_text, load_rules
from auditor.rules.ruleset import Endpoint, Rule, Rules

__all__ = ["Endpoint", "Rule", "Rules", "default_rules_text", "load_rules"]
