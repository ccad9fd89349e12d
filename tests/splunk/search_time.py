"""What a search sees of an event: Splunk's steps at search time, in Splunk's order.

JSON extraction, aliases, calculated fields (all from what was there before them), lookups, event
types, tags.
"""

import csv
import json
import re

import conf
from expression import Expression


class SearchHead:
    """A Splunk with the add-on and nothing else."""

    def __init__(self):
        props = conf.read("props.conf")
        self._aliases, self._calculated, self._lookups = {}, {}, {}
        for sourcetype, keys in props.items():
            self._aliases[sourcetype] = dict(
                re.fullmatch(r"(\S+) AS (\S+)", value).groups()
                for key, value in keys.items()
                if key.startswith("FIELDALIAS-")
            )
            self._calculated[sourcetype] = {
                key.removeprefix("EVAL-"): Expression(value)
                for key, value in keys.items()
                if key.startswith("EVAL-")
            }
            self._lookups[sourcetype] = [
                read_lookup(value) for key, value in keys.items() if key.startswith("LOOKUP-")
            ]
        self._event_types = {
            name: condition(keys["search"]) for name, keys in conf.read("eventtypes.conf").items()
        }
        self._tags = {
            stanza.removeprefix("eventtype="): [k for k, v in keys.items() if v == "enabled"]
            for stanza, keys in conf.read("tags.conf").items()
        }

    def made_fields(self):
        """The names that the add-on makes."""
        names = set()
        for sourcetype, calculated in self._calculated.items():
            names |= set(calculated) | set(self._aliases[sourcetype].values())
            names |= {output for _, output, _ in self._lookups[sourcetype]}
        return names

    def used_fields(self):
        """The names of the event that the add-on reads."""
        names = set()
        for sourcetype, calculated in self._calculated.items():
            for expression in calculated.values():
                names |= expression.fields
            names |= set(self._aliases[sourcetype])
            names |= {field for field, _, _ in self._lookups[sourcetype]}
        return {name.removesuffix("{}") for name in names}

    def search(self, sourcetype, text):
        """All fields of an event, its event types and its tags."""
        fields = {"sourcetype": sourcetype} | extract_json(text)
        for name, alias in self._aliases[sourcetype].items():
            if name in fields:
                fields[alias] = fields[name]
        computed = {name: one(fields) for name, one in self._calculated[sourcetype].items()}
        fields |= computed
        for field, output, rows in self._lookups[sourcetype]:
            key = fields.get(field)
            row = rows.get(key.lower()) if isinstance(key, str) else None
            if row:
                fields[output] = row
        fields = {name: value for name, value in fields.items() if value is not None}
        event_types = [name for name, holds in self._event_types.items() if holds(fields)]
        tags = {tag for name in event_types for tag in self._tags.get(name, [])}
        return fields, event_types, tags


def extract_json(text):
    """As KV_MODE = json: text whatever the type, an array under its name with {}."""
    fields = {}
    for name, value in json.loads(text, parse_int=str, parse_float=str).items():
        if isinstance(value, list):
            fields[f"{name}{{}}"] = value
        else:
            fields[name] = value
    return fields


def read_lookup(text):
    """`table field OUTPUT field`: the field that is looked up, the one that is made, the rows."""
    table, field, output = re.fullmatch(r"(\S+) (\S+) OUTPUT (\S+)", text).groups()
    name = conf.read("transforms.conf")[table]["filename"]
    with open(conf.ADD_ON / "lookups" / name, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = [row[field].lower() for row in rows]
    if len(set(keys)) != len(keys):
        raise ValueError(f"lookups/{name}: a {field} stands twice")
    return field, output, {row[field].lower(): row[output] for row in rows}


def condition(text):
    """An event type's search: `field="text"`, `field=*`, side by side, NOT, OR and brackets."""
    words = re.findall(r'\(|\)|\bOR\b|\bNOT\b|\w+="[^"]*"|\w+=\*|\S+', text)

    def all_of():
        parts = [any_of()]
        while words and words[0] != ")":
            parts.append(any_of())
        return lambda fields: all(holds(fields) for holds in parts)

    # OR binds more tightly than what stands side by side.
    def any_of():
        parts = [single_term()]
        while words and words[0] == "OR":
            words.pop(0)
            parts.append(single_term())
        return lambda fields: any(holds(fields) for holds in parts)

    def single_term():
        word = words.pop(0)
        if word == "NOT":
            inner = single_term()
            return lambda fields: not inner(fields)
        if word == "(":
            inner = all_of()
            if not words or words.pop(0) != ")":
                raise ValueError(f"a bracket is not closed in an event type: {text}")
            return inner
        found = re.fullmatch(r'(\w+)=(?:"([^"]*)"|\*)', word)
        if not found:
            raise ValueError(f"not understood in an event type: {word}")
        name, value = found.groups()
        return lambda fields: name in fields and value in (None, fields[name])

    whole = all_of()
    if words:
        raise ValueError(f"a bracket closes nothing in an event type: {text}")
    return whole
