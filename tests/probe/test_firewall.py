"""Which rules stop the agent; the texts are those that iptables-save 1.8.9 and nft 1.0.6 printed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.probe.firewall import blocking

WIRE = "-d 168.63.129.16/32"
OPEN, SHUT = "-P OUTPUT ACCEPT", "-P OUTPUT DROP"
DROP = f"-A OUTPUT {WIRE} -j DROP"
ROOT = f"-A OUTPUT {WIRE} -p tcp -m owner --uid-owner 0 -j ACCEPT"
OTHERS = f"-A OUTPUT {WIRE} -p tcp -m conntrack --ctstate INVALID,NEW -j DROP"


def filter_table(*rules: str) -> list[str]:
    return [f"iptables filter: {rule}" for rule in rules]


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ((), ()),
        ((OPEN,), ()),
        ((OPEN, DROP), (DROP,)),
        ((OPEN, ROOT, OTHERS), ()),
        ((OPEN, OTHERS, ROOT), (OTHERS,)),
        ((OPEN, OTHERS), (OTHERS,)),
        ((OPEN, f"-A OUTPUT {WIRE} -p tcp -m owner ! --uid-owner 0 -j DROP"), ()),
        ((OPEN, f"-A OUTPUT {WIRE} -p tcp -m owner --uid-owner 0-99 -j DROP"), "last"),
        ((OPEN, f"-A OUTPUT ! {WIRE} -j DROP"), ()),
        ((OPEN, "-A OUTPUT -d 168.63.0.0/16 -j REJECT --reject-with icmp-port-unreachable"), "last"),
        ((OPEN, "-A OUTPUT -d 10.0.0.0/8 -j DROP"), ()),
        ((OPEN, f"-A OUTPUT {WIRE} -p udp -j DROP"), ()),
        ((OPEN, f"-A OUTPUT {WIRE} -p tcp -m tcp --dport 443 -j DROP"), ()),
        ((OPEN, f"-A OUTPUT {WIRE} -p tcp -m tcp --dport 1:1024 -j DROP"), "last"),
        ((OPEN, f"-A OUTPUT {WIRE} -p tcp -m multiport --dports 443,32526 -j DROP"), "last"),
        ((OPEN, f"-A OUTPUT {WIRE} -p tcp -m multiport ! --dports 80,32526 -j DROP"), ()),
        ((OPEN, f"-A OUTPUT {WIRE} -o lo -j DROP"), ()),
        ((OPEN, f"-A OUTPUT {WIRE} -m state --state ESTABLISHED -j DROP"), ()),
        ((OPEN, f"-A OUTPUT {WIRE} -m limit --limit 5/min -j DROP"), "last"),
        ((OPEN, "-A OUTPUT -m set --match-set bad dst -j DROP"), ()),
        ((OPEN, f'-A OUTPUT {WIRE} -m comment --comment "no -j ACCEPT \\"here\\"" -j DROP'), "last"),
        ((OPEN, f'-A OUTPUT {WIRE} -m comment --comment "unclosed -j DROP'), ()),
        ((OPEN, "-A OUTPUT -j LOG --log-prefix x", DROP), (DROP,)),
        ((OPEN, "-A OUTPUT -j NFQUEUE --queue-num 0", DROP), ()),
        ((OPEN, "-A OUTPUT -j MINE", f"-A MINE {WIRE} -j DROP"), "last"),
        ((OPEN, "-A OUTPUT -j MINE", "-A MINE -j RETURN", f"-A MINE {WIRE} -j DROP"), ()),
        ((OPEN, "-A OUTPUT -p udp -j MINE", f"-A MINE {WIRE} -j DROP"), ()),
        ((OPEN, "-A OUTPUT -j MINE", "-A MINE -j ACCEPT", DROP), ()),
        ((OPEN, "-A OUTPUT -j MINE", "-A MINE -j MINE"), ()),
        ((OPEN, "-A OUTPUT -g MINE", "-A MINE -d 1.2.3.4/32 -j ACCEPT", DROP), ()),
        ((SHUT,), (SHUT,)),
        ((SHUT, "-A OUTPUT -o lo -j ACCEPT", "-A OUTPUT -m state --state ESTABLISHED -j ACCEPT"), (SHUT,)),
        ((SHUT, "-A OUTPUT -p tcp -m tcp --dport 80 -j ACCEPT"), (SHUT,)),
        ((SHUT, "-A OUTPUT -j ACCEPT"), ()),
        ((SHUT, ROOT), ()),
        ((SHUT, "-A OUTPUT -m set --match-set good dst -j ACCEPT"), ()),
        ((SHUT, "-A OUTPUT -o eth0 -j ACCEPT"), ()),
        ((SHUT, "-A OUTPUT ! -o lo -j ACCEPT"), ()),
        ((f"-A OUTPUT {WIRE} -j DROP",), ()),
    ],
)
def test_iptables(rules: tuple[str, ...], found: tuple[str, ...] | str) -> None:
    expected = filter_table(rules[-1]) if found == "last" else filter_table(*found)
    assert list(blocking(filter_table(*rules))) == expected


ACCEPT, REFUSE = "out policy accept", "out policy drop"
LAST_DROP = "out ip daddr 168.63.129.16 drop"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ((ACCEPT, LAST_DROP), "last"),
        (
            (
                "output policy accept",
                "output ip daddr 168.63.129.16 tcp dport != 53 meta skuid != 0 ct state invalid,new counter "
                "packets 0 bytes 0 drop",
            ),
            (),
        ),
        ((ACCEPT, "out skuid 0 ip daddr 168.63.129.16 counter drop"), "last"),
        ((ACCEPT, 'out meta skuid != "root" drop'), ()),
        ((ACCEPT, "out meta skuid 1000 drop"), ()),
        ((ACCEPT, "out ip daddr { 10.0.0.0/8, 168.63.129.16 } tcp dport { 80, 443 } drop"), "last"),
        ((ACCEPT, "out ip daddr 168.63.129.0-168.63.129.255 reject with tcp reset"), "last"),
        ((ACCEPT, "out ip daddr != 168.63.129.16 drop"), ()),
        ((ACCEPT, "out ip daddr @bad drop"), ()),
        ((ACCEPT, "out ip6 daddr ::1 drop", "out udp dport 53 drop", "out meta nfproto ipv6 drop"), ()),
        ((ACCEPT, "out tcp dport http drop"), "last"),
        ((ACCEPT, "out tcp dport 1-100 log prefix \"a b\" level warn drop"), "last"),
        ((ACCEPT, "out ct state { established, new } meta l4proto { tcp, udp } comment \"x\" drop"), "last"),
        ((ACCEPT, "out ct state established,related accept", LAST_DROP), "last"),
        ((ACCEPT, "out ct state vmap { established : accept, new : drop }", LAST_DROP), ()),
        ((ACCEPT, "out oif lo drop", "out oif != lo jump a", "a ip daddr 168.63.0.0/16 drop"), "last"),
        ((ACCEPT, "out iifname \"x\" limit rate 3/second drop"), ()),
        ((REFUSE, "out oif lo accept", "out ct state established accept"), (REFUSE,)),
        ((REFUSE, "out goto sub", "sub tcp dport 80 accept", "sub tcp dport 32526 accept"), ()),
        ((REFUSE, "out accept"), ()),
        ((REFUSE, "out oifname \"eth0\" accept"), ()),
        (("sub ip daddr 168.63.129.16 drop",), ()),
    ],
)  # fmt: skip
def test_nft(rules: tuple[str, ...], found: tuple[str, ...] | str) -> None:
    lines = [f"nft inet site: {rule}" for rule in rules]
    expected = lines[-1:] if found == "last" else [f"nft inet site: {rule}" for rule in found]
    assert list(blocking(lines)) == expected


def test_every_table_is_its_own() -> None:
    lines = [*filter_table(OPEN, "-A OUTPUT -j ACCEPT"), "iptables security: -P OUTPUT ACCEPT"]
    assert blocking([*lines, f"iptables security: {DROP}"]) == (f"iptables security: {DROP}",)


words = st.sampled_from(
    ["-d", "168.63.129.16/32", "!", "-j", "DROP", "ACCEPT", "MINE", "{", "}", "ip", "daddr", "tcp", "dport",
     "80", "jump", "drop", "out", "policy", '"', "-A", "OUTPUT", "ct", "state", "log", "prefix", "!=", "@x",
     "meta", "0", "-", ",", "1:x"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(words, max_size=8), max_size=6))
def test_any_rules_are_judged_without_a_stumble(rules: list[list[str]]) -> None:
    texts = [" ".join(rule) for rule in rules]
    lines = [*filter_table(SHUT, *(f"-A OUTPUT {text}" for text in texts), *texts)]
    lines += [f"nft ip site: {text}" for text in (REFUSE, *(f"out {text}" for text in texts), *texts)]
    assert set(blocking(lines)) <= set(lines)
