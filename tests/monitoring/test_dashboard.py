"""The dashboard can be imported, and every panel asks Prometheus for something that there is."""

import json
import re
import unittest

import metrics
from promtool import check_expressions

PATH = metrics.ROOT / "packaging" / "grafana" / "cta-forwarder.json"
# What Grafana puts in.
VARIABLES = {"$__rate_interval": "5m", "$__range": "1d", "$instance": ".*"}
WIDTH = 24
# What only alarms ask for: a panel of the same subject says more.
OF_ALARMS = {"process_max_fds"}


def dashboard():
    def once(pairs):
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise ValueError(f"a key stands twice: {names}")
        return dict(pairs)

    return json.loads(PATH.read_text(encoding="utf-8"), object_pairs_hook=once)


def expressions(board):
    """Of all panels and annotations, with Grafana's variables filled in."""
    texts = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    texts += [one["expr"] for one in board["annotations"]["list"] if "expr" in one]
    for text in texts:
        for name, value in VARIABLES.items():
            text = text.replace(name, value)
        yield text


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.board = dashboard()

    def test_it_can_be_imported(self):
        [asked] = self.board["__inputs"]
        self.assertEqual((asked["type"], asked["pluginId"]), ("datasource", "prometheus"))
        self.assertIsNone(self.board["id"])
        variables = {one["name"]: one for one in self.board["templating"]["list"]}
        self.assertEqual(variables["datasource"]["current"]["value"], f"${{{asked['name']}}}")
        needed = {one["id"] for one in self.board["__requires"] if one["type"] == "panel"}
        self.assertEqual(needed, {panel["type"] for panel in self.board["panels"]} - {"row"})

    def test_panels_stand_beside_one_another(self):
        ids = [panel["id"] for panel in self.board["panels"]]
        self.assertEqual(len(set(ids)), len(ids))
        taken = set()
        for panel in self.board["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            with self.subTest(panel["title"]):
                self.assertLessEqual(place["x"] + place["w"], WIDTH)
                self.assertEqual(cells & taken, set())
            taken |= cells

    def test_each_panel_explains_itself_and_asks_the_chosen_source(self):
        for panel in self.board["panels"]:
            if panel["type"] == "row":
                continue
            with self.subTest(panel["title"]):
                self.assertTrue(panel["description"] and panel["targets"])
                references = [target["refId"] for target in panel["targets"]]
                self.assertEqual(len(set(references)), len(references))
                for one in (panel, *panel["targets"]):
                    self.assertEqual(one["datasource"]["uid"], "${datasource}")
                for target in panel["targets"]:
                    self.assertIn('instance=~"$instance"', target["expr"])

    def test_expressions_are_promql_about_metrics_that_there_are(self):
        found = list(expressions(self.board))
        self.assertGreater(len(found), 30)
        for expression in found:
            with self.subTest(expression):
                self.assertEqual(list(metrics.faults(expression)), [])
                self.assertNotIn("$", expression)
        content, said = check_expressions(found)
        self.assertTrue(content, said)

    def test_legends_name_labels_that_there_are(self):
        for panel in self.board["panels"]:
            for target in panel.get("targets", []):
                of = {"job", "instance"}
                for name, _ in metrics.used(target["expr"]):
                    of |= set(metrics.LABELS[name].split())
                named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                with self.subTest(panel["title"], legend=target["legendFormat"]):
                    self.assertLessEqual(named, of)

    def test_every_metric_is_shown(self):
        shown = {name for text in expressions(self.board) for name, _ in metrics.used(text)}
        self.assertEqual(set(metrics.LABELS) - shown, OF_ALARMS)


class Names(unittest.TestCase):
    def test_the_program_documents_each(self):
        documented = metrics.documented()
        for name, labels in metrics.LABELS.items():
            if name == "up":
                continue
            with self.subTest(name):
                own = set(labels.split()) - {"le"}
                self.assertEqual(documented.get(name.removesuffix("_bucket")), own)

    def test_mistakes_are_found(self):
        for wrong in (
            "cta_forwarder_pending > 0",
            'cta_forwarder_hold{output="a"}',
            'cta_forwarder_events_total{stage="gone"}',
            "sum by (collection) (cta_forwarder_dead_letters)",
        ):
            with self.subTest(wrong):
                self.assertNotEqual(list(metrics.faults(wrong)), [])
        content, _ = check_expressions(["rate(cta_forwarder_polls_total"])
        self.assertFalse(content)


if __name__ == "__main__":
    unittest.main()
