"""libtaxii and cabby push to the agent's inbox, in both versions of TAXII."""

import os
import re
from datetime import datetime, timezone
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import cabby
import libtaxii.messages_10 as tm10
import libtaxii.messages_11 as tm11
from libtaxii.clients import HttpClient
from libtaxii.common import generate_message_id
from libtaxii.constants import VID_TAXII_XML_10, VID_TAXII_XML_11
from libtaxii.validation import SchemaValidator

import cta
import expected
from agent import Agent
from case import InteropTest

STIX = "urn:stix.mitre.org:xml:1.1.1"
CAP = "urn:oasis:names:tc:emergency:cap:1.2"
NAME, USER, PASSWORD = "pushed", "vendor", "hunter22"
FIXTURES = Path(__file__).parent.parent / "fixtures" / "tls"
SCHEMAS = {
    VID_TAXII_XML_10: SchemaValidator.TAXII_10_SCHEMA,
    VID_TAXII_XML_11: SchemaValidator.TAXII_11_SCHEMA,
}


class Inbox(InteropTest):
    def setUp(self):
        super().setUp()
        # They would come before the authority that a client is given.
        surroundings = mock.patch.dict(os.environ)
        surroundings.start()
        self.addCleanup(surroundings.stop)
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            os.environ.pop(name, None)
        self.password = self.folder / "inbox-password"
        self.password.touch(mode=0o600)
        self.password.write_text(PASSWORD + "\n")

    def listen(self, **keys):
        """Starts an agent with an inbox alone, and learns where it listens."""
        inbox = {
            "name": NAME,
            "listen": "127.0.0.1:0",
            "path": "/taxii/inbox",
            "collections": ["gold", "tin"],
        } | keys
        if "tls" not in keys:
            inbox |= {"username": USER, "password": {"file": str(self.password)}}
        self.agent = Agent(self.folder, None, inbox=inbox)
        self.process = self.until_stopped(self.agent.start())
        found = self.process.wait_until(
            lambda: re.search(r'inbox listens .*url="?([^" ]+)', self.process.log()),
            "line about where it listens",
        )
        self.url = found[1]

    def come_out(self, packages_by_collection):
        wanted = [
            event
            for collection, package in packages_by_collection
            for event in expected.events(package, NAME, collection)
        ]
        self.process.wait_until(
            lambda: len(self.agent.events()) >= len(wanted), f"{len(wanted)} events"
        )
        self.assertEqual(self.process.stop(), 0, "exit code after SIGTERM")
        self.assert_same_events(self.agent.events(), wanted)

    def test_libtaxii_pushes(self):
        self.listen(subscriptions={"gold": "customer-1"})
        packages = cta.packages(7)
        taken = []
        for number, package in enumerate(packages):
            if number % 2:
                message = inbox_1_1(package, to=["tin"])
                taken.append(("tin", package))
            else:
                message = inbox_1_0(package, feed="Gold Feed", subscription="customer-1")
                taken.append(("gold", package))
            self.is_told(message, "SUCCESS")
        self.come_out(taken)

    def test_libtaxii_understands_each_refusal(self):
        self.listen(subscriptions={"gold": "customer-1"}, limits={"max_message_bytes": 100_000})
        [package] = cta.packages(1)
        for message, status, details in (
            (inbox_1_1(package, to=["lead"]), "NOT_FOUND", {"ITEM": "lead"}),
            (
                inbox_1_1(package),
                "DESTINATION_COLLECTION_ERROR",
                {"ACCEPTABLE_DESTINATION": ["gold", "tin"]},
            ),
            (inbox_1_1(package, to=["gold"]), "DENIED", {}),
            (inbox_1_0(package, feed="gold", subscription="customer-2"), "DENIED", None),
            (inbox_1_0(package), "FAILURE", None),
            (inbox_1_1("<alert/>", to=["tin"], binding=CAP), "UNSUPPORTED_CONTENT", ...),
            (inbox_1_1(f"<x>{'x' * 120_000}</x>", to=["tin"]), "BAD_MESSAGE", {}),
            (tm11.DiscoveryRequest(generate_message_id()), "FAILURE", {}),
        ):
            told = self.is_told(message, status)
            if details not in (None, ...):
                self.assertEqual(told.status_detail, details)
            if details is ...:
                supported = told.status_detail["SUPPORTED_CONTENT"]
                self.assertIn(STIX, [binding.binding_id for binding in supported])
        self.is_told(inbox_1_1(package, to=["tin"]), "UNAUTHORIZED", password="wrong")
        self.come_out([])

    def test_libtaxii_understands_when_to_come_again(self):
        self.listen(max_messages_per_minute=1)
        [package] = cta.packages(1)
        self.is_told(inbox_1_1(package, to=["tin"]), "SUCCESS")
        told = self.is_told(inbox_1_1(package, to=["tin"]), "RETRY")
        self.assertIn(int(told.status_detail["ESTIMATED_WAIT"]), range(1, 61))
        told = self.is_told(inbox_1_0(package), "RETRY")
        again = datetime.fromisoformat(told.status_detail)
        self.assertGreater(again, datetime.now(timezone.utc))
        self.come_out([("tin", package)])

    def test_cabby_pushes_over_mutual_tls(self):
        self.listen(
            default_collection="tin",
            tls={
                "cert_file": str(FIXTURES / "server.pem"),
                "key_file": str(FIXTURES / "server.key"),
                "client_ca_file": str(FIXTURES / "partners.pem"),
                "client_names": ["partner.example.com"],
            },
        )
        [one, other] = cta.packages(2)
        for kind, package in ((cabby.Client11, one), (cabby.Client10, other)):
            self.client(kind, "partner").push(package, STIX, uri=self.url)
        # Of another authority.
        with self.assertRaises(OSError):
            self.client(cabby.Client11, "client").push(one, STIX, uri=self.url)
        self.come_out([("tin", one), ("tin", other)])

    def client(self, kind, certificate):
        client = kind(host=urlsplit(self.url).hostname, use_https=True)
        client.set_auth(
            cert_file=str(FIXTURES / f"{certificate}.pem"),
            key_file=str(FIXTURES / f"{certificate}.key"),
            ca_cert=str(FIXTURES / "ca.pem"),
        )
        return client

    def test_cabby_pushes(self):
        self.listen(default_collection="tin")
        packages = cta.packages(4)
        host = urlsplit(self.url).hostname
        taken = []
        for number, package in enumerate(packages):
            client = cabby.Client11(host=host) if number % 2 else cabby.Client10(host=host)
            client.set_auth(username=USER, password=PASSWORD)
            extra = {"collection_names": ["gold"]} if number % 2 else {}
            client.push(package, STIX, uri=self.url, **extra)
            taken.append(("gold" if number % 2 else "tin", package))
        client = cabby.Client11(host=host)
        client.set_auth(username=USER, password=PASSWORD)
        with self.assertRaises(cabby.exceptions.UnsuccessfulStatusError) as refused:
            client.push(packages[0], STIX, uri=self.url, collection_names=["lead"])
        self.assertEqual(refused.exception.status, "NOT_FOUND")
        client.set_auth(username=USER, password="wrong")
        with self.assertRaises(cabby.exceptions.HTTPError):
            client.push(packages[0], STIX, uri=self.url)
        self.come_out(taken)

    def is_told(self, message, status, **how):
        """Pushes; what is answered is valid, and has the status that is expected."""
        response = self.call(message, **how)
        binding = response.headers["X-TAXII-Content-Type"]
        body = response.read()
        result = SchemaValidator(SCHEMAS[binding]).validate_string(body)
        self.assertTrue(result.valid, f"{result.error_log}\n{body.decode()}")
        messages = tm10 if binding == VID_TAXII_XML_10 else tm11
        self.assertEqual(messages is tm10, type(message).__module__.endswith("10"))
        told = messages.get_message_from_xml(body)
        self.assertEqual(told.status_type, status, body.decode())
        self.assertEqual(told.in_response_to, message.message_id)
        return told

    def call(self, message, password=PASSWORD):
        client = HttpClient()
        client.set_auth_type(HttpClient.AUTH_BASIC)
        client.set_auth_credentials({"username": USER, "password": password})
        client.set_proxy(HttpClient.NO_PROXY)
        at = urlsplit(self.url)
        binding = VID_TAXII_XML_10 if type(message).__module__.endswith("10") else VID_TAXII_XML_11
        return client.call_taxii_service2(
            at.hostname, at.path, binding, message.to_xml(), port=at.port
        )


def inbox_1_1(package, to=(), binding=STIX):
    return tm11.InboxMessage(
        generate_message_id(),
        destination_collection_names=list(to),
        content_blocks=[tm11.ContentBlock(tm11.ContentBinding(binding), package)],
    )


def inbox_1_0(package, feed=None, subscription=None):
    about = None
    if feed:
        now = datetime.now(timezone.utc)
        about = tm10.InboxMessage.SubscriptionInformation(feed, subscription, now, now)
    # TAXII 1.0 wants digits.
    return tm10.InboxMessage(
        str(abs(hash(package)) + 1),
        subscription_information=about,
        content_blocks=[tm10.ContentBlock(STIX, package)],
    )
