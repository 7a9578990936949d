"""Protocol tier: whatever bytes arrive, the WS-Man server answers with a fault and stays up."""

import base64
import io
import socket
import ssl
import struct
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

import pytest
import spnego
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.simulator.wsman import Faults, Limits, WinRmServer
from auditor.simulator.wsman.accounts import NTLM_STORE, Accounts
from auditor.simulator.wsman.envelope import SHELL, Envelope, parse, seconds
from auditor.simulator.wsman.http import BadRequest, read_request
from auditor.simulator.wsman.login import Login, Schemes
from auditor.simulator.wsman.operations import CMD, Operations
from auditor.simulator.wsman.replies import WsFault
from auditor.simulator.wsman.sealing import Unsealable, opened, sealed
from auditor.simulator.wsman.shells import Shells
from tests.simulator.wsman_guest import ACCOUNTS, PASSWORD, USER, Guest, protocol, run

QUICK = settings(max_examples=60, deadline=None)  # a busy machine is no failure
NTLM_ACCOUNTS = Accounts(ACCOUNTS)
FAULT = "{http://www.w3.org/2003/05/soap-envelope}Body/{http://www.w3.org/2003/05/soap-envelope}Fault"
ACTIONS = [f"{SHELL}/{name}" for name in ("Command", "Send", "Receive", "Signal")] + [
    f"http://schemas.xmlsoap.org/ws/2004/09/transfer/{name}" for name in ("Create", "Delete")
]


def operations() -> Operations:
    """The operations of a guest whose commands would run in the calling thread."""
    return Operations(
        "127.0.0.1",
        Shells(Guest(), 30),
        limits=Limits(),
        faults=Faults(),
        spawn=lambda work: work(),
        report=lambda error: None,
    )


def is_fault(answer: bytes) -> bool:
    """Whether an answer is well-formed and a SOAP fault."""
    return ET.fromstring(answer).find(FAULT) is not None


@QUICK
@given(st.binary(max_size=2000))
def test_any_bytes_are_a_fault(text: bytes) -> None:
    answer = operations().answer(text, "user")
    assert answer.status == 500
    assert is_fault(answer.body)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=30)
TAGS = st.sampled_from(["Shell", "Stream", "Signal", "Code", "Command", "CommandLine", "DesiredStream", "x"])


def elements() -> st.SearchStrategy[ET.Element]:
    """Shell elements in all sorts of places."""

    def build(tag: str, attributes: dict[str, str], text: str, children: list[ET.Element]) -> ET.Element:
        element = ET.Element(f"{{{SHELL}}}{tag}", attributes)
        element.text = text
        element.extend(children)
        return element

    attributes = st.dictionaries(st.sampled_from(["CommandId", "Name", "End"]), WORDS, max_size=2)
    leaf = st.builds(build, TAGS, attributes, WORDS, st.just([]))
    return st.recursive(
        leaf,
        lambda inner: st.builds(build, TAGS, attributes, WORDS, st.lists(inner, max_size=3)),
        max_leaves=6,
    )


@QUICK
@given(
    action=st.sampled_from(ACTIONS) | WORDS,
    message_id=WORDS,
    shell_id=WORDS,
    timeout=st.just("PT0.01S") | WORDS,
    largest=st.integers(-10, 10**13).map(str) | WORDS,
    option=st.sampled_from(["437", "65001", "0", "-1", "²", "99999999999999"]) | WORDS,
    body=elements(),
)
def test_any_envelope_has_an_answer(
    action: str, message_id: str, shell_id: str, timeout: str, largest: str, option: str, body: ET.Element
) -> None:
    text = envelope(action, message_id, shell_id, timeout, largest, option, body)
    answer = operations().answer(text, "user")
    root = ET.fromstring(answer.body)
    assert answer.status == (500 if root.find(FAULT) is not None else 200)
    assert answer.status == 500 or action.endswith("/Create")


def envelope(
    action: str, message_id: str, shell_id: str, timeout: str, largest: str, option: str, body: ET.Element
) -> bytes:
    """An envelope as bytes."""
    soap, wsman = "http://www.w3.org/2003/05/soap-envelope", "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
    addressing = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
    root = ET.Element(f"{{{soap}}}Envelope")
    header = ET.SubElement(root, f"{{{soap}}}Header")
    for namespace, tag, text in (
        (addressing, "Action", action),
        (addressing, "MessageID", message_id),
        (wsman, "ResourceURI", CMD),
        (wsman, "OperationTimeout", timeout),
        (wsman, "MaxEnvelopeSize", largest),
    ):
        ET.SubElement(header, f"{{{namespace}}}{tag}").text = text
    selectors = ET.SubElement(header, f"{{{wsman}}}SelectorSet")
    ET.SubElement(selectors, f"{{{wsman}}}Selector", {"Name": "ShellId"}).text = shell_id
    options = ET.SubElement(header, f"{{{wsman}}}OptionSet")
    ET.SubElement(options, f"{{{wsman}}}Option", {"Name": "WINRS_CODEPAGE"}).text = option
    ET.SubElement(root, f"{{{soap}}}Body").append(body)
    return ET.tostring(root)


LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 30))
DOCTYPES = [
    b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
    b'<!DOCTYPE x [<!ENTITY l0 "ha">' + LAUGHS + b"]><x>&l29;</x>",
    b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x><x/>'.encode("utf-16"),
    "<!DOCTYPE x><x/>".encode("utf-16-le"),
    b'<?xml version="1.0" encoding="utf-7"?>+ADw-!DOCTYPE x+AD4-',
]


@pytest.mark.parametrize("text", DOCTYPES, ids=["system", "laughs", "external", "utf-16", "no-bom", "utf-7"])
def test_document_types_are_refused_at_once(text: bytes) -> None:
    start = time.thread_time()
    with pytest.raises(WsFault, match="no XML"):
        parse(text)
    assert time.thread_time() - start < 0.5


@pytest.mark.parametrize(
    ("duration", "expected"),
    [("PT20S", 20.0), ("PT0.5S", 0.5), ("PT1M30S", 90.0), ("PT1H", 3600.0), ("P1DT1S", 86401.0)]
    + [(text, 60.0) for text in ("", "P", "PT", "20", "PT-5S", "PT5", "PTS")],
)
def test_durations(duration: str, expected: float) -> None:
    assert seconds(duration, 60.0) == expected


def test_a_request_of_pywinrm_is_read_whole() -> None:
    body = ET.Element(f"{{{SHELL}}}Shell")
    read = parse(envelope(ACTIONS[-2], "uuid:1", "S1", "PT7S", "8192", "65001", body))
    assert (read.action, read.message_id, read.shell_id) == (ACTIONS[-2], "uuid:1", "S1")
    assert (read.timeout, read.largest, read.options) == (7.0, 8192, {"WINRS_CODEPAGE": "65001"})
    assert isinstance(read, Envelope)


SEALED_HEAD = (
    b"--Encrypted Boundary\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=5\r\n"
    b"--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
)


@QUICK
@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: SEALED_HEAD + data))
def test_any_bytes_are_not_sealed(body: bytes) -> None:
    client, server = contexts()
    with pytest.raises(Unsealable):
        opened(body, server)
    assert client.complete


@QUICK
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_one_changed_byte_is_noticed(place: int, change: int) -> None:
    client, server = contexts()
    message = bytearray(sealed(b"<x>a message</x>", client))
    secret = message.index(b"octet-stream") + len(b"octet-stream\r\n")
    message[secret + place % (len(message) - secret - 24)] ^= change
    with pytest.raises(Unsealable):
        opened(bytes(message), server)


def test_a_sealed_message_is_opened() -> None:
    client, server = contexts()
    for text in (b"<x/>", b"--Encrypted Boundary--\r\n", b"z" * 100_000):
        assert opened(sealed(text, client), server) == text
        assert opened(sealed(text, server), client) == text


def contexts() -> tuple[spnego.ContextProxy, spnego.ContextProxy]:
    """An NTLM client and server that are through with signing in."""
    client = ntlm_client()
    login = Login(NTLM_ACCOUNTS, Schemes())
    challenge = login.check(header(client.step() or b"")).headers[0][1]
    token = client.step(base64.b64decode(challenge.partition(" ")[2]))
    assert login.check(header(token or b"")).user == USER
    assert login.context is not None
    return client, login.context


def ntlm_client() -> spnego.ContextProxy:
    """A client that is about to sign in."""
    return spnego.client(USER, PASSWORD, protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)


def header(token: bytes) -> str:
    """A token as it travels."""
    return f"Negotiate {base64.b64encode(token).decode()}"


@pytest.fixture(autouse=True, scope="module")
def _ntlm_store() -> Iterator[None]:
    NTLM_STORE.open()
    yield
    NTLM_STORE.close()


TOKENS = st.binary(max_size=120)


@QUICK
@given(st.text(max_size=40) | TOKENS.map(header) | TOKENS.map(lambda token: header(b"NTLMSSP\0" + token)))
def test_any_authorization_is_refused(authorization: str) -> None:
    login = Login(NTLM_ACCOUNTS, Schemes())
    assert login.check(authorization).user is None
    assert login.context is None


def last_token(login: Login) -> bytearray:
    """The token that would sign the user in."""
    client = ntlm_client()
    challenge = login.check(header(client.step() or b"")).headers[0][1]
    return bytearray(client.step(base64.b64decode(challenge.partition(" ")[2])) or b"")


@QUICK
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_proof_signs_nobody_in(place: int, change: int) -> None:
    login = Login(NTLM_ACCOUNTS, Schemes())
    token = last_token(login)
    length, _, offset = struct.unpack_from("<HHI", token, 20)
    token[offset + place % length] ^= change
    assert login.check(header(bytes(token))).user is None


@QUICK
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1), st.integers(1, 400))
def test_a_damaged_token_is_no_crash(changes: list[tuple[int, int]], cut: int) -> None:
    login = Login(NTLM_ACCOUNTS, Schemes())
    token = last_token(login)
    for place, value in changes:
        token[place % len(token)] = value
    # who still proves the password may be let in: NTLM's signature over the rest is optional
    assert login.check(header(bytes(token[:-cut]))).user in {None, USER}


def test_a_token_without_proof_signs_nobody_in() -> None:
    login = Login(NTLM_ACCOUNTS, Schemes())
    token = last_token(login)
    struct.pack_into("<HHI", token, 12, 24, 24, len(token))  # an LM response that a stranger can make
    struct.pack_into("<HHI", token, 20, 0, 0, len(token))
    assert login.check(header(bytes(token) + bytes(24))).user is None


@QUICK
@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda rest: b"POST /wsman HTTP/1.1\r\n" + rest))
def test_any_bytes_are_a_request_or_none(raw: bytes) -> None:
    try:
        request = read_request(io.BytesIO(raw), 100)
    except BadRequest:
        return
    assert request is None or request.body is None or len(request.body) <= 100


NOISE: list[bytes] = [
    b"",
    b"\0" * 2000,
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\nContent-Length: 50\r\n\r\nbroken off",
    b"POST /wsman HTTP/1.1\r\nAuthorization: Basic !!!\r\nContent-Length: 0\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\nAuthorization: Negotiate TlRMTVNTUAADAAAA\r\nContent-Length: 0\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\nAuthorization: Negotiate YA==\r\nContent-Length: 0\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
    b"\x16\x03\x01\x00\x05hello",
]


@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
def test_noise_on_the_wire_leaves_the_server_up(tls: bool) -> None:
    plain = {} if tls else {"tls": None}
    with WinRmServer(Guest(), accounts=ACCOUNTS, **plain) as server:  # type: ignore[arg-type]
        for noise in NOISE:
            shout(server, noise, wrap if tls else lambda raw: raw)
        shout(server, NOISE[1], lambda raw: raw)
        assert run(protocol(server, "ntlm"), "say x")[2] == 0
        assert server.errors == type(server.errors)()


def wrap(raw: socket.socket) -> socket.socket:
    """TLS without looking at the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(raw)


def shout(server: WinRmServer, noise: bytes, dress: Callable[[socket.socket], socket.socket]) -> None:
    """Send bytes and wait until the server has had enough."""
    with dress(socket.create_connection((server.address, server.port), 10)) as connection:
        try:
            connection.sendall(noise)
            socket.socket.shutdown(connection, socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:
            return
