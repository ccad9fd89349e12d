"""Runs the scripts `test_*.py` of this folder and says for each test what became of it.

Arguments, if any, are the names of the scripts to run.
"""

import signal
import sys
import time
import unittest
from pathlib import Path

import agent

HERE = Path(__file__).parent


def main(names):
    if not agent.binary().is_file():
        sys.exit(f"no agent at {agent.binary()}: run `cargo build --release`, or set CTA_FORWARDER")
    # As Ctrl-C: leaves by the door, so that the processes of the test that runs are stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    loader = unittest.TestLoader()
    names = names or sorted(path.stem for path in HERE.glob("test_*.py"))
    result = Result()
    loader.loadTestsFromNames(names).run(result)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.passed} passed, {failed} failed")
    # Nothing run is nothing shown.
    sys.exit(0 if result.passed and not failed else 1)


class Result(unittest.TestResult):
    """One line a test; of a failure also why, and what the processes said."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self._started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self._say("ok", test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._explain(test, self.failures)

    def addError(self, test, error):
        super().addError(test, error)
        self._explain(test, self.errors)

    def addSubTest(self, test, part, error):
        super().addSubTest(test, part, error)
        if error:
            failed = issubclass(error[0], test.failureException)
            self._explain(part, self.failures if failed else self.errors, logs_of=test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say("skipped", test, f": {reason}")

    def _explain(self, test, kind, logs_of=None):
        _, trace = kind[-1]
        self._say("FAILED", test)
        # What failed may not be a test of ours: a script that cannot be loaded, say.
        logs = getattr(logs_of or test, "logs", lambda: "")
        print(trace, logs(), sep="\n", flush=True)

    def _say(self, word, test, more=""):
        seconds = time.monotonic() - self._started
        print(f"{word:8}{test.id()} ({seconds:.1f} s){more}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("stopped")
