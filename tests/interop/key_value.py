"""Reads `key="value"` pairs with a space between, as Splunk and others do, strictly."""

import re

PAIR = re.compile(r'([A-Za-z0-9_.-]+)="((?:[^"\\\r\n]|\\["\\nr])*)"(?: (?!$)|$)')
ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def read(text):
    """The pairs in order."""
    pairs, place = [], 0
    while place < len(text):
        pair = PAIR.match(text, place)
        if not pair:
            raise ValueError(f"no pair at {text[place:]!r}")
        pairs.append((pair[1], re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], pair[2])))
        place = pair.end()
    return pairs
