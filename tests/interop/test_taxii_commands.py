"""`cta-forwarder taxii` against OpenTAXII, in both versions, every request valid by its schema; and an
agent that knows a discovery service alone."""

import json
import subprocess
from datetime import datetime, timedelta, timezone

from libtaxii.validation import SchemaValidator

import cta
import expected
from agent import SERVICE, Agent, binary
from case import InteropTest
from recorder import Recorder
from taxii_server import BINDING, BLOCKS_PER_PART, COLLECTION, PUBLISHER, READER, TaxiiServer

SCHEMAS = {
    "1.0": SchemaValidator.TAXII_10_SCHEMA,
    "1.1": SchemaValidator.TAXII_11_SCHEMA,
}


class TaxiiCommands(InteropTest):
    def setUp(self):
        super().setUp()
        self.server = TaxiiServer(self.folder, counts=True)
        self.until_stopped(self.server.process)
        self.recorder = Recorder(self.server.url)
        self.until_stopped(self.recorder)
        self.discovery = f"{self.recorder.url}/services/discovery"

    def test_what_is_offered(self):
        for version, kinds in (("1.1", 3), ("1.0", 3)):
            told = json.loads(self.taxii("discover", self.discovery, "--json", version=version))
            self.assertEqual(len(told["services"]), kinds)
            told = json.loads(self.taxii("collections", self.discovery, "--json", version=version))
            [collection] = told["collections"]
            self.assertEqual(collection["name"], COLLECTION)
        # Without a version the service is asked.
        table = self.taxii("collections", self.discovery)
        self.assertIn(COLLECTION, table)
        self.check_requests()

    def test_a_subscription_from_its_begin_to_its_end(self):
        for version in ("1.1", "1.0"):
            collection = [COLLECTION, "--url", self.discovery]
            extra = [] if version == "1.0" else ["--binding", BINDING]
            told = json.loads(
                self.taxii("subscribe", *collection, *extra, "--json", version=version)
            )
            [subscription] = told["subscriptions"]
            chosen = ["--id", subscription["id"]]
            if version == "1.1":
                self.assertEqual(subscription["status"], "ACTIVE")
                for action, state in (("pause", "PAUSED"), ("resume", "ACTIVE")):
                    told = json.loads(
                        self.taxii(action, *collection, *chosen, "--json", version=version)
                    )
                    self.assertEqual(told["subscriptions"][0]["status"], state)
            table = self.taxii("subscription-status", *collection, version=version)
            self.assertIn(subscription["id"], table)
            self.taxii("unsubscribe", *collection, *chosen, version=version)
        self.check_requests()

    def test_content_goes_in_and_comes_out(self):
        # TAXII 1.0 has no parts, and OpenTAXII gives what fits into one.
        packages = cta.packages(BLOCKS_PER_PART)
        files = []
        for number, package in enumerate(packages):
            files.append(self.folder / f"package-{number}.xml")
            files[-1].write_text(f"<?xml version='1.0'?>\n{package}\n<!-- the end -->\n")
        inbox = ["--url", self.discovery, "--to", COLLECTION]
        self.taxii("push", *files[:2], *inbox, account=PUBLISHER)
        self.taxii("push", *files[2:], *inbox, account=PUBLISHER)
        at = [COLLECTION, "--url", self.discovery]
        count = self.taxii("poll", *at, "--count-only", version="1.1")
        self.assertEqual(int(count), len(packages))
        wanted = subprocess.run(
            [binary(), "flatten", *files], capture_output=True, text=True, check=True
        )
        wanted = [json.loads(line)["eventId"] for line in wanted.stdout.splitlines()]
        for version in ("1.1", "1.0", None):
            events = self.taxii("poll", *at, version=version)
            found = [json.loads(line) for line in events.splitlines()]
            self.assertEqual([event["eventId"] for event in found], wanted)
            self.assertEqual({event["collection"] for event in found}, {COLLECTION})
        self.check_requests()

    def test_a_refusal_is_told(self):
        asked = self.run_taxii("collections", self.discovery, password="wrong")
        self.assertEqual(asked.returncode, 1)
        self.assertIn("UNAUTHORIZED", asked.stderr)
        self.assertIn("check what authenticates (--username", asked.stderr)

    def test_an_agent_that_knows_a_discovery_service_alone(self):
        yesterday = datetime.now(timezone.utc) - timedelta(days=1)
        packages = cta.packages(BLOCKS_PER_PART)
        self.server.publish((yesterday + timedelta(minutes=i), one) for i, one in enumerate(packages))
        wanted = [
            event
            for package in packages
            for event in expected.events(package, SERVICE, COLLECTION)
        ]
        for version in ("auto", "1.0"):
            folder = self.folder / version
            folder.mkdir()
            service = {
                "discovery_url": self.server.discovery_url,
                "poll_url": None,
                "taxii_version": version,
            }
            agent = Agent(folder, None, service=service)
            process = self.until_stopped(agent.start())
            process.wait_until(lambda: len(agent.events()) >= len(wanted), f"{len(wanted)} events")
            self.assertEqual(process.stop(), 0, "exit code after SIGTERM")
            self.assertIn("found where to poll", process.log())
            self.assert_same_events(agent.events(), wanted)

    def taxii(self, *arguments, **how):
        asked = self.run_taxii(*arguments, **how)
        self.assertEqual(asked.returncode, 0, f"{arguments}: {asked.stderr}")
        return asked.stdout

    def run_taxii(self, *arguments, version=None, account=READER, password=None):
        secret = self.folder / "password"
        secret.write_text(password or account[1])
        command = [binary(), "taxii", *arguments]
        command += ["--username", account[0], "--password-file", secret]
        if version:
            command += ["--taxii-version", version]
        return subprocess.run(command, capture_output=True, text=True)

    def check_requests(self):
        """Each is valid by the schema of the version that its headers state."""
        exchanges = self.recorder.exchanges()
        self.assertTrue(exchanges)
        for exchange in exchanges:
            version = exchange.headers["X-TAXII-Services"].rsplit(":", 1)[1]
            result = SchemaValidator(SCHEMAS[version]).validate_string(exchange.body)
            self.assertTrue(result.valid, f"{result.error_log}\n{exchange.body.decode()}")
            for name in ("X-TAXII-Content-Type", "X-TAXII-Accept"):
                binding = f"urn:taxii.mitre.org:message:xml:{version}"
                self.assertEqual(exchange.headers[name], binding)
