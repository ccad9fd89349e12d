"""STIX as others write it: in the sources of Python packages, and by python-stix and python-cybox."""

import contextlib
import io
import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import cybox.core
import stix.core
from lxml import etree

from agent import binary
from case import InteropTest

SAMPLES = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "interop", "samples").resolve()
PACKAGE = re.compile(r"<([\w-]+:)?STIX_Package\b.*?</\1?STIX_Package>", re.DOTALL)


class StixSamples(InteropTest):
    def test_documents_in_sources(self):
        """Each one that is well-formed, in whatever file it stands."""
        documents = []
        for path in sorted(SAMPLES.rglob("*")):
            if path.suffix in {".xml", ".py", ".rst", ".txt"}:
                text = path.read_text(errors="replace")
                documents += [(path.name, found.group(0)) for found in PACKAGE.finditer(text)]
        documents = [(name, text) for name, text in documents if parsed(text) is not None]
        self.assertGreater(len(documents), 30, f"run setup: few documents in {SAMPLES}")
        self.check(documents)

    def test_what_the_examples_write(self):
        documents = []
        for path in sorted(SAMPLES.glob("stix-1*/examples/*.py")):
            documents += [(path.name, text) for text in written(path, stix.core.STIXPackage)]
        for path in sorted(SAMPLES.glob("cybox-*/examples/*_*.py")):
            for text in written(path, cybox.core.Observables):
                documents.append((path.name, f"<STIX_Package>{text}</STIX_Package>"))
        self.assertGreater(len(documents), 8, [name for name, _ in documents])
        self.check(documents)

    def check(self, documents):
        told = Counter()
        for name, text in documents:
            done = subprocess.run(
                [binary(), "flatten", "-"], input=text.encode(), capture_output=True
            )
            said = done.stderr.decode()
            self.assertEqual(done.returncode, 0, f"{name}: {said}\n{text}")
            events = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
            told.update(event["recordType"] for event in events)
            # Each Properties is an object of an observable.
            objects = [
                one for one in parsed(text).iterfind(".//{*}Properties") if one.get("idref") is None
            ]
            found = [event for event in events if "objectType" in event or "flowType" in event]
            self.assertGreaterEqual(len(found), len(objects), f"{name}: {said}\n{text}")
        print(f"{len(documents)} documents, {sum(told.values())} events: {dict(told)}")


def parsed(text):
    with contextlib.suppress(etree.XMLSyntaxError):
        return etree.fromstring(text.encode())


def written(path, kind):
    """What a script of Python 2 or 3 writes with `kind.to_xml`."""
    source = re.sub(r"^(\s*)print (?!\()(.*)$", r"\1print(\2)", path.read_text(), flags=re.MULTILINE)
    texts = []
    original = kind.to_xml

    def recorded(self, *arguments, **named):
        xml = original(self, *arguments, **named)
        texts.append(xml.decode() if isinstance(xml, bytes) else xml)
        return xml

    kind.to_xml = recorded
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception, SystemExit):
            exec(compile(source, path.name, "exec"), {"__name__": "__main__"})
    finally:
        os.chdir(before)
        kind.to_xml = original
    return texts
