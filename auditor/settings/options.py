"""The one table of settings: command line, environment, settings file and help are made from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.settings.values import Parse, choice, count, flag, path, seconds, tag, text

PREFIX = "AUDITOR_"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting; `many` makes it repeatable, `split` lets commas separate values everywhere."""

    name: str
    parse: Parse
    default: Any
    help: str
    many: bool = False
    split: bool = False
    metavar: str = "TEXT"
    panel: str = "Machines"

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def boolean(self) -> bool:
        """Whether it is switched on and off."""
        return self.parse is flag

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()


OPTIONS = (
    Option(
        "cloud",
        text,
        "public",
        "public, usgovernment, china, or an ARM endpoint URL",
        metavar="CLOUD",
        panel="Azure",
    ),
    Option(
        "ca_bundle",
        path,
        None,
        "PEM file with a private CA, for login and ARM alike",
        metavar="FILE",
        panel="Azure",
    ),
    Option(
        "azure",
        flag,
        None,
        "Audit Azure too (default: unless only --inventory is given)",
        panel="Azure",
    ),
    Option("subscription", text, (), "Subscription id or name (default: all visible)", many=True),
    Option("management_group", text, (), "Every subscription below this group", many=True),
    Option("resource_group", text, (), "Only machines of this resource group", many=True),
    Option("vm", text, (), "Only machines of this name or resource id", many=True),
    Option("tag", tag, (), "Only machines with this tag", many=True, metavar="KEY=VALUE"),
    Option("location", text, (), "Only machines of this region", many=True),
    Option(
        "inventory",
        path,
        (),
        "Hosts file (YAML or CSV) or Ansible inventory of machines",
        many=True,
        metavar="FILE",
    ),
    Option(
        "target_region",
        text,
        None,
        "Region that machines outside Azure are to move to: advice on its vaults",
        metavar="REGION",
    ),
    Option(
        "connections",
        path,
        None,
        "File of rules that say how machines are reached",
        metavar="FILE",
        panel="Guests",
    ),
    Option("user", text, None, "User to sign in as where none is named", metavar="NAME", panel="Guests"),
    Option("key", path, None, "Private key for SSH where none is named", metavar="FILE", panel="Guests"),
    Option(
        "ssh_config",
        path,
        None,
        "SSH client configuration, or none (default: the user's)",
        metavar="FILE",
        panel="Guests",
    ),
    Option(
        "known_hosts",
        path,
        None,
        "SSH known_hosts file (default: the user's)",
        metavar="FILE",
        panel="Guests",
    ),
    Option(
        "host_key_policy",
        choice("strict", "accept-new"),
        "strict",
        "strict or accept-new",
        panel="Guests",
    ),
    Option(
        "run_command",
        flag,
        False,
        "Ask guests through Azure's Run Command where nothing else leads in",
        panel="Guests",
    ),
    Option(
        "rules",
        path,
        None,
        "Rule-set file laid over the shipped rules",
        metavar="FILE",
        panel="Checks",
    ),
    Option("check", text, (), "Run only these checks", many=True, split=True, metavar="ID", panel="Checks"),
    Option(
        "skip_check",
        text,
        (),
        "Run all but these checks",
        many=True,
        split=True,
        metavar="ID",
        panel="Checks",
    ),
    Option(
        "fail_on",
        choice("not-ready", "at-risk", "none"),
        "not-ready",
        "Verdict that fails the run: not-ready, at-risk or none",
        metavar="VERDICT",
        panel="Report",
    ),
    Option(
        "format",
        text,
        ("html", "json"),
        "Report formats",
        many=True,
        split=True,
        metavar="FORMAT",
        panel="Report",
    ),
    Option("output", path, Path("out"), "Folder for the reports", metavar="DIR", panel="Report"),
    Option("concurrency", count, 64, "Machines asked at the same time", metavar="N"),
    Option("connect_timeout", seconds, 10.0, "Seconds to reach a guest", metavar="SECONDS", panel="Guests"),
    Option(
        "command_timeout",
        seconds,
        30.0,
        "Seconds for one command in a guest",
        metavar="SECONDS",
        panel="Guests",
    ),
    Option(
        "host_deadline",
        seconds,
        60.0,
        "Seconds for a guest, all in all",
        metavar="SECONDS",
        panel="Guests",
    ),
    Option(
        "throttle_wait",
        seconds,
        900.0,
        "Seconds to wait while Azure throttles",
        metavar="SECONDS",
        panel="Azure",
    ),
)
