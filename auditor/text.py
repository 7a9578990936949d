"""Text that came from machines, made fit to be written and to be looked at. Pure."""

import re

# Controls, bidirectional and invisible formatting, line separators and lone surrogates. The zero-width
# joiners U+200C and U+200D stay: scripts need them.
_DECEPTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def visible(text: str, *, keep: str = "") -> str:
    r"""The text with every character that would act or hide spelled out, as in `<U+001B>`.

    `keep` names characters that may stay, such as "\n" where several lines are welcome.
    """
    return _DECEPTIVE.sub(lambda match: match[0] if match[0] in keep else f"<U+{ord(match[0]):04X}>", text)


def well_formed(text: str) -> str:
    """The text as valid Unicode: surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def shorten(text: str, length: int) -> str:
    """At most `length` characters, with an ellipsis where something was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def place(address: str, port: int) -> str:
    """Address and port as people write them: an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def one_line(text: str | bytes, length: int = 200) -> str:
    """The text on one line, fit to stand in a reason: no control or direction characters, clipped."""
    raw = text[: 4 * length]
    plain = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    line = " ".join("".join(char if char.isprintable() else " " for char in plain).split())
    return shorten(line, length)
