"""The Common Information Model as `pytest-splunk-addon` has it: fields, conditions, values."""

import json
import os
from pathlib import Path

from expression import Expression

LISTS = Path(os.environ["CIM_MODELS"]) if "CIM_MODELS" in os.environ else None
# The data models that the add-on serves, and the file of each.
NAMES = {
    "Web": "Web.json",
    "Alerts": "Alerts.json",
    "Intrusion Detection": "Intrusion_Detection.json",
}


class Model:
    def __init__(self, name):
        self.name = name
        root = json.loads((LISTS / NAMES[name]).read_text(encoding="utf-8"))["objects"][0]
        self._tags = set(root["tags"][0])
        self._fields = [Field(one) for one in root["fields"]]

    def has(self, tags):
        return self._tags <= tags

    def fields(self, event):
        """The fields that the model wants of this event, and those that the event has of it."""
        return [field for field in self._fields if field.is_wanted(event) or field.name in event]

    def field_names(self):
        return {field.name for field in self._fields}


class Field:
    def __init__(self, described):
        self.name = described["name"]
        self._type = described["type"]
        self._condition = described.get("condition", "").strip()
        self._values = described.get("expected_values")
        validity = described.get("validity")
        self._validity = Expression(validity) if validity else None

    def is_wanted(self, event):
        """Required, or required on a condition that holds: `name=*` or `name="text"`."""
        if self._type != "conditional":
            return self._type == "required"
        name, _, value = self._condition.partition("=")
        return event.get(name) == value.strip('"') if value != "*" else name in event

    def fault_of(self, event):
        """What is wrong with the value that the event has."""
        value = event[self.name]
        values = value if isinstance(value, list) else [value]
        if self._values and not set(map(str, values)) <= set(self._values):
            return f"{value!r} is none of {self._values}"
        if self._validity and None in [self._validity(event | {self.name: one}) for one in values]:
            return f"{value!r} is not valid"
        return None


def forbidden_fields():
    """What asset and identity correlation fills in, and no add-on may."""
    path = LISTS.parent / "cim_tests" / "CommonFields.json"
    return {field["name"] for field in json.loads(path.read_text(encoding="utf-8"))["fields"]}


def all_models():
    return [Model(name) for name in NAMES]
