"""syslog-ng receives every event by each of its sources, and reads what we meant."""

from datetime import datetime

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
from syslog_ng_server import SyslogNgServer

WAYS = {
    "network": Way(SyslogNgServer, "network", {"transport": "tcp"} | LINES | RFC3164),
    "network-5424": Way(SyslogNgServer, "network_5424", {"transport": "tcp"} | LINES),
    "syslog": Way(SyslogNgServer, "syslog", {"transport": "tcp"} | COUNTED),
    "syslog-tls": Way(SyslogNgServer, "syslog_tls", {"transport": "tls"} | TLS),
}


class AsShipped(SyslogNgServer):
    as_shipped = True


# Of RFC 3164 the shipped sources know nothing.
SHIPPED = {
    name: Way(AsShipped, way.input, way.output | LONG)
    for name, way in WAYS.items()
    if way.input != "network"
}


class SyslogNg(SyslogTest):
    def test_the_shipped_configuration(self):
        self.check_as_shipped(SHIPPED)

    def test_every_event_arrives_by_every_source(self):
        events, messages = self.deliver(WAYS)
        for name in WAYS:
            with self.subTest(name):
                self.assert_same_events([read_event(m.text) for m in messages[name]], events)
                for message, event in zip(messages[name], events):
                    self.check_header(message, event, is_rfc3164=name == "network")

    def check_header(self, message, event, is_rfc3164):
        found, wanted = datetime.fromisoformat(message.time), time_of(event)
        if is_rfc3164:
            # It has neither a year nor fractions.
            found, wanted = found.replace(year=wanted.year), wanted.replace(microsecond=0)
        else:
            self.assertEqual(message.msgid, event["recordType"])
            self.assertRegex(message.process_id, r"^[1-9][0-9]*$")
        self.assertEqual((message.facility, message.severity), (LOCAL0, INFORMATIONAL))
        self.assertEqual(message.app_name, TAG if is_rfc3164 else APP_NAME)
        self.assertEqual(found, wanted)
        self.assertRegex(message.hostname, r"^[!-~]+$")
