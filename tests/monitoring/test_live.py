"""A real Prometheus scrapes a real agent by the files that are shipped, and its alarms come and go."""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

import metrics

sys.path.insert(0, str(metrics.ROOT / "tests" / "documents"))
from stage import ADMIN, Stage, free_port  # noqa: E402

SHIPPED = metrics.ROOT / "packaging" / "prometheus"
RULES_PATH = "/etc/prometheus/cta-forwarder.rules.yml"
LIMIT_SECONDS = 60
# What an agent shows only when it has an inbox or files of certificates, or when something waits.
SOMETIMES = {
    "cta_forwarder_certificate_expiry_timestamp_seconds",
    "cta_forwarder_inbox_messages_total",
    "cta_forwarder_hold",
    "cta_forwarder_spool_oldest_timestamp_seconds",
}


class Prometheus:
    def __init__(self, folder, agent):
        self._port = free_port()
        config = (SHIPPED / "scrape.yml").read_text(encoding="utf-8")
        for shipped, own in {
            ADMIN: agent,
            RULES_PATH: str(SHIPPED / "cta-forwarder.rules.yml"),
            "scrape_interval: 30s": "scrape_interval: 1s",
        }.items():
            assert shipped in config, shipped
            config = config.replace(shipped, own)
        path = Path(folder) / "prometheus.yml"
        path.write_text(f"global:\n  evaluation_interval: 1s\n{config}", encoding="utf-8")
        self._log = open(Path(folder) / "prometheus.log", "w")
        self._process = subprocess.Popen(
            [
                os.environ["PROMETHEUS"],
                f"--config.file={path}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            stderr=self._log,
        )

    def stop(self):
        self._process.terminate()
        self._process.wait(30)
        self._log.close()

    def query(self, expression):
        return self._get("query", query=expression)["result"]

    def rules(self):
        groups = self._get("rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def _get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]


def until(condition, what):
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            if found := condition():
                return found
        except OSError:
            pass  # It has not begun to listen.
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {LIMIT_SECONDS} seconds")
        time.sleep(0.2)


class Live(unittest.TestCase):
    def setUp(self):
        self.stage = Stage()
        self.addCleanup(self.stage.stop)
        self.stage.start()
        folder = tempfile.TemporaryDirectory(prefix="cta-prometheus-")
        self.addCleanup(folder.cleanup)
        self.prometheus = Prometheus(folder.name, f"127.0.0.1:{self.stage.port}")
        self.addCleanup(self.prometheus.stop)
        until(lambda: self.prometheus.query('up{job="cta-forwarder"} == 1'), "scrape")

    def test_the_agent_shows_what_alarms_and_dashboard_ask_for(self):
        for name, labels in metrics.LABELS.items():
            if name in SOMETIMES:
                continue
            with self.subTest(name):
                found = until(lambda name=name: self.prometheus.query(name), name)
                shown = set(found[0]["metric"]) - {"__name__"} - metrics.OF_TARGET
                # A sum over all outputs has no `output`.
                self.assertLessEqual(shown, set(labels.split()))

    def test_alarms_come_and_go(self):
        def evaluated():
            rules = self.prometheus.rules()
            return rules if all(rule["health"] != "unknown" for rule in rules.values()) else None

        rules = until(evaluated, "evaluation of all rules")
        for name, rule in rules.items():
            with self.subTest(name):
                self.assertEqual((rule["health"], rule.get("lastError")), ("ok", None))
        # The stage's Splunk has refused an event, and nothing else is wrong.
        until(lambda: self.firing() == {"CtaForwarderDeadLetters"}, "alarm for a dead letter alone")

        self.stage.tell_simulator("/hec/rules", {"enabled": False})
        until(lambda: self.alerts("CtaForwarderHeld"), "alarm for an output that is held")
        [alert] = self.alerts("CtaForwarderHeld")
        self.assertEqual(alert["labels"]["kind"], "output")
        self.assertIn("Token disabled", alert["annotations"]["description"])
        shown = self.prometheus.query("cta_forwarder_hold")[0]["metric"]
        self.assertEqual(set(shown) - {"__name__"} - metrics.OF_TARGET, {"kind", "name", "reason"})

        self.stage.tell_simulator("/hec/rules", {"enabled": True})
        until(lambda: not self.alerts("CtaForwarderHeld"), "end of the alarm")
        dropped = self.stage.program("dead-letters", "drop", "--all", "--yes")
        self.assertEqual(dropped.returncode, 0, dropped.stderr)
        until(lambda: not self.firing(), "end of all alarms")

    def alerts(self, name):
        """Those of an alarm that fire, or will when it has lasted long enough."""
        return self.prometheus.rules()[name]["alerts"]

    def firing(self):
        rules = self.prometheus.rules()
        return {name for name, rule in rules.items() if rule["state"] == "firing"}


if __name__ == "__main__":
    unittest.main()
