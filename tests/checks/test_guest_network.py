"""guest-dhcp and guest-proxy."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import AZURE_NOT_ASKED, Facts, Interface, Unseen
from auditor.model import Status
from tests.checks.estate import HOST, MODEL, finding, guested, said

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
LO = Interface("lo", None, ("127.0.0.1/8", "::1/128"))
AUTO = Interface("eth0", True, ("10.0.0.4/24", "fe80::1/64"), "systemd-networkd")
FIXED = Interface("eth0", False, ("10.0.0.4/24", "fe80::1/64"), "ifupdown")
UNTOLD = Interface("eth0", None, ("10.0.0.4",))
TWO = Interface("eth0", False, ("10.0.0.4", "10.0.0.5"))
MASKED = Interface("eth0", False, ("fe80::1/64", "10.0.0.4/24", "10.0.0.5/24"))


def on(*interfaces: Interface, **more: Any) -> Facts:
    return guested(interfaces=interfaces, **more)


def with_primary(address: str, *interfaces: Interface) -> Facts:
    return replace(on(*interfaces), model=replace(MODEL, primary_address=address))


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (on(AUTO), PASS, "eth0 uses DHCP"),
        (on(LO, AUTO), PASS, "eth0 uses DHCP"),
        (on(FIXED), WARN, "eth0 has a static address"),
        (on(LO, FIXED, AUTO), WARN, "static"),
        (on(AUTO, FIXED), PASS, "DHCP"),
        (on(TWO), UNKNOWN, "whether its first, 10.0.0.4, is the primary one in Azure was not seen"),
        (replace(on(TWO), model=AZURE_NOT_ASKED), UNKNOWN, "the primary one in Azure was not seen"),
        (with_primary("10.0.0.4", TWO), PASS, "2 addresses has to be, and its first is the primary one"),
        (with_primary("10.0.0.5", TWO), WARN, "first address of eth0 is 10.0.0.4, and the primary one"),
        (with_primary("10.0.0.9", TWO), WARN, "the primary one in Azure is 10.0.0.9"),
        (with_primary("10.0.0.4", MASKED), PASS, "its first is the primary one in Azure"),
        (with_primary("10.0.0.4", FIXED), WARN, "eth0 has a static address"),
        (on(UNTOLD), UNKNOWN, "does not tell how eth0"),
        (on(Interface("eth0", False, ("169.254.1.2",)), AUTO), PASS, "DHCP"),
        (on(Interface("eth0", False, ("what?",)), AUTO), PASS, "DHCP"),
        (on(LO), UNKNOWN, "no interface with an address"),
        (on(), UNKNOWN, "no interface with an address"),
        (guested(interfaces=Unseen("ip is not there")), UNKNOWN, "ip is not there"),
        (guested(HOST, interfaces=(FIXED,)), WARN, "a static address; after the move to Azure it has to"),
        (guested(HOST, interfaces=(TWO,)), WARN, "eth0 has static addresses; after the move to Azure"),
        (guested(HOST, interfaces=(UNTOLD,)), UNKNOWN, "got its address; after the move to Azure"),
    ],
)
def test_guest_dhcp(facts: Facts, status: Status, text: str) -> None:
    got, words = said("guest-dhcp", facts)
    assert (got, text in words) == (status, True), words


def test_where_the_address_comes_from_is_shown() -> None:
    (row,) = finding("guest-dhcp", on(FIXED)).evidence
    assert (row.source, row.value) == ("interface eth0", "static, 1 IPv4 address, from ifupdown")


PROXY = "http://proxy:3128"
EXEMPT = "localhost,168.63.129.16,169.254.169.254"


def proxied(*entries: tuple[str, str]) -> Facts:
    return guested(proxies=entries)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (proxied(), PASS, "no proxy is set"),
        (proxied(("environment no_proxy", "localhost")), PASS, "no proxy is set"),
        (proxied(("environment ftp_proxy", PROXY)), PASS, "no proxy is set"),
        (proxied(("environment http_proxy", " ")), PASS, "no proxy is set"),
        (proxied(("environment http_proxy", PROXY)), WARN, "168.63.129.16 and 169.254.169.254 not exempt"),
        (proxied(("environment https_proxy", PROXY)), WARN, "not exempt from the proxy of environment https"),
        (proxied(("environment http_proxy", PROXY), ("environment no_proxy", EXEMPT)), PASS, "are exempt"),
        (
            proxied(("environment http_proxy", PROXY), ("environment NO_PROXY", "168.63.129.16")),
            WARN,
            "169.254.169.254 not exempt",
        ),
        # an exemption counts where it stands
        (
            proxied(("unit http_proxy", PROXY), ("environment no_proxy", EXEMPT)),
            WARN,
            "the proxy of unit http_proxy",
        ),
        (proxied(("unit http_proxy", PROXY), ("unit no_proxy", EXEMPT)), PASS, "are exempt"),
        (
            proxied(("waagent.conf HttpProxy.Host", "proxy")),
            WARN,
            "the proxy of waagent.conf HttpProxy.Host, which the snapshot extension reads",
        ),
        (
            proxied(("waagent.conf HttpProxy.Host", "proxy"), ("waagent.conf HttpProxy.Port", "3128")),
            WARN,
            "HttpProxy.Host",
        ),
        (proxied(("waagent.conf HttpProxy.Host", "proxy"), ("unit no_proxy", EXEMPT)), PASS, "are exempt"),
        # Windows
        (proxied(("WinHTTP proxy", "proxy:3128"), ("WinHTTP no_proxy", "<local>")), WARN, "WinHTTP proxy"),
        (
            proxied(("WinHTTP proxy", "proxy:3128"), ("WinHTTP no_proxy", "<local>;168.63.*;169.254.*")),
            PASS,
            "are exempt",
        ),
        (
            proxied(("IE-machine proxy", "proxy:3128"), ("IE-LocalSystem no_proxy", "168.63.*;169.254.*")),
            WARN,
            "IE-machine proxy",
        ),
        (proxied(("IE-machine AutoConfigURL", "http://wpad/x")), UNKNOWN, "a script chooses the proxy"),
        (
            proxied(("IE-machine AutoConfigURL", "http://wpad/x"), ("environment http_proxy", PROXY)),
            WARN,
            "environment http_proxy",
        ),
        # networks and wildcards
        (
            proxied(
                ("environment http_proxy", PROXY), ("environment no_proxy", "168.63.129.16/32 169.254.0.0/16")
            ),
            PASS,
            "are exempt",
        ),
        (proxied(("environment http_proxy", PROXY), ("environment no_proxy", "*")), PASS, "are exempt"),
        (
            proxied(
                ("environment http_proxy", PROXY), ("environment no_proxy", "68.63.129.16,[,/,10.0.0.0/99")
            ),
            WARN,
            "not exempt",
        ),
        # a login
        (
            proxied(("environment http_proxy", "http://***@proxy:3128"), ("environment no_proxy", EXEMPT)),
            WARN,
            "environment http_proxy wants a login",
        ),
        (
            proxied(("unit http_proxy", "http://***@proxy:3128"), ("unit no_proxy", "168.63.129.16")),
            WARN,
            "169.254.169.254 not exempt from the proxy of unit http_proxy; the proxy of unit",
        ),
        (guested(proxies=Unseen("not readable")), UNKNOWN, "not readable"),
    ],
)
def test_guest_proxy(facts: Facts, status: Status, text: str) -> None:
    got, words = said("guest-proxy", facts)
    assert (got, text in words) == (status, True), words


def test_no_address_of_a_proxy_is_shown() -> None:
    found = finding("guest-proxy", proxied(("environment http_proxy", "http://joe:s3cret@hidden:3128")))
    texts = [found.summary, str(found.remediation), *(row.value for row in found.evidence)]
    assert not any(word in text for text in texts for word in ("s3cret", "hidden"))
    assert found.evidence[0].value == "set in environment http_proxy"
