"""Child processes of a test: started, watched, and ended by their own id whatever happens."""

import atexit
import os
import signal
import subprocess
import time
from pathlib import Path

STOP_SECONDS = 30
POLL_SECONDS = 0.05


class Process:
    """One child process; what it prints lies in `<folder>/<name>.log`."""

    def __init__(self, name, command, folder, environment=None):
        self.name = name
        self.log_path = Path(folder) / f"{name}.log"
        self.output_path = Path(folder) / f"{name}.out"
        with open(self.log_path, "ab") as log, open(self.output_path, "ab") as output:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env=_clean_environment() | (environment or {}),
            )
        # A test that is interrupted runs no clean-up of its own.
        atexit.register(self.stop)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def output(self):
        return self.output_path.read_text(errors="replace")

    def running(self):
        return self._child.poll() is None

    def wait_until(self, condition, what, seconds=60, poll_seconds=POLL_SECONDS):
        """Waits for `condition()` to be true and returns its value; gives up when this process has
        ended, since nobody is left to make it true."""
        deadline = time.monotonic() + seconds
        while True:
            alive = self.running()
            if value := condition():
                return value
            if not alive:
                raise AssertionError(
                    f"{self.name} ended with code {self._child.returncode} before {what}"
                )
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: no {what} within {seconds} seconds")
            time.sleep(poll_seconds)

    def wait(self, seconds=STOP_SECONDS):
        """Waits for the process to end by itself and returns its exit code."""
        return self._child.wait(seconds)

    def stop(self):
        """SIGTERM, and its exit code; one that does not end is killed, which shows in the code."""
        if self.running():
            self._child.terminate()
        try:
            return self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()

    def freeze(self):
        """SIGSTOP: the process does nothing more, but the kernel goes on for it."""
        self._child.send_signal(signal.SIGSTOP)

    def kill(self):
        """SIGKILL: the process has no chance to tidy up."""
        self._child.kill()
        return self._child.wait()


def _clean_environment():
    """The surroundings without what would change where requests go or what is logged."""
    unwanted = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "journal_stream"}
    return {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in unwanted and not name.startswith(("CTA_FORWARDER", "OPENTAXII"))
    }
