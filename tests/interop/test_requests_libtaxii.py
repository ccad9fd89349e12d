"""Every request that the agent sends is TAXII 1.1, by libtaxii's schema and by the HTTP binding."""

from base64 import b64decode
from datetime import datetime, timedelta, timezone

from libtaxii import messages_11
from libtaxii.constants import RT_FULL
from libtaxii.validation import SchemaValidator

import cta
from agent import Agent
from case import InteropTest
from recorder import Recorder
from taxii_server import BLOCKS_PER_PART, COLLECTION, READER, TaxiiServer

HEADERS = {
    "Content-Type": "application/xml",
    "Accept": "application/xml",
    "X-TAXII-Content-Type": "urn:taxii.mitre.org:message:xml:1.1",
    "X-TAXII-Accept": "urn:taxii.mitre.org:message:xml:1.1",
    "X-TAXII-Services": "urn:taxii.mitre.org:services:1.1",
    "X-TAXII-Protocol": "urn:taxii.mitre.org:protocol:http:1.0",
}


class Requests(InteropTest):
    def setUp(self):
        super().setUp()
        server = TaxiiServer(self.folder)
        self.until_stopped(server.process)
        yesterday = datetime.now(timezone.utc) - timedelta(days=1)
        packages = cta.packages(2 * BLOCKS_PER_PART + 1)
        server.publish((yesterday + timedelta(minutes=i), one) for i, one in enumerate(packages))
        self.recorder = Recorder(server.url)
        self.until_stopped(self.recorder)
        self.poll_path = server.poll_path

    def test_polls_between_timestamps(self):
        polls, fulfillments = self.requests_of({"initial_lookback": "8d"})
        for poll in polls:
            begin, end = poll.exclusive_begin_timestamp_label, poll.inclusive_end_timestamp_label
            self.assertLess(begin, end)
            self.assertLessEqual(end - begin, timedelta(days=3))
        for earlier, later in zip(polls, polls[1:]):
            self.assertEqual(
                earlier.inclusive_end_timestamp_label, later.exclusive_begin_timestamp_label
            )
        self.assertEqual([one.result_part_number for one in fulfillments], [2, 3])

    def test_poll_without_timestamps(self):
        polls, fulfillments = self.requests_of({"initial_lookback": "all"})
        self.assertIsNone(polls[0].exclusive_begin_timestamp_label)
        self.assertIsNone(polls[0].inclusive_end_timestamp_label)
        self.assertEqual([one.result_part_number for one in fulfillments], [2, 3])

    def requests_of(self, service):
        """The polls and fulfillments of a run that asks for all parts and at least one window
        more, each checked for what must be true of any request."""
        agent = Agent(self.folder, self.recorder.url + self.poll_path, service=service)
        process = self.until_stopped(agent.start())
        process.wait_until(self.fulfilled_and_polled_again, "poll after the last part")
        process.stop()

        exchanges = self.recorder.exchanges()
        schema = SchemaValidator(SchemaValidator.TAXII_11_SCHEMA)
        for exchange in exchanges:
            self.check_headers(exchange)
            result = schema.validate_string(exchange.body)
            self.assertTrue(result.valid, f"{result.error_log}\n{exchange.body.decode()}")
        messages = [messages_11.get_message_from_xml(exchange.body) for exchange in exchanges]
        ids = [message.message_id for message in messages]
        self.assertEqual(len(ids), len(set(ids)), "a message_id was used twice")
        # The first asks for the service's time, and spends no poll.
        self.assertIsInstance(messages[0], messages_11.DiscoveryRequest)
        for message in messages[1:]:
            self.assertEqual(message.collection_name, COLLECTION)

        polls = [one for one in messages if isinstance(one, messages_11.PollRequest)]
        for poll in polls:
            self.assertIs(poll.poll_parameters.allow_asynch, False)
            self.assertEqual(poll.poll_parameters.response_type, RT_FULL)
        fulfillments = [
            one for one in messages if isinstance(one, messages_11.PollFulfillmentRequest)
        ]
        self.assertEqual(
            {one.result_id for one in fulfillments},
            {answer.result_id for answer in self.answers() if getattr(answer, "more", False)},
        )
        return polls, fulfillments

    def check_headers(self, exchange):
        self.assertEqual(exchange.method, "POST")
        for name, value in HEADERS.items():
            # One value, and for the media type whatever parameters.
            found = [one.split(";")[0].strip() for one in exchange.headers.get_all(name, [])]
            self.assertEqual(found, [value], name)
        self.assertTrue(exchange.headers["User-Agent"].startswith("cta-forwarder/"))
        self.assertIn("gzip", exchange.headers["Accept-Encoding"])
        scheme, credentials = exchange.headers["Authorization"].split(" ")
        self.assertEqual(scheme, "Basic")
        self.assertEqual(b64decode(credentials, validate=True).decode(), ":".join(READER))

    def fulfilled_and_polled_again(self):
        kinds = [getattr(answer, "more", None) for answer in self.answers()]
        return True in kinds and kinds[-1] is False and len(kinds) > kinds.index(True) + 3

    def answers(self):
        return [
            messages_11.get_message_from_xml(exchange.answer)
            for exchange in self.recorder.exchanges()
        ]
