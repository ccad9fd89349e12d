"""What the tests of syslog outputs have: servers, an agent with an output for each, and events."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import cta
import expected
from agent import SERVICE, Agent, read_event
from case import InteropTest
from syslog_receiver import CERTIFICATES
from taxii_server import COLLECTION, TaxiiServer

APP_NAME = "cta-interop"
# RFC 3164 allows letters and digits.
TAG = "ctainterop"
LOCAL0, INFORMATIONAL = "16", "6"
# Longer than what receivers take by themselves, shorter than what the snippets let them take.
LARGE_BYTES = 100_000
LONG = {"max_message_bytes": "120KiB"}

COUNTED = {"framing": "octet_counting"}
LINES = {"framing": "lf"}
RFC3164 = {"format": "rfc3164", "app_name": TAG}
TLS = {
    "tls": {
        "ca_file": str(CERTIFICATES / "ca.pem"),
        "client_cert_file": str(CERTIFICATES / "client.pem"),
        "client_key_file": str(CERTIFICATES / "client.key"),
    }
}


@dataclass(frozen=True)
class Way:
    """From the agent to a server: which server with which input, and what the output is told."""

    server: type
    input: str
    output: dict


class SyslogTest(InteropTest):
    def publish(self, packages):
        """A TAXII service that has these, from yesterday on."""
        yesterday = datetime.now(timezone.utc) - timedelta(days=1)
        taxii = TaxiiServer(self.folder)
        self.until_stopped(taxii.process)
        taxii.publish(
            (yesterday + timedelta(minutes=minute), package)
            for minute, package in enumerate(packages)
        )
        return taxii

    def agent_with(self, ways, taxii):
        """An agent, not started, and the running servers by the names of the ways."""
        receivers = {
            name: self.until_stopped(way.server(name, self.folder, way.input).start())
            for name, way in ways.items()
        }
        outputs = [output(name, receivers[name], way) for name, way in ways.items()]
        return Agent(self.folder, taxii.url + taxii.poll_path, outputs=outputs), receivers

    def deliver(self, ways):
        """Sends events of every kind by all ways; returns the events, and for each way what came."""
        events, receivers = self.deliver_packages(cta.packages(14), ways)
        return events, {name: receiver.messages() for name, receiver in receivers.items()}

    def check_as_shipped(self, ways):
        """What the shipped configuration writes is a line for each event, its JSON, however long."""
        packages = [*cta.packages(14), cta.large(14, LARGE_BYTES)]
        events, receivers = self.deliver_packages(packages, ways)
        self.assertGreater(max(len(event.get("csUrl", "")) for event in events), LARGE_BYTES)
        for name, receiver in receivers.items():
            with self.subTest(name):
                self.assert_same_events([read_event(line) for line in receiver.lines()], events)

    def deliver_packages(self, packages, ways):
        events = [
            event for package in packages for event in expected.events(package, SERVICE, COLLECTION)
        ]
        agent, receivers = self.agent_with(ways, self.publish(packages))
        process = self.until_stopped(agent.start())
        for name, receiver in receivers.items():
            process.wait_until(
                lambda: receiver.count() >= len(events), f"{len(events)} messages of {name}"
            )
        self.finish(process, receivers)
        return events, receivers

    def finish(self, process, receivers):
        """Ends the agent, then the servers when they have read what it left behind."""
        self.assertEqual(process.stop(), 0, "exit code after SIGTERM")
        for receiver in receivers.values():
            receiver.process.wait_until(receiver.is_idle, f"end of what {receiver.name} reads")
            receiver.stop()


def output(name, receiver, way):
    return {
        "name": name,
        "type": "syslog",
        "addresses": [receiver.address],
        "facility": "local0",
        "severity": "info",
        "app_name": APP_NAME,
        "max_message_bytes": "60KiB",
        "retry": {"initial": "50ms", "max": "500ms"},
    } | way.output


def time_of(event):
    """The event's own time, to the millisecond."""
    for name in ("timestamp", "startTime"):
        if isinstance(event.get(name), int):
            return datetime.fromtimestamp(0, timezone.utc) + timedelta(milliseconds=event[name])
    return datetime.fromisoformat(event["packageTimestamp"])


def milliseconds_of(time):
    return (time - datetime.fromtimestamp(0, timezone.utc)) // timedelta(milliseconds=1)
