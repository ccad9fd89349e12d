"""The alarms: Prometheus reads them, each fires when it must and only then, and leads to its mend."""

import re
import unittest

import metrics
import yaml
from promtool import promtool

PROMETHEUS = metrics.ROOT / "packaging" / "prometheus"
RULES = PROMETHEUS / "cta-forwarder.rules.yml"
TESTS = metrics.ROOT / "tests" / "monitoring" / "rules.test.yml"
OPERATE = metrics.ROOT / "docs" / "operate.md"
SEVERITIES = {"critical", "warning", "info"}


def rules():
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


class Rules(unittest.TestCase):
    def test_prometheus_reads_them(self):
        for arguments in (("check", "rules", RULES), ("test", "rules", TESTS)):
            with self.subTest(arguments):
                content, said = promtool(*arguments)
                self.assertTrue(content, said)

    def test_prometheus_reads_the_scrape_configuration(self):
        content, said = promtool("check", "config", "--syntax-only", PROMETHEUS / "scrape.yml")
        self.assertTrue(content, said)
        config = yaml.safe_load((PROMETHEUS / "scrape.yml").read_text(encoding="utf-8"))
        [job] = config["scrape_configs"]
        self.assertEqual(job["job_name"], "cta-forwarder")
        self.assertEqual(job["static_configs"], [{"targets": ["127.0.0.1:9185"]}])

    def test_each_alarm_fires_and_is_quiet_in_a_test(self):
        firing, quiet = set(), set()
        for test in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]:
            for case in test["alert_rule_test"]:
                (firing if case["exp_alerts"] else quiet).add(case["alertname"])
        self.assertEqual((firing, quiet), (set(rules()), set(rules())))

    def test_each_names_metrics_that_there_are(self):
        for name, rule in rules().items():
            with self.subTest(name):
                self.assertEqual(list(metrics.faults(rule["expr"])), [])
                # Of another program's metrics of the same name only ours.
                for metric, matchers in metrics.used(rule["expr"]):
                    if not metric.startswith("cta_forwarder_"):
                        self.assertEqual(matchers.get("job"), "cta-forwarder")

    def test_each_says_what_to_do(self):
        for name, rule in rules().items():
            with self.subTest(name):
                self.assertIn(rule["labels"]["severity"], SEVERITIES)
                texts = rule["annotations"]
                self.assertEqual(set(texts), {"summary", "description", "runbook"})
                self.assertEqual(texts["runbook"], f"operate.md#{name.lower()}")
                self.assertLess(len(texts["summary"]), 140)

    def test_each_has_its_section_and_no_section_is_left_over(self):
        text = OPERATE.read_text(encoding="utf-8")
        sections = dict(re.findall(r"^### (CtaForwarder\w+)\n\n(.*?)(?=^#|\Z)", text, re.M | re.S))
        self.assertEqual(set(sections), set(rules()))
        for name, section in sections.items():
            with self.subTest(name):
                for part in ("**Means.**", "**Meanwhile.**", "**Mend.**"):
                    self.assertIn(part, section)
                self.assertIn(f"`{rules()[name]['labels']['severity']}`", section.splitlines()[0])


if __name__ == "__main__":
    unittest.main()
