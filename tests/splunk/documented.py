"""The names of fields in docs/events.md: the contract that the add-on is built on."""

import re

import conf

EVENTS = conf.ROOT / "docs" / "events.md"
HEADS = ("| field | from |", "| field | type |", "| objects | fields |")


def fields():
    names, column = set(), None
    for line in EVENTS.read_text(encoding="utf-8").splitlines():
        if line.startswith(HEADS):
            column = 2 if line.startswith(HEADS[2]) else 1
        elif not line.startswith("|"):
            column = None
        elif column:
            cell = re.split(r"(?<!\\)\|", line)[column]
            # In the table of objects a name in brackets is the element's.
            names |= set(re.findall(r"`([^`]+)`", re.sub(r"\([^)]*\)", "", cell)))
    return names
