"""One firewall rule as iptables-save or nft print it, and whether the agent's connections meet it. Pure."""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

WIRE_SERVER = "168.63.129.16"
PORTS = (80, 32526)

Condition = Callable[[int], bool | None]
"""Whether a connection of root to that port meets a condition; None where the rule's text does not tell."""

_VERDICTS = {"accept": "accept", "drop": "drop", "reject": "drop", "return": "return"}
_VERDICTS |= dict.fromkeys(("queue", "nfqueue", "synproxy"), "doubt")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule asks, and its verdict: accept, drop, doubt, return, jump or goto (`target`), or none."""

    conditions: tuple[Condition, ...]
    verdict: str
    target: str = ""

    def matches(self, port: int) -> bool | None:
        """Whether a connection of root to that port of the wire server meets every condition."""
        met = [condition(port) for condition in self.conditions]
        return False if False in met else None if None in met else True


def _never(_port: int) -> bool:
    return False


def _perhaps(_port: int) -> None:
    return None


def _always(_port: int) -> bool:
    return True


def _not(condition: Condition) -> Condition:
    def negated(port: int) -> bool | None:
        met = condition(port)
        return None if met is None else not met

    return negated


def _fixed(met: bool | None) -> Condition:
    return {True: _always, False: _never, None: _perhaps}[met]


def _one_of(text: str, met: Callable[[str], bool | None]) -> Condition:
    """Whether one of the comma-separated words is met."""
    found = [met(word.strip()) for word in text.strip("{} ").split(",")]
    return _fixed(True if True in found else None if None in found else False)


def _ports(text: str) -> Condition:
    """A port, a list of them, or ranges such as 1:1024 and 1-1024."""
    ranges: list[tuple[int, int]] = []
    for word in text.strip("{} ").split(","):
        low, _, high = word.strip().replace("-", ":").partition(":")
        low, high = _SERVICES.get(low, low), _SERVICES.get(high, high) or _SERVICES.get(low, low)
        if not (low.isdecimal() and high.isdecimal()):
            return _perhaps
        ranges.append((int(low), int(high)))
    return lambda port: any(low <= port <= high for low, high in ranges)


def _address(text: str) -> bool | None:
    try:
        if "-" in text:
            low, _, high = text.partition("-")
            return int(ip_address(low)) <= int(ip_address(WIRE_SERVER)) <= int(ip_address(high))
        return ip_address(WIRE_SERVER) in ip_network(text, strict=False)
    except ValueError:
        return None


def _owner(text: str) -> bool:
    """Whether the user (or group) is root; a range is written 0-999."""
    return re.fullmatch(r'0+(-\d+)?|"?root"?', text) is not None


def _protocol(text: str) -> bool:
    return text in ("tcp", "6", "all", "0", "ip")


_SERVICES = {"http": "80", "domain": "53", "https": "443", "ssh": "22"}

# ---- iptables ------------------------------------------------------------------------------------

_IPTABLES: dict[str, Callable[[str], Condition]] = {
    "-d": lambda text: _one_of(text, _address),
    "-p": lambda text: _one_of(text, _protocol),
    "-o": lambda text: _never if text == "lo" else _perhaps,
    "--dport": _ports,
    "--dports": _ports,
    "--uid-owner": lambda text: _one_of(text, _owner),
    "--gid-owner": lambda text: _one_of(text, _owner),
    "--ctstate": lambda text: _one_of(text, "NEW".__eq__),
    "--state": lambda text: _one_of(text, "NEW".__eq__),
}
_SAYS_NOTHING = {"-m", "--comment", "--reject-with"}


def iptables_rule(text: str) -> Rule:
    """The rule after its chain: "-d 168.63.129.16/32 -p tcp -j DROP"."""
    try:
        words = shlex.split(text)
    except ValueError:
        return Rule((_perhaps,), "")
    conditions: list[Condition] = []
    verdict, target = "", ""
    for option, value, negated in _options(words):
        if option in ("-j", "-g"):
            verdict = _VERDICTS.get(value.lower(), "goto" if option == "-g" else "jump")
            target = value
        elif option not in _SAYS_NOTHING and not verdict:
            condition = _IPTABLES[option](value) if option in _IPTABLES else _perhaps
            conditions.append(_not(condition) if negated else condition)
    return Rule(tuple(conditions), verdict, target)


def _options(words: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Each option with what stands before the next one, and whether a "!" stands before it."""
    option, values, negated, pending = "", list[str](), False, False
    for word in words:
        if word == "!":
            pending = True
        elif word.startswith("-") and len(word) > 1 and not word[1].isdecimal():
            if option:
                yield option, " ".join(values), negated
            option, values, negated, pending = word, [], pending, False
        else:
            values.append(word)
    if option:
        yield option, " ".join(values), negated


# ---- nft -----------------------------------------------------------------------------------------

_WORD = re.compile(r'\{[^}]*\}|"[^"]*"|[^\s{}]+')
_IN_FRONT = (
    "ip",
    "tcp",
    "udp",
    "ip6",
    "icmp",
    "icmpv6",
    "meta",
    "ct",
    "th",
    "sctp",
    "ether",
    "fib",
    "rt",
    "socket",
)
_NFT: dict[str, Callable[[str], Condition]] = {
    "ip daddr": lambda text: _one_of(text, _address),
    "ip protocol": lambda text: _one_of(text, _protocol),
    "meta l4proto": lambda text: _one_of(text, _protocol),
    "meta nfproto": lambda text: _one_of(text, "ipv4".__eq__),
    "meta skuid": lambda text: _one_of(text, _owner),
    "meta skgid": lambda text: _one_of(text, _owner),
    "meta oif": lambda text: _never if text.strip('"') == "lo" else _perhaps,
    "meta oifname": lambda text: _never if text.strip('"') == "lo" else _perhaps,
    "tcp dport": _ports,
    "th dport": _ports,
    "ct state": lambda text: _one_of(text, "new".__eq__),
}
_BARE_META = ("skuid", "skgid", "oif", "oifname", "l4proto", "nfproto", "iif", "iifname", "mark")
_OTHER_PACKETS = ("udp", "ip6", "icmp", "icmpv6", "sctp", "ether")


def nft_rule(text: str) -> Rule:
    """A rule as nft lists it: "ip daddr 168.63.129.16 tcp dport 80 counter drop"."""
    words = _WORD.findall(text)
    if "vmap" in words:
        return Rule((_perhaps,), "doubt")
    conditions: list[Condition] = []
    at = 0
    while at < len(words):
        word = words[at]
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in ("jump", "goto"):
            return Rule(tuple(conditions), word, following)
        if word in _VERDICTS:
            return Rule(tuple(conditions), _VERDICTS[word])
        if skipped := _statement(words, at):
            at += skipped
            continue
        condition, used = _nft_condition(words, at)
        conditions.append(condition)
        at += used
    return Rule(tuple(conditions), "")


def _statement(words: Sequence[str], at: int) -> int:
    """How many words a statement takes that asks nothing, 0 where there is none."""
    if words[at] == "counter":
        return 5 if words[at + 1 : at + 2] == ["packets"] else 1
    if words[at] == "comment":
        return 2
    if words[at] == "log":
        end = at + 1
        while end + 1 < len(words) and words[end] in ("prefix", "level", "flags", "group"):
            end += 2
        return end - at
    return 0


def _nft_condition(words: Sequence[str], at: int) -> tuple[Condition, int]:
    """The condition that begins at a word, and how many words it takes."""
    if words[at] in _BARE_META:
        name, used = f"meta {words[at]}", 1
    elif words[at] in _IN_FRONT and at + 1 < len(words):
        name, used = f"{words[at]} {words[at + 1]}", 2
    else:
        return _perhaps, 1
    if words[at] in _OTHER_PACKETS:
        return _never, used + 1
    rest = words[at + used :]
    negated = rest[:1] == ["!="]
    value = "".join(rest[negated : negated + 1])
    condition = _NFT[name](value) if name in _NFT and not value.startswith(("@", "<", ">")) else _perhaps
    return (_not(condition) if negated else condition), used + negated + 1
