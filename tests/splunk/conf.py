"""Splunk's .conf files, read strictly: what Splunk would pass over is an error here."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ADD_ON = ROOT / "packaging" / "splunk" / "TA-cta-forwarder"

# What the add-on may say, by file. A key that is not here is a slip of the keyboard, or to be looked
# up in Splunk's specification of that file first.
KEYS = {
    "app.conf": {
        "id": "name version",
        "install": "is_configured build",
        "launcher": "author description version",
        "package": "id check_for_updates",
        "ui": "is_visible label show_in_nav",
    },
    "props.conf": "KV_MODE TRUNCATE SHOULD_LINEMERGE LINE_BREAKER TIME_PREFIX TIME_FORMAT TZ"
    " MAX_TIMESTAMP_LOOKAHEAD MAX_DAYS_AGO EVAL-* FIELDALIAS-* LOOKUP-* TRANSFORMS-*",
    "transforms.conf": "REGEX FORMAT DEST_KEY LOOKAHEAD filename case_sensitive_match max_matches",
    "fields.conf": "INDEXED",
    "eventtypes.conf": "search",
    "tags.conf": "web proxy alert attack ids",
    "macros.conf": "definition iseval",
    "savedsearches.conf": "description search dispatch.earliest_time dispatch.latest_time"
    " dispatch.index_earliest dispatch.index_latest cron_schedule enableSched disabled"
    " schedule_window counttype relation quantity alert.track alert.severity alert.suppress"
    " alert.suppress.period alert.suppress.fields",
}
META_KEYS = "access export"


def read(name):
    """The stanzas of `default/<name>`: name to key to value."""
    return parse((ADD_ON / "default" / name).read_text(encoding="utf-8"), name)


def parse(text, name):
    stanzas, current = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        if line != line.strip():
            raise ValueError(f"{where}: white space around the line, or a continued line")
        if line.startswith("["):
            if not line.endswith("]"):
                raise ValueError(f"{where}: the stanza's name does not end with ]")
            current = line[1:-1]
            if current in stanzas:
                raise ValueError(f"{where}: the stanza [{current}] stands twice")
            stanzas[current] = {}
            continue
        found = re.fullmatch(r"([A-Za-z][\w.-]*) = (.*)", line)
        if not found or current is None:
            raise ValueError(f"{where}: neither a stanza nor `key = value` in one: {line}")
        key, value = found.groups()
        if key in stanzas[current]:
            raise ValueError(f"{where}: {key} stands twice in [{current}]")
        if not is_known(name, current, key):
            raise ValueError(f"{where}: no such key in {name}: {key}")
        stanzas[current][key] = value
    return stanzas


def is_known(name, stanza, key):
    keys = META_KEYS if name.endswith(".meta") else KEYS[name]
    if isinstance(keys, dict):
        keys = keys.get(stanza, "")
    classed = key.split("-", 1)[0] + "-*" if "-" in key else key
    return classed in keys.split()
