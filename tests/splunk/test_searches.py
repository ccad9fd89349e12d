"""Every search of the add-on and of docs/splunk.md names macros, commands and fields that exist."""

import re
import unittest
import xml.etree.ElementTree as xml

import conf
import documented
import spl
from expression import Expression
from search_time import SearchHead

VIEWS = conf.ADD_ON / "default" / "data" / "ui" / "views"
LOG = ("`cta_log`", 'sourcetype="cta:forwarder:log"')
# What the log's own lines have, besides the fields that the sources give them.
OF_LOG = {"level", "message", "target", "timestamp"}


def sources():
    return "\n".join(p.read_text(encoding="utf-8") for p in (conf.ROOT / "src").rglob("*.rs"))


def fields_of_events():
    made = SearchHead().made_fields() | set(conf.read("fields.conf"))
    return documented.fields() | made


def check(text, after=None):
    """A whole search; returns the fields that it ends with."""
    known = fields_of_events() | (names_of_log() if is_of_log(text) else set())
    return spl.Search(spl.expand(without_tokens(text)), known, after).fields


def is_of_log(text):
    return any(word in text for word in LOG)


def names_of_log():
    """`name = value`, `%name`, `?name` and `name,` in the calls that write the log."""
    calls = re.findall(r"tracing::\w+!\((.*?)\);", sources(), re.DOTALL)
    return OF_LOG | {name for call in calls for name in re.findall(r"\b([a-z_]+)\b", call)}


def without_tokens(text):
    """As a dashboard fills them in: text in quotes for |s, else a word."""
    if empty := re.search(r"\$time\.\w+\$", text):
        raise ValueError(f"{empty[0]} may be empty, and a search needs a time there: {text}")
    return re.sub(r"\$[\w.]+\$", "token", re.sub(r"\$[\w.]+\|s\$", '"token"', text))


def dashboards():
    for path in sorted(VIEWS.glob("*.xml")):
        yield path.stem, xml.parse(path).getroot()


def documented_searches():
    text = (conf.ROOT / "docs" / "splunk.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```spl\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.strip().splitlines()


class Searches(unittest.TestCase):
    def test_saved_searches(self):
        stanzas = conf.read("savedsearches.conf")
        self.assertEqual(len(stanzas), 6)
        for name, keys in stanzas.items():
            with self.subTest(name):
                fields = check(keys["search"])
                # Whoever installs the add-on has not asked for any of them yet.
                self.assertEqual((keys["enableSched"], keys["disabled"]), ("1", "1"))
                suppressed = keys.get("alert.suppress.fields", "")
                self.assertLessEqual(set(filter(None, re.split(r",\s*", suppressed))), fields)
                self.assertRegex(keys["cron_schedule"], r"^(\*/\d+|\d+) (\*|\d+) \* \* \*$")

    def test_messages_that_searches_look_for_are_written(self):
        texts = re.sub(r"\\\n\s+", "", sources())
        searches = [keys["search"] for keys in conf.read("savedsearches.conf").values()]
        searches += [q.text for _, root in dashboards() for q in root.iter("query")]
        found = {m for text in searches for m in re.findall(r'message="([^"]*)"', text)}
        self.assertGreaterEqual(len(found), 3)
        for message in found:
            with self.subTest(message):
                self.assertIn(f'"{message.rstrip("*")}', texts)

    def test_dashboards(self):
        panels = 0
        for name, root in dashboards():
            self.assertEqual(root.get("version"), "1.1")
            bases = {}
            for search in root.iter("search"):
                query = search.find("query")
                with self.subTest(dashboard=name, query=query.text):
                    base = search.get("base")
                    after = bases[base] if base else None
                    fields = check(query.text, after)
                    if search.get("id"):
                        # Without an aggregate it would hold every event in memory, up to a limit.
                        self.assertIsNotNone(fields)
                        bases[search.get("id")] = fields
                    panels += 1
            self.check_tokens(name, root)
        self.assertGreater(panels, 15)

    def check_tokens(self, name, root):
        text = xml.tostring(root, encoding="unicode")
        made = {one.get("token") for one in root.iter("input")}
        made |= {one.get("token") for kind in ("set", "eval") for one in root.iter(kind)}
        used = set(re.findall(r"\$([\w.]+)(?:\|\w)?\$", text))
        for token in used:
            head = token.split(".")[0]
            with self.subTest(dashboard=name, token=token):
                self.assertTrue(token in made or head in made | {"row", "click"})

    def test_times_of_arrival_are_never_empty(self):
        _, root = next(one for one in dashboards() if one[0] == "cta_forwarder")
        ends = {
            one.get("token"): Expression(re.sub(r"\$([\w.]+)\$", r"'\1'", one.text))
            for one in root.iter("eval")
        }
        for picked, expected in {
            ("-24h@h", "now"): ("-24h@h", "now"),
            ("0", ""): ("0", "now"),
            ("", ""): ("0", "now"),
            (None, None): ("0", "now"),
            ("rt", "rt"): ("0", "now"),
            ("rt-5m", "rtnow"): ("-5m", "now"),
            ("1709544600", "1709631000.250"): ("1709544600", "1709631000.250"),
        }.items():
            event = dict(zip(("time.earliest", "time.latest"), picked, strict=True))
            with self.subTest(picked):
                found = ends["arrived_earliest"](event), ends["arrived_latest"](event)
                self.assertEqual(found, expected)

    def test_a_trial_is_no_feed_that_falls_silent(self):
        trial = (conf.ROOT / "src/trial/event.rs").read_text(encoding="utf-8")
        name = re.search(r'NAME: &str = "(.+)"', trial)[1]
        searches = [keys["search"] for keys in conf.read("savedsearches.conf").values()]
        searches += [q.text for _, root in dashboards() for q in root.iter("query")]
        silent = [text for text in searches if "silent_s" in text]
        self.assertEqual(len(silent), 2)
        for text in silent:
            with self.subTest(text):
                excluded = text.count(f'source!="taxii:{name}/*"')
                self.assertEqual(excluded, text.count("tstats"))

    def test_a_link_to_a_service_is_a_link(self):
        """What a feed wrote is followed only if it is an https address."""
        for name, root in dashboards():
            for link in root.iter("link"):
                if link.text.startswith("$"):
                    queries = "".join(query.text for query in root.iter("query"))
                    self.assertIn('url = if(match(incidentUrl, "^https://', queries, name)

    def test_navigation_names_what_is_there(self):
        nav = xml.parse(conf.ADD_ON / "default/data/ui/nav/default.xml").getroot()
        views = {view.get("name") for view in nav.iter("view")}
        self.assertEqual(views - {"search"}, {name for name, _ in dashboards()})

    def test_searches_of_the_documentation(self):
        searches = list(documented_searches())
        self.assertGreater(len(searches), 3)
        for search in searches:
            with self.subTest(search):
                check(search)

    def test_mistakes_are_found(self):
        for wrong in (
            "`cta_evnts` | stats count",
            "`cta_events` | stat count",
            "`cta_events` | stats count BY incidentID",
            "`cta_events` | eval x = lenght(csUrl)",
            '`cta_events` | where severity="high',
            "`cta_events` | stats count BY collection | sort incidentId",
            "`cta_events` | where (risk > 5",
            "`cta_events` colection=a",
            "| tstats count WHERE `cta_events` BY eventId",
            "`cta_log` | stats count BY outputt",
            "`cta_events` _index_latest=$time.latest$ | stats count",
        ):
            with self.subTest(wrong), self.assertRaises(ValueError):
                check(wrong)


if __name__ == "__main__":
    unittest.main()
