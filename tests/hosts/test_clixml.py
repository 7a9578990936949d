"""What Windows PowerShell writes to standard error becomes what a person would have read."""

import string
import time
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.hosts.winrm.clixml import DEPTH, HEADER, UNREADABLE, Record, readable, records, unescape

PROGRESS = (
    '<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T></TN><MS>'
    '<I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for first use.</AV><AI>0</AI><Nil />'
    "<PI>-1</PI><PC>-1</PC><T>Completed</T><SR>-1</SR><SD> </SD></PR></MS></Obj>"
)


def clixml(*texts: tuple[str, str], inside: str = "") -> bytes:
    """A document with these texts, by kind."""
    nodes = "".join(f"<S S={quoteattr(kind)}>{text}</S>" for kind, text in texts)
    namespace = "http://schemas.microsoft.com/powershell/2004/04"
    return f'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="{namespace}">{inside}{nodes}</Objs>'.encode()


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (b"", ""),
        (b"native error\r\n", "native error\r\n"),
        (clixml(), ""),
        (clixml(inside=PROGRESS), ""),
        (clixml(("Error", "no_x000D__x000A_")), "no\r\n"),
        (clixml(("Error", "a_x000D__x000A_"), ("Error", "b_x000D__x000A_")), "a\r\nb\r\n"),
        (clixml(("warning", "old"), ("Error", "bad_x000D__x000A_")), "WARNING: old\r\nbad\r\n"),
        (clixml(("Verbose", "v"), ("debug", "d")), "VERBOSE: v\r\nDEBUG: d\r\n"),
        (clixml(("Error", "Zugriff verweigert: Gr_x00F6__x00DF_e")), "Zugriff verweigert: Größe"),
        (clixml(("Error", "&lt;b&gt; &amp; _x005F_x000A_")), "<b> & _x000A_"),
        (clixml(("Error", "_xD83D__xDE00_")), "\U0001f600"),
        (clixml(("Error", "_xD83D_ alone")), "\ufffd alone"),
        (clixml(("Error", "<S>nested</S>outer")), "nestedouter"),
        (b"before\r\n" + clixml(("Error", "x")) + b"after", "before\r\nxafter"),
        (clixml(("Error", "1")) + b"\r\n" + clixml(("Error", "2")), "1\r\n2"),
        (clixml(("Error", "x"))[:-3], '<Objs Version="1.1.0.1"'),
        (b"#< CLIXML", ""),
        (b"#< CLIXML\r\nnot XML at all", "not XML at all"),
        (b"#< CLIXML<Other><S S='Error'>x</S></Other></Objs>", "<Other>"),
    ],
)
def test_what_is_read(stderr: bytes, said: str) -> None:
    shown = readable(stderr).decode()
    assert shown.startswith(said)
    assert said or not shown


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE Objs [<!ENTITY a "xxxx"><!ENTITY b "&a;&a;&a;">]><Objs><S S="Error">&b;</S></Objs>',
        b'<!DOCTYPE Objs SYSTEM "file:///etc/passwd"><Objs/>',
        b"<Objs>" + b"<a>" * (DEPTH + 1),
        b"<Objs>" + b"<a>" * 200_000 + b"</Objs>",
        b"<Objs>&undefined;</Objs>",
        b"<Objs>\x00</Objs>",
    ],
)
def test_hostile_documents_are_shown_short_and_never_acted_on(document: bytes) -> None:
    start = time.thread_time()
    with pytest.raises(ValueError, match="no CLIXML"):
        records(document)
    shown = readable(HEADER + b"\r\n" + document).decode()
    assert time.thread_time() - start < 2
    assert document.decode()[:40].startswith(shown[:40])
    assert len(shown) <= UNREADABLE + len("</Objs>")


XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["error", "warning", "verbose"]), XML_TEXT)))
def test_every_text_comes_back_in_order(texts: list[tuple[str, str]]) -> None:
    written = [(kind, escape(text.replace("_", "_x005F_"))) for kind, text in texts]
    document = clixml(*written).partition(b"\n")[2]
    assert records(document) == tuple(Record(kind, text) for kind, text in texts)


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_every_text_survives_powershell_s_escapes(text: str) -> None:
    units = text.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(f"_x{units[at : at + 4]}_" for at in range(0, len(units), 4))
    assert unescape(escaped) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@settings(deadline=None, max_examples=100)
@given(st.binary())
def test_any_bytes_are_readable_in_some_way(noise: bytes) -> None:
    for stderr in (noise, HEADER + noise, noise + clixml(("Error", "x")) + noise, clixml()[:-8] + noise):
        shown = readable(stderr)
        assert HEADER in stderr or shown == stderr
        if HEADER not in noise:
            assert HEADER not in shown


@settings(deadline=None, max_examples=100)
@given(st.text(string.printable))
def test_plain_standard_error_is_left_alone(text: str) -> None:
    assert readable(text.encode()) == text.encode() or "#< CLIXML" in text
