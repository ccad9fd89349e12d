"""What a body must say of an event, whatever key a field has there: everything and nothing else."""

import ipaddress
import re
from collections import Counter, defaultdict
from datetime import datetime

import cef
import key_value
import leef
from syslog_case import milliseconds_of, time_of

# Fields whose key a receiver counts on, by the dictionaries of the formats.
CEF_KEYS = {
    "externalId": ["eventId"],
    "src": ["cIP", "client.ip"],
    "dst": ["sIP", "server.ip"],
    "spt": ["cPort", "client.firstSeenPort"],
    "dpt": ["sPort", "server.firstSeenPort"],
    "suser": ["cUsername"],
    "request": ["csUrl"],
    "requestClientApplication": ["csUserAgent"],
    "start": ["startTime"],
    "end": ["endTime"],
    "msg": ["activity"],
}
LEEF_KEYS = {
    "src": ["cIP", "client.ip"],
    "dst": ["sIP", "server.ip"],
    "srcPort": ["cPort", "client.firstSeenPort"],
    "dstPort": ["sPort", "server.firstSeenPort"],
    "usrName": ["cUsername"],
    "url": ["csUrl"],
}
IPV6_LABELS = {"Source IPv6 Address", "Destination IPv6 Address"}
ADDRESSES, PORTS = {"src", "dst"}, {"spt", "dpt", "srcPort", "dstPort"}


def check_cef(test, text, event):
    read = cef.read(text)
    test.assertEqual(read.version, 0)
    test.assertEqual((read.vendor, read.product), ("Cisco", "Cognitive Threat Analytics"))
    test.assertTrue(read.class_id.startswith(event["recordType"]), read.class_id)
    said = dict(read.extension)
    test.assertEqual(said.pop("rt"), str(milliseconds_of(time_of(event))))
    test.assertEqual(read.severity, int(event["risk"]))
    for key in [key for key in said if key.startswith("deviceCustomDate") and key[-1].isdigit()]:
        # As CEF wants dates; in the event it is as the service wrote it.
        written = event["packageTimestamp"]
        test.assertEqual(said[key], str(milliseconds_of(datetime.fromisoformat(written))))
        said[key] = written
    for label in [key for key in said if key.endswith("Label")]:
        field = said.pop(label)
        if field not in IPV6_LABELS:
            test.assertIn(said[label.removesuffix("Label")], items(event[field]), label)
    check_keys(test, said, event, CEF_KEYS)
    check_values(test, said, event)


def check_leef(test, text, event):
    read = leef.read(text)
    test.assertEqual((read.vendor, read.product), ("Cisco", "Cognitive Threat Analytics"))
    test.assertTrue(read.event_id.startswith(event["recordType"]), read.event_id)
    said = dict(read.attributes)
    test.assertEqual(said.pop("devTimeFormat"), "yyyy-MM-dd'T'HH:mm:ss.SSSZ")
    time = said.pop("devTime")
    test.assertRegex(time, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}$")
    test.assertEqual(datetime.fromisoformat(time), time_of(event))
    test.assertEqual(int(said.pop("sev")), max(1, int(event["risk"])))
    check_keys(test, said, event, LEEF_KEYS, of_text=without_breaks)
    check_values(test, said, event, of_text=without_breaks)


def check_key_value(test, text, event):
    said = defaultdict(list)
    for key, value in key_value.read(text):
        said[key].append(value)
    test.assertEqual(said, {name: items(value) for name, value in event.items()})


def check_keys(test, said, event, keys, of_text=str):
    for key, names in keys.items():
        values = [items(event[name])[0] for name in names if name in event]
        if values and fits(key, values[0]):
            test.assertEqual(said.get(key), of_text(values[0]), key)


def check_values(test, said, event, of_text=str):
    """Each value of the event stands once; its time has been looked at."""
    values = [of_text(item) for name, value in event.items() for item in items(value)]
    time = str(milliseconds_of(time_of(event)))
    if str(event.get("timestamp")) == time:
        values.remove(time)
    test.assertEqual(Counter(said.values()), Counter(values))


def items(value):
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def fits(key, value):
    if key in ADDRESSES:
        return is_ipv4(value)
    if key in PORTS:
        return value.isdecimal() and int(value) < 1 << 16
    return True


def is_ipv4(text):
    try:
        return ipaddress.ip_address(text).version == 4
    except ValueError:
        return False


def without_breaks(text):
    """LEEF has no escapes: what would end an attribute or a message is a space."""
    return re.sub(r"[\t\r\n]", " ", text)
