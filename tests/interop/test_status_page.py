"""The status page in Chromium, and the metrics as Prometheus' own tools read them."""

import json
import os
import re
import subprocess
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from agent import Agent
from browser import Browser
from case import InteropTest
from simulation import Simulation

PHONE = 390
HOSTILE = "<img src=x onerror=\"window.harmed=1\"><script>window.harmed=1</script>'\"&lt;"
PROMTOOL = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "interop/prometheus/usr/bin/promtool")

# The lowest contrast of a text to what is behind it, by the formula of WCAG 2, and that text.
CONTRAST = """
(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [red, green, blue] = parts(colour).map(value => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  let lowest = [99, ""];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data);
    const text = own.join("").trim();
    if (!text || !element.checkVisibility() || element.closest("svg")) continue;
    const pair = [light(getComputedStyle(element).color), light(behind(element))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < lowest[0]) lowest = [ratio, text];
  }
  return lowest;
})()
"""


class StatusPage(InteropTest):
    def setUp(self):
        super().setUp()
        self.simulation = Simulation(self)
        self.agent = Agent(
            self.folder,
            self.simulation.poll_url,
            password=self.simulation.password,
            service=self.simulation.service,
            outputs=[self.simulation.output],
            admin={"listen": "127.0.0.1:0"},
        )
        self.process = self.until_stopped(self.agent.start())
        found = self.process.wait_until(
            lambda: re.search(r'status page url="([^"]+)"', self.process.log()),
            "line about its status page",
        )
        self.url = found.group(1)
        self.browser = Browser()
        self.addCleanup(self.browser.close)

    def test_figures_appear_and_change_by_themselves(self):
        page = self.browser.page(self.url)
        page.wait(lambda: "All is well" in page.text(), "word that all is well")
        delivered = "Number(document.querySelector('.sinks .figure b').innerText.replaceAll(',', ''))"
        first = page.wait(lambda: page.ask(delivered), "figure")
        later = page.wait(lambda: page.ask(delivered) > first, "other figure")
        self.assertTrue(later)
        self.assertIn("polled", page.ask("document.querySelector('.ledger').innerText"))
        self.assertGreater(page.ask("document.querySelectorAll('.chart rect').length"), 0)
        self._is_clean(page)

    def test_what_a_person_reads_stays_where_it_is(self):
        page = self.browser.page(self.url, PHONE, 600)
        page.ask("window.kept = document.querySelector('#way'); scrollTo(0, 500)")
        page.ask("getSelection().selectAllChildren(document.querySelector('footer p'))")
        clock = page.ask("document.querySelector('#clock').innerText")
        page.wait(lambda: page.ask("document.querySelector('#clock').innerText") != clock, "new time")
        self.assertTrue(page.ask("window.kept.isConnected && scrollY === 500"))
        self.assertIn("For machines", page.ask("getSelection().toString()"))

    def test_a_hold_is_there_with_its_mend_and_goes_again(self):
        page = self.browser.page(self.url, PHONE, 844, dark=True)
        page.wait(lambda: "All is well" in page.text(), "word that all is well")
        self.simulation.switch("hec/rules", {"enabled": False})
        page.wait(lambda: "needs you" in page.text(), "word that somebody is needed")
        held = page.ask("document.querySelector('.troubles .held').innerText")
        self.assertIn("output splunk is held", held)
        self.assertIn("Token disabled", held)
        self.assertRegex(held, r"To mend it: \w+")
        self.assertTrue(page.ask("document.title").startswith("1 thing needs you"))
        self._fits(page)
        self.simulation.switch("hec/rules", {"enabled": True})
        page.wait(lambda: "All is well" in page.text(), "word that all is well again")
        self._is_clean(page)

    def test_what_others_write_is_text(self):
        page = self.browser.page(self.url)
        message = {"fault": "status_message", "status_type": "DENIED", "message": HOSTILE}
        self.simulation.switch("cta/fault", message)
        page.wait(lambda: HOSTILE in page.text(), "hostile text as text")
        self.assertIsNone(page.ask("window.harmed ?? null"))
        images = page.ask("[...document.images].map(image => image.getAttribute('src')).join()")
        self.assertEqual(images, "icon.svg")
        self.assertEqual(page.ask("document.scripts.length"), 1)
        fresh = self.browser.page(self.url)
        self.assertIn(HOSTILE, fresh.text())
        self.assertIsNone(fresh.ask("window.harmed ?? null"))
        self._is_clean(page, fresh)

    def test_on_every_screen_by_day_and_by_night(self):
        self.simulation.switch("hec/rules", {"enabled": False})
        grounds = set()
        for dark in (False, True):
            for width in (320, PHONE, 800, 1280):
                page = self.browser.page(self.url, width, 844, dark=dark)
                page.wait(lambda: "needs you" in page.text(), "word that somebody is needed")
                self._fits(page)
                ratio, text = page.ask(CONTRAST)
                self.assertGreaterEqual(ratio, 4.5, f"{text!r} can hardly be read, dark: {dark}")
                grounds.add(page.ask("getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(len(grounds), 2, grounds)

    def test_who_cannot_see_it_can_read_it(self):
        page = self.browser.page(self.url)
        page.wait(lambda: "All is well" in page.text(), "word that all is well")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
        roles = [role for role, _ in named]
        self.assertEqual(sum(role == "main" for role in roles), 1)
        # What changes in it is told to who listens.
        self.assertIn("status", roles)
        self.assertEqual(page.ask("document.querySelector('[role=status]').innerText"), "All is well")
        for role, name in named:
            if role in ("img", "meter", "link", "region"):
                self.assertTrue(name, f"a {role} has no name")
        charts = [name for role, name in named if "in the last 24 hours" in name]
        self.assertGreaterEqual(len(charts), 2)
        self.assertEqual(page.ask("document.documentElement.lang"), "en")
        self.assertEqual(page.ask("document.querySelectorAll('h1').length"), 1)

    def test_without_a_script(self):
        page = self.browser.page(self.url, script=False)
        page.wait(lambda: re.search(r"[1-9][\d,]* delivered", page.text()), "figure")
        self.assertIn("The way of the events", page.text())

    def test_an_agent_that_is_gone(self):
        page = self.browser.page(self.url)
        page.wait(lambda: "All is well" in page.text(), "word that all is well")
        self.process.stop()
        page.wait(lambda: "cannot be reached since" in page.text(), "word that it is gone")
        self.assertTrue(page.ask("document.title").startswith("Not reached"))

    def test_metrics_as_others_read_them(self):
        polled = r" events=[1-9]"
        self.process.wait_until(lambda: re.search(polled, self.process.log()), "first poll")
        older = self._get("metrics", "text/plain")
        checked = subprocess.run(
            [PROMTOOL, "check", "metrics"], input=older, capture_output=True, text=True
        )
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))
        newer = self._get("metrics", "application/openmetrics-text; version=1.0.0")
        self.assertIn("cta_forwarder_polls", {family.name for family in openmetrics(newer)})
        values = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in prometheus(older)
            for sample in family.samples
        }
        fetched = values[("cta_forwarder_events_total", ("stage", "fetched"))]
        self.assertGreater(fetched, 0)
        info = [key for key in values if key[0] == "cta_forwarder_build_info"]
        status = json.loads(self._get("status", "*/*"))
        self.assertEqual(info[0][1], ("version", status["version"]))

    def _get(self, path, accept):
        request = urllib.request.Request(self.url + path, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def _fits(self, page):
        widths = page.ask("[document.documentElement.scrollWidth, innerWidth]")
        self.assertLessEqual(widths[0], widths[1], "it must be scrolled sideways")

    def _is_clean(self, *pages):
        for page in pages:
            page.wait(lambda: True, "")
            self.assertEqual(page.complaints, [])
            foreign = [url for url in page.requests if not url.startswith(self.url)]
            self.assertEqual(foreign, [])
