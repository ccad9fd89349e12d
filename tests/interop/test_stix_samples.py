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
# A longer one is cut.
MAX_DESCRIPTION = 4000
DEFINITIONS = {"TTP", "Campaign", "Threat_Actor", "Exploit_Target", "Course_Of_Action"}
NAMES_OF_FIELDS = [["Type", "Hash"], ["Description", "Intended_Effect"]]
# A flow without a custom_name has no type of its own.
KINDS = {"objectType", "flowType", "flow"}
NO_EVENT = "packages that give no event"
CUSTOM = "elements of Custom objects outside of Custom_Properties"
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

    def test_what_feeds_send(self):
        """The golden documents: rich ones, in STIX 1.0, 1.1 and 1.2."""
        documents = []
        for path in sorted(Path("tests/golden").glob("*.xml")):
            root = etree.fromstring(path.read_bytes(), etree.XMLParser(recover=True))
            packages = root.iterfind(".//{*}STIX_Package")
            documents += [(path.name, etree.tostring(one).decode()) for one in packages]
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
            self.every_text_is_told(name, parsed(text), events, said)
            found = [event for event in events if KINDS & {*event, event["recordType"]}]
            self.assertGreaterEqual(len(found), len(objects), f"{name}: {said}\n{text}")
        print(f"{len(documents)} documents, {sum(told.values())} events: {dict(told)}")


    def every_text_is_told(self, name, root, events, said):
        """Each text is in an event, or the element that it stands in is named as not forwarded."""
        told = {folded(text) for event in events for text in texts_of(event)}
        told = told | {text for joined in told for text in joined.split("; ")}
        for element in root.iter("{*}*"):
            around = [element, *element.iterancestors()]
            named = [etree.QName(one).localname for one in around]
            # How an XPath reads says nothing of the content; the others are told by names of fields.
            if named[0] == "Controlled_Structure" or named[:2] in NAMES_OF_FIELDS:
                continue
            own = "".join([element.text or "", *(child.tail or "" for child in element)])
            missing = [text for text in map(folded, own.split("##comma##")) if text not in told | {""}]
            if missing and len(own) < MAX_DESCRIPTION:
                names = {f"{one} elements of" for one in named} | {"other elements of", CUSTOM}
                if DEFINITIONS.intersection(named):
                    names.add("that nothing names")
                is_named = any(one in said for one in names | {NO_EVENT})
                self.assertTrue(is_named, f"{name}: {missing} of {named}\n{said}\n{events}")


def texts_of(event):
    for value in event.values():
        yield from value if isinstance(value, list) else [str(value)]


def folded(text):
    return " ".join(str(text).split())


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
