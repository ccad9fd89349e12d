"""Reads QRadar's Log Event Extended Format 2.0, by its specification and strictly."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Leef:
    vendor: str
    product: str
    product_version: str
    event_id: str
    attributes: dict


def read(text):
    version, vendor, product, product_version, event_id, delimiter, attributes = text.split("|", 6)
    if version != "LEEF:2.0":
        raise ValueError(f"no LEEF 2.0: {text}")
    if not all((vendor, product, product_version, event_id)):
        raise ValueError(f"an empty field in the header: {text}")
    if re.search(r"[\r\n]", text):
        raise ValueError(f"a line break: {text!r}")
    pairs = {}
    for attribute in attributes.split(_character(delimiter)):
        key, equals, value = attribute.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_]+", key):
            raise ValueError(f"no attribute: {attribute!r} in {text!r}")
        if key in pairs:
            raise ValueError(f"the key {key} stands twice: {text!r}")
        pairs[key] = value
    return Leef(vendor, product, product_version, event_id, pairs)


def _character(delimiter):
    """One character, or its number as `x09` or `0x09`; nothing stands for a tab."""
    number = re.fullmatch(r"0?x([0-9A-Fa-f]{1,4})", delimiter)
    if number:
        return chr(int(number[1], 16))
    if len(delimiter) > 1:
        raise ValueError(f"the delimiter {delimiter!r}")
    return delimiter or "\t"
