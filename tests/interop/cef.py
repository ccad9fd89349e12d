"""Reads ArcSight's Common Event Format, by its specification and strictly: what another reader might
take otherwise is an error."""

import re
from dataclasses import dataclass

HEADER_FIELDS = 7
# A key begins the extension, or stands after a space.
PAIR = re.compile(r"(?:^| )([A-Za-z0-9]+)=")


@dataclass(frozen=True)
class Cef:
    version: int
    vendor: str
    product: str
    product_version: str
    class_id: str
    name: str
    severity: int
    extension: dict


def read(text):
    header, extension = _split_header(text)
    version, *names, severity = (_unescaped(field, {"\\": "\\", "|": "|"}) for field in header)
    if not version.startswith("CEF:"):
        raise ValueError(f"no CEF: {text}")
    if not 0 <= int(severity) <= 10:
        raise ValueError(f"severity {severity}: {text}")
    if not all(names):
        raise ValueError(f"an empty field in the header: {text}")
    return Cef(int(version.removeprefix("CEF:")), *names, int(severity), _extension(extension))


def _split_header(text):
    """The header's fields and the extension; a pipe ends a field unless it is escaped."""
    fields, rest = [], text
    for _ in range(HEADER_FIELDS):
        field = re.match(r"((?:[^\\|\r\n]|\\.)*)\|", rest)
        if not field:
            raise ValueError(f"fewer than {HEADER_FIELDS} fields in the header: {text}")
        fields.append(field[1])
        rest = rest[field.end() :]
    return fields, rest


def _extension(text):
    """Pairs `key=value`; a value ends where a space and the next key stand."""
    starts = list(PAIR.finditer(text))
    if text and (not starts or starts[0].start(1) != 0):
        raise ValueError(f"the extension does not begin with a key: {text}")
    pairs = {}
    for start, following in zip(starts, [*starts[1:], None]):
        raw = text[start.end() : following.start() if following else len(text)]
        if start[1] in pairs:
            raise ValueError(f"the key {start[1]} stands twice: {text}")
        pairs[start[1]] = _unescaped(raw, {"\\": "\\", "=": "=", "n": "\n", "r": "\r"}, "=")
    return pairs


def _unescaped(raw, escapes, forbidden=""):
    def character(match):
        escaped, plain = match[1], match[0]
        if escaped is not None and escaped in escapes:
            return escapes[escaped]
        raise ValueError(f"{plain!r} in {raw!r}")

    return re.sub(rf"\\(.?)|[\r\n{forbidden}]", character, raw, flags=re.DOTALL)
