"""OpenTAXII, filled through cabby, is polled by the agent: every event is there, once, as written."""

from datetime import datetime, timedelta, timezone

from libtaxii import messages_11

import cta
import expected
from agent import SERVICE, Agent
from case import InteropTest
from recorder import Recorder
from taxii_server import BLOCKS_PER_PART, COLLECTION, READER, TaxiiServer


class OpenTaxii(InteropTest):
    def setUp(self):
        super().setUp()
        self.server = TaxiiServer(self.folder)
        self.until_stopped(self.server.process)
        self.recorder = Recorder(self.server.url)
        self.until_stopped(self.recorder)
        self.poll_url = self.recorder.url + self.server.poll_path

    def test_backlog_in_parts_then_a_restart(self):
        """Three windows of several parts, a stop, and what was published while it stood still."""
        now = datetime.now(timezone.utc)
        # Whole parts only (the last one is empty), a part by half, one block.
        windows = [(7, 3 * BLOCKS_PER_PART), (4, 4 * BLOCKS_PER_PART + 2), (1, 1)]
        times = [
            now - timedelta(days=days) + timedelta(minutes=block)
            for days, blocks in windows
            for block in range(blocks)
        ]
        published = cta.packages(len(times))
        self.server.publish(zip(times, published))

        agent = Agent(self.folder, self.poll_url)
        self.run_until(agent, published)

        # Between the last window that was asked for and the next: nothing may fall through.
        asked = max(
            request.inclusive_end_timestamp_label for request in self.requests("Poll_Request")
        )
        later = cta.packages(BLOCKS_PER_PART + 2, start=len(published))
        self.server.publish(
            (asked + timedelta(microseconds=block), package)
            for block, package in enumerate(later, start=1)
        )
        published += later
        self.run_until(agent, published)

        parts = [request.result_part_number for request in self.requests("Poll_Fulfillment")]
        self.assertEqual(parts, [2, 3, 4, 2, 3, 4, 5, 2], "parts asked for")

    def test_first_poll_without_timestamps(self):
        """All that the server has: it then states no end of its own, and the agent must find one."""
        now = datetime.now(timezone.utc)
        published = cta.packages(BLOCKS_PER_PART + 1)
        old = [now - timedelta(days=365) + timedelta(days=day) for day in range(len(published))]
        self.server.publish(zip(old, published))

        agent = Agent(self.folder, self.poll_url, service={"initial_lookback": "all"})
        self.run_until(agent, published, and_then=lambda: len(self.requests("Poll_Request")) > 1)

        first, second, *_ = self.requests("Poll_Request")
        self.assertIsNone(first.exclusive_begin_timestamp_label)
        self.assertIsNone(first.inclusive_end_timestamp_label)
        self.assertIsNotNone(second.exclusive_begin_timestamp_label)

    def test_wrong_password_then_the_right_one(self):
        """The agent holds, says what to mend, and loses nothing by it."""
        published = cta.packages(2)
        yesterday = datetime.now(timezone.utc) - timedelta(days=1)
        self.server.publish(
            (yesterday + timedelta(minutes=i), one) for i, one in enumerate(published)
        )

        agent = Agent(self.folder, self.poll_url, password="not-the-password")
        process = self.until_stopped(agent.start())
        process.wait_until(
            lambda: self.error_about_the_password(process.log()), "error about the password"
        )
        self.assertEqual(process.stop(), 0, "exit code after SIGTERM")
        self.assertEqual(agent.events(), [])
        self.assertNotIn("not-the-password", process.log())

        agent.set_password(READER[1])
        self.run_until(agent, published)

    def run_until(self, agent, published, and_then=lambda: True):
        """Runs the agent until all of this has come out, and compares it."""
        wanted = [
            event
            for package in published
            for event in expected.events(package, SERVICE, COLLECTION)
        ]
        process = self.until_stopped(agent.start())
        process.wait_until(
            lambda: len(agent.events()) >= len(wanted) and and_then(), f"{len(wanted)} events"
        )
        self.assertEqual(process.stop(), 0, "exit code after SIGTERM")
        self.assert_same_events(agent.events(), wanted)

    def requests(self, kind):
        messages = [
            messages_11.get_message_from_xml(exchange.body)
            for exchange in self.recorder.exchanges()
        ]
        return [message for message in messages if message.message_type == kind]

    @staticmethod
    def error_about_the_password(log):
        return [
            line
            for line in log.splitlines()
            if "ERROR" in line and "UNAUTHORIZED" in line and "password" in line.lower()
        ]
