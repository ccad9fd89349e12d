"""What every interoperability test has: a folder, processes that end with it, and its logs."""

import json
import tempfile
import unittest
from itertools import zip_longest
from pathlib import Path

LOG_LINES_SHOWN = 60


class InteropTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cta-interop-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def until_stopped(self, process):
        """Has the process stopped when the test is over, however it ends."""
        self.addCleanup(process.stop)
        return process

    def logs(self):
        """The last lines of what every process said, for the report of a failure."""
        texts = []
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            texts += [f"--- {path.name} ({len(lines)} lines)", *lines[-LOG_LINES_SHOWN:]]
        return "\n".join(texts)

    def assert_same_events(self, found, expected):
        """Field by field, in order; the message names the first event that differs, and how."""
        for number, (one, other) in enumerate(zip_longest(found, expected, fillvalue={}), start=1):
            differing = [
                f"  {name}: found {one.get(name)!r}, expected {other.get(name)!r}"
                for name in sorted(one.keys() | other.keys())
                if _as_json(one.get(name)) != _as_json(other.get(name))
            ]
            if differing:
                self.fail(
                    f"{len(found)} events found, {len(expected)} expected; the first that differs "
                    f"is number {number}:\n" + "\n".join(differing)
                )


def _as_json(value):
    """Unlike Python, JSON text tells 1, 1.0 and true apart."""
    return json.dumps(value)
