"""cabby polls the simulated service: what our other tests lean on is TAXII to others as well."""

import json
import subprocess
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

import cabby

import expected
from agent import binary, read_event
from case import InteropTest
from process import Process


class Simulator(InteropTest):
    def setUp(self):
        super().setUp()
        if subprocess.run([binary(), "simulate", "--help"], capture_output=True).returncode != 0:
            self.skipTest("this build has no command `simulate`")
        self.simulator = Process("simulate", [binary(), "simulate", "--json"], self.folder)
        self.until_stopped(self.simulator)

    def test_packages_flatten_alike(self):
        """Each package that cabby fetches gives the same events by `flatten` and by our own reading."""
        self.simulator.wait_until(lambda: "\n" in self.simulator.output(), "line about its URLs")
        cta = json.loads(self.simulator.output().splitlines()[0])["cta"]
        client = cabby.Client11(host=urlsplit(cta["poll_url"]).hostname)
        client.set_auth(username=cta["username"], password=cta["password"])
        now = datetime.now(timezone.utc)
        blocks = list(
            client.poll(
                cta["collection"],
                begin_date=now - timedelta(days=3),
                end_date=now,
                uri=cta["poll_url"],
            )
        )

        packages = [text_of(block.content) for block in blocks]
        wanted = [event for package in packages for event in expected.events(package)]
        found = [event for package in packages for event in flatten(package)]
        self.assertTrue(wanted, f"{len(packages)} packages without an event")
        self.assert_same_events(found, wanted)


def flatten(package):
    done = subprocess.run(
        [binary(), "flatten", "-"], input=package.encode(), capture_output=True, check=True
    )
    return [read_event(line) for line in done.stdout.decode().split("\n")[:-1]]


def text_of(content):
    return content.decode() if isinstance(content, bytes) else content
