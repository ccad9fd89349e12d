"""The configuration files are well-formed, hang together, and do with our messages what they say."""

import json
import re
import subprocess
import unittest
from datetime import datetime, timezone

import conf

FORMATS = conf.ROOT / "docs" / "formats.md"
HEADER = "rfc5424 json"


def transform(text, name):
    """What a transform of the indexing does: its key and its value, or nothing."""
    keys = conf.read("transforms.conf")[name]
    found = re.search(keys["REGEX"], text[: int(keys.get("LOOKAHEAD", "4096"))], re.DOTALL)
    if not found:
        return None
    value = re.sub(r"\$(\d)", lambda group: found[int(group[1])], keys["FORMAT"])
    return keys["DEST_KEY"], value


def index(text, sourcetype):
    """An event as an indexer keeps it: what its keys are after the transforms."""
    event = {"_raw": text}
    for name in conf.read("props.conf")[sourcetype]["TRANSFORMS-cta"].split(", "):
        made = transform(event["_raw"], name)
        if made:
            event[made[0]] = made[1]
    return event


def time_of(text, sourcetype):
    keys = conf.read("props.conf")[sourcetype]
    found = re.search(keys["TIME_PREFIX"], text)
    if not found:
        return None
    window = text[found.end() : found.end() + int(keys["MAX_TIMESTAMP_LOOKAHEAD"])]
    if keys["TIME_FORMAT"] == "%s%3N":
        digits = re.match(r"\d{13}", window)
        return digits and int(digits[0]) / 1000
    form = re.sub(r"%[36]N", "%f", keys["TIME_FORMAT"])
    number = re.match(r"[\d:.T-]+Z", window)[0]
    return datetime.strptime(number, form).replace(tzinfo=timezone.utc).timestamp()


def samples():
    """The RFC 5424 messages with JSON of docs/formats.md, with and without structured data."""
    text = FORMATS.read_text(encoding="utf-8")
    found = re.findall(
        r"^<!-- sample \w+ rfc5424 json[^>]*-->\n```text\n(.*?)\n```", text, re.M | re.S
    )
    assert len(found) >= 3, found
    return found


class Configuration(unittest.TestCase):
    def test_every_file_is_read_and_known(self):
        names = sorted(path.name for path in (conf.ADD_ON / "default").glob("*.conf"))
        self.assertEqual(names, sorted(conf.KEYS))
        for name in names:
            with self.subTest(name):
                self.assertTrue(conf.read(name))
        meta = (conf.ADD_ON / "metadata" / "default.meta").read_text(encoding="utf-8")
        objects = conf.parse(meta, "default.meta")
        # Who writes on Splunk Cloud is sc_admin.
        self.assertIn("sc_admin", objects[""]["access"])
        self.assertLessEqual({keys["export"] for keys in objects.values()}, {"none", "system"})
        exported = {name for name, keys in objects.items() if name}
        self.assertLessEqual({"props", "transforms", "eventtypes", "tags", "lookups"}, exported)

    def test_mistakes_are_found(self):
        for wrong in (
            "[a]\nKV_MODES = json",
            "[a]\nKV_MODE=json",
            "[a]\nKV_MODE = json\nKV_MODE = json",
            "[a]\n[a]",
            "[a\nKV_MODE = json",
            "KV_MODE = json",
            "[a]\nKV_MODE = json ",
        ):
            with self.subTest(wrong), self.assertRaises(ValueError):
                conf.parse(wrong, "props.conf")

    def test_what_is_named_is_there(self):
        props, transforms = conf.read("props.conf"), conf.read("transforms.conf")
        named = set()
        for keys in props.values():
            for key, value in keys.items():
                if key.startswith("TRANSFORMS-"):
                    named |= set(value.split(", "))
                if key.startswith("LOOKUP-"):
                    named.add(value.split()[0])
        self.assertEqual(named, set(transforms))
        files = {keys["filename"] for keys in transforms.values() if "filename" in keys}
        self.assertEqual(files, {path.name for path in (conf.ADD_ON / "lookups").iterdir()})
        for stanza in conf.read("tags.conf"):
            self.assertIn(stanza.removeprefix("eventtype="), conf.read("eventtypes.conf"))

    def test_the_agent_and_the_add_on_agree_on_sourcetypes(self):
        documented = (conf.ROOT / "config" / "cta-forwarder.toml").read_text(encoding="utf-8")
        defaults = set(re.findall(r'^#sourcetype_\w+ = "(.+)"$', documented, re.M))
        self.assertEqual(len(defaults), 4)
        for sourcetype in defaults:
            keys = conf.read("props.conf")[sourcetype]
            self.assertEqual((keys["KV_MODE"], keys["TRUNCATE"]), ("json", "0"))
        fields = re.findall(
            r'"(cta_\w+)', (conf.ROOT / "src/output/splunk_hec/encode.rs").read_text()
        )
        self.assertEqual(
            set(conf.read("fields.conf")), {"cta_event_id", "cta_collection"} | set(fields)
        )

    def test_a_syslog_message_becomes_the_event_that_hec_brings(self):
        for message in samples():
            body = message[message.index("{") :]
            event = json.loads(body)
            with self.subTest(message):
                indexed = index(message, "cisco:cta:syslog")
                self.assertEqual(indexed["_raw"], body)
                self.assertEqual(indexed["MetaData:Host"], "host::agent.example.com")
                sourcetype = f"sourcetype::cisco:cta:{event['recordType']}"
                self.assertEqual(indexed["MetaData:Sourcetype"], sourcetype)
                header = datetime.fromisoformat(message.split(" ")[1])
                self.assertEqual(time_of(message, "cisco:cta:syslog"), header.timestamp())

    def test_a_long_message_is_kept_whole(self):
        body = json.dumps({"eventId": "x", "recordType": "flow", "csUrl": "a" * 100_000})
        for structured in ("-", '[cta@32473 eventId="a" collection="\\]{\\"" service="c"]'):
            message = f"<134>1 2024-03-04T09:30:00.250Z h cta-forwarder 42 flow {structured} {body}"
            self.assertEqual(index(message, "cisco:cta:syslog")["_raw"], body)

    def test_a_feed_cannot_choose_the_sourcetype(self):
        forged = {"recordType": "incident", "csUrl": '"recordType":"flow"', "eventId": "x"}
        text = json.dumps(dict(reversed(forged.items())), separators=(",", ":"))
        made = index(text, "cisco:cta:json")
        self.assertEqual(made["MetaData:Sourcetype"], "sourcetype::cisco:cta:incident")

    def test_lines_of_a_file_have_their_time(self):
        line = (
            (conf.ROOT / "tests/golden/webflow.jsonl").read_text(encoding="utf-8").splitlines()[0]
        )
        self.assertEqual(time_of(line, "cisco:cta:json"), 1709544600.250)
        forged = '{"csUrl":"\\"timestamp\\":1111111111111","timestamp":1709544600250}'
        self.assertEqual(time_of(forged, "cisco:cta:json"), 1709544600.250)
        text = '{"startTime":"1111111111111","timestamp":1709544600250}'
        self.assertEqual(time_of(text, "cisco:cta:json"), 1709544600.250)
        log = '{"timestamp":"2026-11-26T09:51:18.410509Z","level":"ERROR"}'
        self.assertEqual(time_of(log, "cta:forwarder:log"), 1795686678.410509)


class Package(unittest.TestCase):
    BUILD = conf.ROOT / "packaging" / "splunk" / "build"

    def test_the_same_sources_give_the_same_bytes(self):
        first = self.build().read_bytes()
        self.assertEqual(self.build().read_bytes(), first)

    def test_the_version_is_that_of_the_program(self):
        cargo = (conf.ROOT / "Cargo.toml").read_text(encoding="utf-8")
        version = re.search(r'^version = "(.+)"$', cargo, re.M)[1]
        app = conf.read("app.conf")
        self.assertEqual({app["id"]["version"], app["launcher"]["version"]}, {version})
        self.assertIn(version, self.build().name)

    def build(self):
        made = subprocess.run([self.BUILD], capture_output=True, text=True, check=True)
        return conf.ROOT / made.stdout.strip()


if __name__ == "__main__":
    unittest.main()
