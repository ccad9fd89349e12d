"""The simulated services of the agent's own binary, for tests of what stands around it."""

import json
import urllib.request

from agent import binary
from process import Process


class Simulation:
    """A service that publishes every second, and a HEC; their faults are switched over HTTP."""

    def __init__(self, test):
        command = [binary(), "simulate", "--json", "--backlog", "3"]
        command += ["--publish-every", "1s", "--min-poll-interval", "1s"]
        process = test.until_stopped(Process("simulator", command, test.folder))
        line = process.wait_until(
            lambda: process.output().partition("\n")[0] if "\n" in process.output() else None,
            "line with its addresses",
        )
        about = json.loads(line)
        self.control = about["control"]["url"]
        self.poll_url, self.password = about["cta"]["poll_url"], about["cta"]["password"]
        self.service = {
            "username": about["cta"]["username"],
            "collections": [about["cta"]["collection"]],
        }
        token = test.folder / "hec-token"
        token.touch(mode=0o600)
        token.write_text(about["hec"]["token"] + "\n")
        self.output = {
            "name": "splunk",
            "type": "splunk_hec",
            "endpoints": [about["hec"]["url"]],
            "token": {"file": str(token)},
            "batch": {"max_wait": "200ms"},
            "retry": {"initial": "100ms", "max": "500ms"},
        }

    def switch(self, path, what=None):
        """PUTs what is to be so from now on; without that, takes it back."""
        request = urllib.request.Request(
            self.control + path,
            data=None if what is None else json.dumps(what).encode(),
            method="DELETE" if what is None else "PUT",
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
