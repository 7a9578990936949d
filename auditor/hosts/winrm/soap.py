"""The few WS-Man messages of a remote command, as pywinrm writes them, built from one text. Pure."""

import base64
import re
import uuid
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

MAX_ENVELOPE = 153_600
CODE_PAGE = 65001
IDLE = 180
"""Seconds after which Windows deletes a shell that nobody asks any more; Windows takes no less than 60."""
ID_LIMIT = 200

_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
_RSP = f"{{{_SHELL}}}"
_UNFIT = re.compile("[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DONE = f"{_SHELL}/CommandState/Done"
_TERMINATE = f"{_SHELL}/signal/terminate"

_ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<env:Envelope xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:env="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:b="http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd" '
    'xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration" '
    'xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" '
    'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" '
    'xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd" '
    f'xmlns:rsp="{_SHELL}" '
    'xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config"><env:Header>'
    "<a:To>http://windows-host:5985/wsman</a:To>"
    '<a:ReplyTo><a:Address mustUnderstand="true">'
    "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>"
    f'<w:MaxEnvelopeSize mustUnderstand="true">{MAX_ENVELOPE}</w:MaxEnvelopeSize>'
    "<a:MessageID>uuid:%s</a:MessageID>"
    '<w:Locale mustUnderstand="false" xml:lang="en-US"></w:Locale>'
    '<p:DataLocale mustUnderstand="false" xml:lang="en-US"></p:DataLocale>'
    "<w:OperationTimeout>PT%.3fS</w:OperationTimeout>"
    f'<w:ResourceURI mustUnderstand="true">{_SHELL}/cmd</w:ResourceURI>'
    '<a:Action mustUnderstand="true">%s</a:Action>%s%s</env:Header>'
    "<env:Body>%s</env:Body></env:Envelope>"
)


def create(operation: float) -> str:
    """Open a shell that speaks UTF-8; like every message, with the seconds that the server may take."""
    options = _options(WINRS_NOPROFILE="FALSE", WINRS_CODEPAGE=str(CODE_PAGE))
    body = (
        "<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr"
        f"</rsp:OutputStreams><rsp:IdleTimeOut>PT{IDLE}S</rsp:IdleTimeOut></rsp:Shell>"
    )
    return _envelope(f"{_TRANSFER}/Create", body, operation, options=options)


def command(shell: str, line: str, operation: float, *, console: bool) -> str:
    """Start a command line; `console` is false where its input will be sent, as through a pipe."""
    options = _options(WINRS_CONSOLEMODE_STDIN=str(console).upper(), WINRS_SKIP_CMD_SHELL="FALSE")
    body = f"<rsp:CommandLine><rsp:Command>{escape(line)}</rsp:Command></rsp:CommandLine>"
    return _envelope(f"{_SHELL}/Command", body, operation, shell, options)


def writable(text: str) -> str:
    """The text; raises `ValueError` for characters that XML has no way to write."""
    if _UNFIT.search(text):
        raise ValueError("a control character or half a character in a command line")
    return text


def send(shell: str, command_id: str, data: bytes, operation: float, *, end: bool) -> str:
    """Give a piece of the command's input; `end` closes it."""
    body = (
        f'<rsp:Send><rsp:Stream CommandId={quoteattr(command_id)} Name="stdin" End="{str(end).lower()}">'
        f"{base64.b64encode(data).decode()}</rsp:Stream></rsp:Send>"
    )
    return _envelope(f"{_SHELL}/Send", body, operation, shell)


def receive(shell: str, command_id: str, operation: float) -> str:
    """Ask for what the command has written since."""
    body = (
        f"<rsp:Receive><rsp:DesiredStream CommandId={quoteattr(command_id)}>stdout stderr"
        "</rsp:DesiredStream></rsp:Receive>"
    )
    return _envelope(f"{_SHELL}/Receive", body, operation, shell)


def signal(shell: str, command_id: str, operation: float) -> str:
    """End a command, and let the server forget it."""
    body = f"<rsp:Signal CommandId={quoteattr(command_id)}><rsp:Code>{_TERMINATE}</rsp:Code></rsp:Signal>"
    return _envelope(f"{_SHELL}/Signal", body, operation, shell)


def delete(shell: str, operation: float) -> str:
    """Close a shell."""
    return _envelope(f"{_TRANSFER}/Delete", "", operation, shell)


def shell_id(answer: bytes) -> str:
    """The shell that was opened; raises `ValueError` where the answer names none."""
    found = _parse(answer).find(".//*[@Name='ShellId']")
    return _identifier(found)


def command_id(answer: bytes) -> str:
    """The command that was started; raises `ValueError` where the answer names none."""
    return _identifier(_parse(answer).find(f".//{_RSP}CommandId"))


@dataclass(slots=True)
class Output:
    """What a command has written so far; at most `limit` bytes of each stream are kept."""

    limit: int
    noise_limit: int
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    noise: int = 0
    exit_status: int | None = None
    done: bool = False

    @property
    def overflown(self) -> bool:
        """Whether the guest has sent more than is wanted."""
        return len(self.stdout) > self.limit or self.noise > self.limit

    def take(self, answer: bytes) -> bool:
        """Add what an answer to `receive` brought, and say whether it brought anything."""
        root = _parse(answer)
        before = len(self.stdout) + self.noise
        for stream in root.iter(f"{_RSP}Stream"):
            self._add(stream.get("Name"), base64.b64decode(stream.text or ""))
        for state in root.iter(f"{_RSP}CommandState"):
            if state.get("State") == _DONE:
                self.done = True
                code = state.findtext(f"{_RSP}ExitCode")
                self.exit_status = int(code) if code else None
        return self.done or len(self.stdout) + self.noise > before

    def _add(self, name: str | None, data: bytes) -> None:
        if name == "stdout":
            self.stdout += data
        elif name == "stderr":
            self.noise += len(data)
            self.stderr += data[: max(self.noise_limit - len(self.stderr), 0)]


def _envelope(action: str, body: str, operation: float, shell: str = "", options: str = "") -> str:
    selector = f'<w:SelectorSet><w:Selector Name="ShellId">{escape(shell)}</w:Selector></w:SelectorSet>'
    return _ENVELOPE % (uuid.uuid4(), operation, action, selector if shell else "", options, body)


def _options(**options: str) -> str:
    inner = "".join(f'<w:Option Name="{name}">{value}</w:Option>' for name, value in options.items())
    return f"<w:OptionSet>{inner}</w:OptionSet>"


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str, system: str) -> None:  # noqa: ARG002 - the parser's signature
        raise ValueError("the answer has a document type")


def _parse(answer: bytes) -> ElementTree.Element:
    # without a document type there are no entities, neither to expand nor to fetch
    parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314
    parser.feed(answer)
    root: ElementTree.Element = parser.close()
    return root


def _identifier(element: ElementTree.Element | None) -> str:
    if element is None or not element.text or len(element.text) > ID_LIMIT:
        raise ValueError("the answer names no shell or command")
    return element.text
