"""Answers and faults in the words of WS-Management; the codes are those of the SDK's wsmerror.h."""

import base64
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

_ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_CMD = f"{_SHELL}/cmd"
_ENVELOPE = (
    '<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer"'
    ' xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"'
    f' xmlns:rsp="{_SHELL}" xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd">'
)


@dataclass(frozen=True, slots=True)
class FaultCode:
    """One fault of WS-Management: its number, its SOAP code and subcode, and its text."""

    number: int
    code: str
    subcode: str
    text: str


TIMED_OUT = FaultCode(
    2150858793,
    "s:Receiver",
    "w:TimedOut",
    "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
)
NO_SHELL = FaultCode(
    2150858843,
    "s:Sender",
    "w:InvalidSelectors",
    "The request for the Windows Remote Shell failed because the shell was not found on the server.",
)
NO_COMMAND = FaultCode(
    2150858843,
    "s:Sender",
    "w:InvalidSelectors",
    "The Windows Remote Shell received a request to perform an operation on a command identifier that "
    "does not exist.",
)
TOO_MANY_SHELLS = FaultCode(
    2150859173,
    "s:Receiver",
    "w:QuotaLimit",
    "The WS-Management service cannot process the request. The maximum number of concurrent shells for "
    "this user has been exceeded.",
)
TOO_LARGE = FaultCode(
    2150858790,
    "s:Sender",
    "w:EncodingLimit",
    "The WS-Management service cannot process the request: it is larger than the maximum size allowed.",
)
INVALID_XML = FaultCode(
    2150858791,
    "s:Sender",
    "w:SchemaValidationError",
    "The WS-Management service cannot process the request because the request packet does not have a valid "
    "SOAP body.",
)
UNSUPPORTED = FaultCode(
    2150858754, "s:Sender", "w:UnsupportedFeature", "The service does not support this request."
)
ABORTED = FaultCode(
    995,
    "s:Receiver",
    "w:InternalError",
    "The I/O operation has been aborted because of either a thread exit or an application request.",
)
INTERNAL = FaultCode(
    2150858756, "s:Receiver", "w:InternalError", "The service failed while it processed the request."
)


class WsFault(Exception):
    """A request that is answered with a fault."""

    def __init__(self, code: FaultCode, detail: str = "") -> None:
        super().__init__(detail or code.text)
        self.code = code
        self.detail = detail or code.text


def fault(error: WsFault, relates_to: str, machine: str) -> bytes:
    """The envelope of a fault."""
    code = error.code
    body = (
        f"<s:Fault><s:Code><s:Value>{code.code}</s:Value><s:Subcode><s:Value>{code.subcode}</s:Value>"
        f'</s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">{code.text}</s:Text></s:Reason><s:Detail>'
        '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"'
        f' Code="{code.number}" Machine={quoteattr(machine)}><f:Message>{escape(_printable(error.detail))}'
        "</f:Message></f:WSManFault></s:Detail></s:Fault>"
    )
    return _reply("http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", relates_to, body)


def created(relates_to: str, shell_id: str, owner: str) -> bytes:
    """The answer to Create."""
    body = (
        f"<x:ResourceCreated><a:Address>{_ANONYMOUS}</a:Address><a:ReferenceParameters>"
        f'<w:ResourceURI>{_CMD}</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{shell_id}'
        "</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>"
        f"<rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId><rsp:ResourceUri>{_CMD}</rsp:ResourceUri>"
        f"<rsp:Owner>{escape(_printable(owner))}</rsp:Owner><rsp:InputStreams>stdin</rsp:InputStreams>"
        "<rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>"
    )
    return _reply("http://schemas.xmlsoap.org/ws/2004/09/transfer/CreateResponse", relates_to, body)


def command_started(relates_to: str, command_id: str) -> bytes:
    """The answer to Command."""
    body = f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"
    return _reply(f"{_SHELL}/CommandResponse", relates_to, body)


def sent(relates_to: str) -> bytes:
    """The answer to Send."""
    return _reply(f"{_SHELL}/SendResponse", relates_to, "<rsp:SendResponse/>")


def signalled(relates_to: str) -> bytes:
    """The answer to Signal."""
    return _reply(f"{_SHELL}/SignalResponse", relates_to, "<rsp:SignalResponse/>")


def deleted(relates_to: str) -> bytes:
    """The answer to Delete."""
    return _reply("http://schemas.xmlsoap.org/ws/2004/09/transfer/DeleteResponse", relates_to, "")


def received(
    relates_to: str, command_id: str, streams: tuple[tuple[str, bytes], ...], exit_code: int | None
) -> bytes:
    """The answer to Receive; `exit_code` None says that more is to come."""
    parts = [
        f'<rsp:Stream Name="{name}" CommandId="{command_id}">{base64.b64encode(data).decode()}</rsp:Stream>'
        for name, data in streams
        if data
    ]
    state = f'<rsp:CommandState CommandId="{command_id}" State="{_SHELL}/CommandState/'
    if exit_code is None:
        parts.append(f'{state}Running"/>')
    else:
        parts += [
            f'<rsp:Stream Name="{name}" CommandId="{command_id}" End="true"/>'
            for name in ("stdout", "stderr")
        ]
        parts.append(f'{state}Done"><rsp:ExitCode>{exit_code}</rsp:ExitCode></rsp:CommandState>')
    body = f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>"
    return _reply(f"{_SHELL}/ReceiveResponse", relates_to, body)


def _reply(action: str, relates_to: str, body: str) -> bytes:
    return (
        f"{_ENVELOPE}<s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:{uuid.uuid4()}</a:MessageID>"
        f"<a:To>{_ANONYMOUS}</a:To><a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
