"""The data models get of every golden event what it tells, and nothing that it does not tell."""

import json
import re
import unittest

import conf
import documented
import models
from expression import Expression
from search_time import SearchHead, extract_json

SPLUNK = conf.ROOT / "docs" / "splunk.md"

# What no golden event shows: a flow that tells everything, and odd values.
WHOLE = {
    "recordType": "flow", "flowType": "cta:webflow", "incidentId": "cta:incident-1",
    "incidentTitle": "malware|trojan", "risk": "7", "toolName": "Cognitive Threat Analytics",
    "toolVendor": "Cisco", "activity": "trojan", "ttp": "cta:ttp-9", "victim": "jane.doe",
    "scResultCode": "tcp_denied", "scHttpStatus": "403", "csContentBytes": "10",
    "scContentBytes": "32", "csUrl": "https://u:p@b.example:8443/x?y=http://c.example/",
    "csReferer": "http://a.example/", "csUserAgent": "curl", "scContentType": "text/html",
    "sIP": "192.0.2.9", "sPort": "8443", "cIP": "198.51.100.9", "cPort": "50123",
    "cUsername": "EMEA\\jane", "sCategory": "unclassified", "networkProtocol": "6",
    "xElapsedTime": "12", "scSHA256": "a" * 64,
}  # fmt: skip
MORE = [
    WHOLE,
    WHOLE | {"csUrl": "b.example:443", "sIP": "", "scHttpStatus": "0", "sPort": "n/a"},
    WHOLE | {"csUrl": "/only/a/path", "sIP": None, "csUserAgent": "", "sCategory": None},
    WHOLE | {"csUrl": "http://[2001:db8::1]:80/", "sIP": None, "risk": None, "cUsername": None},
    WHOLE | {"victim": "198.51.100.77", "cUsername": None, "cIP": None, "scResultCode": "NONE"},
    WHOLE | {"victim": "Jane Doe; 10.0.0.1; fe80::1; 10.0.0.2", "cUsername": None, "cIP": None},
    WHOLE | {"toolName": "A; B", "toolVendor": "Cisco", "risk": "2; 10"},
]


def golden():
    """Sourcetype and text of each golden event, and of those above."""
    for path in sorted((conf.ROOT / "tests" / "golden").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield f"cisco:cta:{json.loads(line)['recordType']}", line
    for event in MORE:
        told = {name: value for name, value in event.items() if value is not None}
        yield "cisco:cta:flow", json.dumps(told)


def absences():
    """The table of docs/splunk.md: by model and field, the condition under which it is missing."""
    rows = re.findall(
        r"^\| ([A-Z][\w ]+) \| `(\w+)` \| (always|`[^`]+`) \| (.+) \|$",
        SPLUNK.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {
        (model, field): (lambda event: True)
        if when == "always"
        else Expression(when.strip("`").replace("\\|", "|"))
        for model, field, when, _ in rows
    }


class CommonInformationModel(unittest.TestCase):
    def setUp(self):
        self.head = SearchHead()
        self.models = models.all_models()

    def searched(self):
        for sourcetype, text in golden():
            event, _, tags = self.head.search(sourcetype, text)
            yield text, event, tags

    def test_each_required_field_is_there_or_honestly_absent(self):
        table, seen = absences(), set()
        self.assertGreater(len(table), 10)
        for text, event, tags in self.searched():
            raw = extract_json(text)
            for model in self.models:
                if not model.has(tags):
                    continue
                for field in model.fields(event):
                    told = field.name in event
                    missing = table.get((model.name, field.name), lambda raw: False)(raw) is True
                    with self.subTest(model=model.name, field=field.name, event=text):
                        self.assertEqual(told, not missing)
                    if missing:
                        seen.add((model.name, field.name))
        self.assertEqual(seen, set(table), "rows of the table that no event shows")

    def test_values_are_those_of_the_models(self):
        for text, event, tags in self.searched():
            for model in (one for one in self.models if one.has(tags)):
                for field in model.fields(event):
                    if field.name in event:
                        with self.subTest(model=model.name, field=field.name, event=text):
                            self.assertIsNone(field.fault_of(event))

    def test_every_event_of_an_incident_is_in_the_models_and_no_other(self):
        for text, event, tags in self.searched():
            with self.subTest(event=text):
                in_incident = event["sourcetype"] in ("cisco:cta:flow", "cisco:cta:incident")
                self.assertEqual({"alert", "ids", "attack"} <= tags, in_incident)
                self.assertEqual({"web", "proxy"} <= tags, "csUrl" in event)

    def test_an_event_of_send_test_is_no_detection(self):
        text = json.dumps(WHOLE | {"ctaForwarderTest": "true"})
        _, event_types, tags = self.head.search("cisco:cta:flow", text)
        self.assertEqual((event_types, tags), ([], set()))

    def test_what_a_whole_flow_becomes(self):
        event, _, _ = self.head.search("cisco:cta:flow", json.dumps(WHOLE))
        expected = {
            "action": "blocked", "app": "Cognitive Threat Analytics", "bytes": 42, "bytes_in": "32",
            "bytes_out": "10", "category": ["unclassified", "malware"], "dest": "192.0.2.9",
            "dest_port": "8443", "duration": "12", "dvc": "Cognitive Threat Analytics",
            "file_hash": "a" * 64, "http_content_type": "text/html",
            "http_referrer": "http://a.example/", "http_user_agent": "curl",
            "http_user_agent_length": 4, "id": "cta:incident-1", "ids_type": "network",
            "severity": "high", "signature": "trojan", "signature_id": "cta:ttp-9",
            "src": "198.51.100.9", "src_port": "50123", "status": "403", "transport": "tcp",
            "type": "alert", "url": WHOLE["csUrl"], "url_domain": "b.example",
            "user": "EMEA\\jane", "vendor_product": "Cisco Cognitive Threat Analytics",
        }  # fmt: skip
        self.assertEqual({name: event.get(name) for name in expected}, expected)

    def test_odd_values(self):
        odd = [
            self.head.search("cisco:cta:flow", text)[0]
            for _, text in list(golden())[1 - len(MORE) :]
        ]
        names = ("dest", "url_domain", "severity", "user", "src", "vendor_product", "action")
        found = [tuple(event.get(name) for name in names) for event in odd]
        cisco, ip = "Cisco Cognitive Threat Analytics", "198.51.100.9"
        self.assertEqual(
            found,
            [
                ("b.example", "b.example", "high", "EMEA\\jane", ip, cisco, "blocked"),
                (None, None, "high", "EMEA\\jane", ip, cisco, "blocked"),
                ("[2001:db8::1]", "[2001:db8::1]", None, "jane.doe", ip, cisco, "blocked"),
                ("192.0.2.9", "b.example", "high", None, "198.51.100.77", cisco, None),
                ("192.0.2.9", "b.example", "high", "Jane Doe", "10.0.0.1", cisco, "blocked"),
                ("192.0.2.9", "b.example", "critical", "EMEA\\jane", ip, ["A", "B"], "blocked"),
            ],
        )

    def test_an_address_is_told_from_what_looks_like_one(self):
        addresses = ("10.0.0.1", "255.255.255.255", "2001:db8::1", "::1", "fe80::a:1", "1:2::")
        addresses += ("1:2:3:4:5:6:7:8", "::ffff:192.0.2.1", "1:2:3:4:5:6:192.0.2.1")
        others = ("00:11:22:33:44:55", "a:1", "999.999.999.999", "10.0.0", "10.0.0.1.2", "1:2:3")
        others += ("add:bad", ":", "jane:", "1::2::3", "256.1.1.1", "abcde::1")
        for text in addresses + others:
            of = {"incidentId": "i", "victim": f"Jane Doe; {text}"}
            event, _, _ = self.head.search("cisco:cta:incident", json.dumps(of))
            found = event.get("src"), event.get("user")
            expected = (text, "Jane Doe") if text in addresses else (None, ["Jane Doe", text])
            with self.subTest(text):
                self.assertEqual(found, expected)

    def test_severity_is_that_of_the_other_formats(self):
        """docs/formats.md has the table for syslog: crit is critical, info is informational."""
        names = {"2": "critical", "3": "high", "4": "medium", "5": "low", "6": "informational"}
        rows = re.findall(
            r"^\| (\d+) \| (\d) \w+ \|", (conf.ROOT / "docs/formats.md").read_text(), re.MULTILINE
        )
        self.assertEqual(len(rows), 11)
        words = {"Critical": "10", "High": "8", "Medium": "5", "Low": "3", "None": "0"}
        table = dict(rows)
        for risk, number in [*table.items(), *((word, table[of]) for word, of in words.items())]:
            for text in (risk, f"{risk}.7" if risk.isdigit() else risk.lower(), f"0; {risk} "):
                event, _, _ = self.head.search("cisco:cta:incident", json.dumps({"risk": text}))
                with self.subTest(risk=text):
                    self.assertEqual(event.get("severity"), names[number])

    def test_no_field_is_made_that_others_fill_in(self):
        forbidden = models.forbidden_fields()
        self.assertIn("tag", forbidden)
        self.assertEqual(self.head.made_fields() & forbidden, set())

    def test_names_that_are_read_are_documented(self):
        self.assertEqual(self.head.used_fields() - documented.fields(), set())

    def test_what_several_sourcetypes_have_is_the_same(self):
        first = {}
        for stanza, keys in conf.read("props.conf").items():
            for key, value in keys.items():
                if key.startswith(("EVAL-", "FIELDALIAS-", "LOOKUP-")):
                    self.assertEqual(first.setdefault(key, value), value, f"{key} in [{stanza}]")


if __name__ == "__main__":
    unittest.main()
