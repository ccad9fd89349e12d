"""rsyslog receives every event by every transport, header and body, and reads what we meant."""

from datetime import datetime

import bodies
from agent import read_event
from syslog_case import (
    APP_NAME,
    COUNTED,
    INFORMATIONAL,
    LINES,
    LOCAL0,
    LONG,
    RFC3164,
    TAG,
    TLS,
    SyslogTest,
    Way,
    time_of,
)
from syslog_server import SyslogServer

TRANSPORTS = {
    "counted": Way(SyslogServer, "tcp", {"transport": "tcp"} | COUNTED),
    "lines": Way(SyslogServer, "tcp", {"transport": "tcp"} | LINES),
    "datagrams": Way(SyslogServer, "udp", {"transport": "udp"}),
    "tls": Way(SyslogServer, "tls", {"transport": "tls"} | TLS),
    "relp": Way(SyslogServer, "relp", {"transport": "relp"}),
    "relp-tls": Way(SyslogServer, "relp_tls", {"transport": "relp_tls"} | TLS),
}
HEADERS = {
    "rfc3164": Way(SyslogServer, "tcp", {"transport": "tcp"} | LINES | RFC3164),
    "severity": Way(SyslogServer, "tcp", {"transport": "tcp", "severity": "event"}),
    "structured-data": Way(
        SyslogServer, "tcp", {"transport": "tcp", "structured_data": True, "sd_id": "cta@32473"}
    ),
}
CHECKS = {
    "cef": bodies.check_cef,
    "leef": bodies.check_leef,
    "key_value": bodies.check_key_value,
}
# Where line feeds end messages, and with the header that such bodies mostly have.
BODIES = {
    f"{body}-{name}": Way(SyslogServer, transport, {"transport": transport, "body": body} | more)
    for body in CHECKS
    for name, transport, more in [
        ("lines", "tcp", LINES),
        ("rfc3164", "udp", RFC3164),
    ]
}


class AsShipped(SyslogServer):
    as_shipped = True


SHIPPED = {
    name: Way(AsShipped, way.input, way.output | LONG)
    for name, way in TRANSPORTS.items()
    if way.input != "udp"
}


class Rsyslog(SyslogTest):
    def test_the_shipped_configuration(self):
        self.check_as_shipped(SHIPPED)

    def test_every_event_arrives_by_every_transport(self):
        events, messages = self.deliver(TRANSPORTS)
        for name in TRANSPORTS:
            with self.subTest(name):
                self.assert_same_events([read_event(m.text) for m in messages[name]], events)
                for message, event in zip(messages[name], events):
                    self.check_rfc5424(message, event, INFORMATIONAL)
                    self.assertEqual(message.structured_data, "-")

    def test_headers(self):
        events, messages = self.deliver(HEADERS)
        for name in HEADERS:
            with self.subTest(name):
                texts = [message.text.removeprefix(" ") for message in messages[name]]
                self.assert_same_events([read_event(text) for text in texts], events)
        for message, event in zip(messages["rfc3164"], events):
            self.check_rfc3164(message, event)
        for message, event in zip(messages["severity"], events):
            self.check_rfc5424(message, event, str(severity_of(event)))
        for number, (message, event) in enumerate(zip(messages["structured-data"], events), 1):
            self.assertIn(f'[cta@32473 eventId="{event["eventId"]}"', message.structured_data)
            self.assertIn(f'[meta sequenceId="{number}"]', message.structured_data)

    def test_bodies(self):
        events, messages = self.deliver(BODIES)
        for body, check in CHECKS.items():
            texts = [message.text for message in messages[f"{body}-lines"]]
            for text, event in zip(texts, events, strict=True):
                with self.subTest(body, event=event["eventId"]):
                    check(self, text, event)
            others = [self.body_of_rfc3164(body, one) for one in messages[f"{body}-rfc3164"]]
            self.assertEqual(others, texts)

    def body_of_rfc3164(self, body, message):
        """In such a header CEF and LEEF stand where the tag stands, and rsyslog takes their name for
        it; behind the tag of others it keeps the space."""
        if body == "key_value":
            self.assertEqual(message.app_name, TAG)
            return message.text.removeprefix(" ")
        self.assertEqual(message.app_name, body.upper())
        return f"{message.app_name}:{message.text}"

    def check_rfc5424(self, message, event, severity):
        self.assertEqual((message.facility, message.severity), (LOCAL0, severity))
        self.assertEqual(message.app_name, APP_NAME)
        self.assertEqual(message.msgid, event["recordType"])
        self.assertRegex(message.hostname, r"^[!-~]+$")
        self.assertRegex(message.process_id, r"^[1-9][0-9]*$")
        self.assertEqual(datetime.fromisoformat(message.time), time_of(event))

    def check_rfc3164(self, message, event):
        self.assertEqual((message.facility, message.severity), (LOCAL0, INFORMATIONAL))
        self.assertEqual(message.app_name, TAG)
        self.assertRegex(message.hostname, r"^[!-~]+$")
        # The format has neither a year nor fractions; the server reads it as UTC.
        found, wanted = datetime.fromisoformat(message.time), time_of(event)
        self.assertEqual(found.replace(year=wanted.year), wanted.replace(microsecond=0))


def severity_of(event):
    """By the table of the documentation: from 2 (critical) to 6 (informational)."""
    risk = int(event["risk"])
    severity = 2 if risk >= 9 else 3 if risk >= 7 else 4 if risk >= 5 else 5 if risk >= 3 else 6
    return min(6, severity + (event["confidence"] == "Low"))
