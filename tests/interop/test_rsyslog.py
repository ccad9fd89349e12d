"""rsyslog receives every event, over TCP in both framings and over UDP, and reads the header."""

from datetime import datetime, timedelta, timezone

import cta
import expected
from agent import SERVICE, Agent, read_event
from case import InteropTest
from syslog_server import SyslogServer
from taxii_server import COLLECTION, TaxiiServer

APP_NAME = "cta-interop"
TCP, UDP = "tcp", "udp"
LOCAL0, INFORMATIONAL = "16", "6"
RECEIVERS = {"octets": TCP, "lines": TCP, "datagrams": UDP}


class Rsyslog(InteropTest):
    def test_every_event_arrives_by_every_transport(self):
        now = datetime.now(timezone.utc)
        packages = cta.packages(14)
        times = [now - timedelta(days=1) + timedelta(minutes=i) for i in range(len(packages))]
        taxii = TaxiiServer(self.folder)
        self.until_stopped(taxii.process)
        taxii.publish(zip(times, packages))
        wanted = [
            event for package in packages for event in expected.events(package, SERVICE, COLLECTION)
        ]

        syslog = SyslogServer(self.folder, RECEIVERS)
        self.until_stopped(syslog.process)
        agent = Agent(
            self.folder,
            taxii.url + taxii.poll_path,
            outputs=[
                output(syslog, "octets", transport="tcp", framing="octet_counting"),
                output(syslog, "lines", transport="tcp", framing="lf"),
                output(syslog, "datagrams", transport="udp"),
            ],
        )
        process = self.until_stopped(agent.start())
        for name in RECEIVERS:
            process.wait_until(
                lambda: len(syslog.messages(name)) >= len(wanted),
                f"{len(wanted)} messages of {name}",
            )
        self.assertEqual(process.stop(), 0, "exit code after SIGTERM")

        for name in RECEIVERS:
            with self.subTest(name):
                messages = syslog.messages(name)
                self.assert_same_events([read_event(one.text) for one in messages], wanted)
                for message, event in zip(messages, wanted):
                    self.check_header(message, event)

    def check_header(self, message, event):
        self.assertEqual(message.version, "1")
        self.assertEqual((message.facility, message.severity), (LOCAL0, INFORMATIONAL))
        self.assertEqual(message.app_name, APP_NAME)
        self.assertEqual(message.msgid, event["recordType"])
        self.assertRegex(message.hostname, r"^[!-~]+$")
        self.assertEqual(datetime.fromisoformat(message.time), time_of(event))


def output(syslog, name, **transport):
    return {
        "name": name,
        "type": "syslog",
        "addresses": [syslog.address(name)],
        "facility": "local0",
        "severity": "info",
        "app_name": APP_NAME,
        "max_message_bytes": "60KiB",
    } | transport


def time_of(event):
    """The event's own time, to the millisecond."""
    for name in ("timestamp", "startTime"):
        if isinstance(event.get(name), int):
            return datetime.fromtimestamp(0, timezone.utc) + timedelta(milliseconds=event[name])
    return datetime.fromisoformat(event["packageTimestamp"])
