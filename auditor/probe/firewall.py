"""Which of a guest's firewall rules stop root from reaching the wire server. Pure.

The probe sends the rules of the output chains as iptables-save and nft print them. They are tried with what
the agent sends: new TCP connections of root to 168.63.129.16, ports 80 and 32526. The agent's own rules let
root through and drop everybody else, and so stop nothing here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from auditor.probe.firewall_rules import PORTS, WIRE_SERVER, Rule, iptables_rule, nft_rule

_IPTABLES = re.compile(r"(iptables(?:-nft)? \S+): (-P|-A) (\S+) ?(.*)")
_NFT = re.compile(r"(nft \S+ \S+): (\S+) (.*)")
_POLICY = re.compile(r"policy (accept|drop)")
_DEPTH = 8
_DOUBT = "doubt"


@dataclass(frozen=True, slots=True)
class _End:
    """Where a connection ends: accept, drop (by which line) or in doubt."""

    verdict: str
    line: str = ""


@dataclass(slots=True)
class _Table:
    """The chains of one table, each rule with its line; `policies` has the output chains alone."""

    chains: dict[str, list[tuple[str, Rule]]] = field(default_factory=dict)
    policies: dict[str, _End] = field(default_factory=dict)


def blocking(lines: Iterable[str]) -> tuple[str, ...]:
    """The rules that drop or refuse what the agent sends.

    Of rules whose conditions cannot be judged those count that name the wire server.
    """
    found: dict[str, None] = {}
    for table in _tables(lines).values():
        for chain, policy in table.policies.items():
            for port in PORTS:
                end = _walk(table.chains, chain, port, _DEPTH) or policy
                if end.verdict == "drop":
                    found[end.line] = None
    return tuple(found)


def _tables(lines: Iterable[str]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for line in lines:
        if parsed := _IPTABLES.fullmatch(line):
            table = tables.setdefault(parsed[1], _Table())
            if parsed[2] == "-P":
                table.policies[parsed[3]] = _End(parsed[4].lower(), line)
            else:
                table.chains.setdefault(parsed[3], []).append((line, iptables_rule(parsed[4])))
        elif parsed := _NFT.fullmatch(line):
            table = tables.setdefault(parsed[1], _Table())
            if policy := _POLICY.fullmatch(parsed[3]):
                table.policies[parsed[2]] = _End(policy[1], line)
            else:
                table.chains.setdefault(parsed[2], []).append((line, nft_rule(parsed[3])))
    return tables


def _walk(chains: dict[str, list[tuple[str, Rule]]], chain: str, port: int, depth: int) -> _End | None:
    """Where a connection to `port` ends in this chain; None where it comes out at the chain's end."""
    if depth == 0:
        return _End(_DOUBT)
    for line, rule in chains.get(chain, ()):
        matches = rule.matches(port)
        if matches is False:
            continue
        if rule.verdict in ("jump", "goto"):
            end = _walk(chains, rule.target, port, depth - 1)
        else:
            end = _End(rule.verdict, line) if rule.verdict in ("accept", "drop", _DOUBT) else None
        if end is not None and (matches or end.verdict != "drop" or WIRE_SERVER in end.line):
            return end if matches or end.verdict == "drop" else _End(_DOUBT)
        if end is None and matches and rule.verdict in ("return", "goto"):
            return None
    return None
