"""Samples that are no commands: each kind is read by whoever will read it at a user's."""

import json
import os
import re
import subprocess
import sys
import tempfile

import yaml
from blocks import ROOT

sys.path.insert(0, str(ROOT / "tests" / "splunk"))
import test_searches  # noqa: E402

# Stanzas of Splunk that an admin writes, and their keys.
CONF_KEYS = {"rename", "index", "sourcetype", "serverCert", "sslPassword"}
# What a part of a configuration needs to be a whole one.
REST = {
    "[state]": '[state]\ndirectory = "/var/lib/cta-forwarder"\n',
    "[[service]]": '[[service]]\nname = "cta"\npoll_url = "https://taxii.example.com/poll"\n'
    'username = "user"\npassword = { file = "/etc/cta-forwarder/taxii-password" }\n'
    'collections = ["webflows_1234567890_v0"]\n',
    "[[output]]": '[[output]]\nname = "local"\ntype = "file"\npath = "/var/log/cta-forwarder/e.jsonl"\n',
}


def toml(block, stage):
    """The program takes it, completed to a whole configuration if it is a part."""
    text = block.text + "\n"
    for head, rest in REST.items():
        if not re.search(rf"^{re.escape(head)}", text, re.MULTILINE):
            text += rest
    text = stage.translated(text)
    stage.lay_out_files_of(text)
    path = stage.work / "sample.toml"
    path.write_text(text)
    checked = stage.run("cta-forwarder check --config sample.toml")
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}\n{text}"


def json_(block, _stage):
    for part in re.split(r"\n(?=\{)", block.text.strip()):
        sample = json.loads(part)
        if isinstance(sample, dict) and "eventId" in sample:
            # An event on a page is one that the program gives.
            assert sample == golden().get(sample["eventId"]), f"no golden event is this one: {part}"


def golden():
    lines = [
        line
        for path in (ROOT / "tests" / "golden").glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return {event["eventId"]: event for event in map(json.loads, lines)}


def yaml_(block, _stage):
    assert yaml.safe_load(block.text) is not None
    if "scrape_configs" in block.text:
        promtool("check", "config", "--syntax-only", text=block.text)


def promql(block, _stage):
    expressions = [line for line in block.text.splitlines() if line.strip()]
    rules = [{"record": f"e{n}", "expr": one} for n, one in enumerate(expressions)]
    promtool("check", "rules", text=json.dumps({"groups": [{"name": "g", "rules": rules}]}))


def promtool(*arguments, text):
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(text)
        file.flush()
        ran = subprocess.run(
            [os.environ["PROMTOOL"], *arguments, file.name], capture_output=True, text=True
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def spl(block, _stage):
    for search in block.text.strip().splitlines():
        test_searches.check(search)


def conf(block, _stage):
    stanza = False
    for line in filter(str.strip, block.text.splitlines()):
        if re.fullmatch(r"\[[^\]]+\]", line):
            stanza = True
            continue
        key = re.fullmatch(r"(\w+) = \S.*", line)
        assert stanza and key and key[1] in CONF_KEYS, f"not understood: {line}"


KINDS = {"toml": toml, "json": json_, "yaml": yaml_, "promql": promql, "spl": spl, "conf": conf}
