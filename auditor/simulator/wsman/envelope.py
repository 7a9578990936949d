"""A SOAP envelope as this server reads it: no document types, and never an error but `WsFault`."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from auditor.simulator.wsman.replies import INVALID_XML, WsFault

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_DURATION = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?")
_LEAST_ENVELOPE = 8192


@dataclass(frozen=True, slots=True)
class Envelope:
    """One request: what is asked of which shell, and how long (seconds) and long-winded (bytes) to be."""

    action: str
    resource: str
    message_id: str
    shell_id: str = ""
    timeout: float = 60.0
    largest: int = 153_600
    options: dict[str, str] = field(default_factory=dict)
    body: ET.Element = field(default_factory=lambda: ET.Element("Body"))


def parse(text: bytes) -> Envelope:
    """Read a request; raises `WsFault` for whatever is none."""
    try:
        root = _tree(text)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise WsFault(INVALID_XML, detail=f"The request is no XML: {error}") from None
    header, body = root.find(f"{{{SOAP}}}Header"), root.find(f"{{{SOAP}}}Body")
    if header is None or body is None:
        raise WsFault(INVALID_XML, detail="The request has no SOAP header or body.")
    return Envelope(
        action=_text(header, ADDRESSING, "Action"),
        resource=_text(header, WSMAN, "ResourceURI"),
        message_id=_text(header, ADDRESSING, "MessageID"),
        shell_id=_named(header, "SelectorSet", "Selector").get("ShellId", ""),
        timeout=seconds(_text(header, WSMAN, "OperationTimeout"), 60.0),
        largest=_size(_text(header, WSMAN, "MaxEnvelopeSize"), 153_600),
        options=_named(header, "OptionSet", "Option"),
        body=body,
    )


def _tree(text: bytes) -> ET.Element:
    # expat takes UTF-16 whatever it is told, and goes on expanding entities after a handler has objected
    if b"\0" in text or "<!DOCTYPE" in text.decode():
        raise ValueError("zeros and document types are not taken")
    return ET.fromstring(text, ET.XMLParser(encoding="utf-8"))  # noqa: S314 - no document type, no entities


def seconds(duration: str, usual: float) -> float:
    """An xs:duration in seconds; `usual` for what is none."""
    found = _DURATION.fullmatch(duration)
    if found is None or not any(found.groups()):
        return usual
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _size(text: str, usual: int) -> int:
    return max(_LEAST_ENVELOPE, int(text)) if re.fullmatch(r"[0-9]{1,12}", text) else usual


def _text(parent: ET.Element, namespace: str, tag: str) -> str:
    return (parent.findtext(f"{{{namespace}}}{tag}") or "").strip()


def _named(header: ET.Element, group: str, tag: str) -> dict[str, str]:
    found = header.iterfind(f"{{{WSMAN}}}{group}/{{{WSMAN}}}{tag}")
    return {element.get("Name", ""): (element.text or "").strip() for element in found}
