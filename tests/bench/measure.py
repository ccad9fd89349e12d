"""Runs programs to their end and tells what they took."""

import json
import os
import socket
import subprocess
import sys
import threading
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CTA_FORWARDER = os.environ["CTA_FORWARDER"]
RIG = os.environ["RIG"]


@dataclass
class Took:
    """What one run took."""

    wall: float
    user: float
    system: float
    peak_kib: int

    @property
    def cpu(self):
        return self.user + self.system


def run(*command, processor=None):
    """Runs a program to its end, perhaps on one processor alone; its output is thrown away."""
    pinned = [] if processor is None else ["taskset", "--cpu-list", str(processor)]
    started = time.monotonic()
    child = subprocess.Popen(
        pinned + [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said = child.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]} failed with code {child.returncode}: {said}")
    return Took(wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss)


def alternately(rounds, *commands, processor=None):
    """Runs each of the commands so often, in turns, so that what else the machine does meets all of
    them; gives the least that each took."""
    runs = [[] for _ in commands]
    for _ in range(rounds):
        for command, taken in zip(commands, runs, strict=True):
            taken.append(run(*command, processor=processor))
    least = []
    for taken in runs:
        quickest = min(taken, key=lambda one: one.cpu)
        wall, peak = min(one.wall for one in taken), max(one.peak_kib for one in taken)
        least.append(Took(wall, quickest.user, quickest.system, peak))
    return least


class Tool:
    """A tool of the rig that runs until it is stopped, and tells lines of JSON."""

    def __init__(self, *arguments):
        self._child = subprocess.Popen(
            [RIG, *(str(argument) for argument in arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def told(self):
        """The next line that it tells; waits for it."""
        line = self._child.stdout.readline()
        if not line:
            sys.exit("a tool of the rig has ended too early")
        return json.loads(line)

    def stop(self):
        self._child.stdin.close()
        self._child.wait()

    def kill(self):
        """For one that would still wait for something."""
        self._child.kill()
        self._child.wait()


def tool(*arguments):
    """Runs a tool of the rig to its end; gives what it tells."""
    done = subprocess.run(
        [RIG, *(str(argument) for argument in arguments)], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def flattened(folder, size):
    """A file of the events of an answer of so many bytes; gives how many they are too."""
    answer, events = folder / "answer.xml", folder / "events.jsonl"
    written = tool("answer", answer, "--bytes", size)
    with open(events, "wb") as out:
        subprocess.run([CTA_FORWARDER, "flatten", answer], stdout=out, stderr=subprocess.DEVNULL, check=True)
    answer.unlink()
    return events, written["events"]


def status(config):
    """What an agent tells of itself."""
    told = subprocess.run(
        [CTA_FORWARDER, "status", "--json", "--config", config], stdout=subprocess.PIPE, check=True
    )
    return json.loads(told.stdout)


def batches(config):
    """How many batches wait."""
    return status(config)["spool"]["batches"]


@dataclass
class Figures:
    """What an agent has taken: resident memory now and at most, and processor seconds."""

    kib: int
    peak_kib: int
    cpu: float


class Watched:
    """An agent that runs, with the most memory that it had."""

    def __init__(self, config, log):
        self._log = Path(log)
        self._read = 0
        with tempfile.TemporaryDirectory(prefix="cta-forwarder-bench-") as folder:
            # It tells as it tells systemd when it is ready.
            path = str(Path(folder) / "notify")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(log, "wb") as out:
                notify.bind(path)
                self.started = time.monotonic()
                self._child = subprocess.Popen(
                    [CTA_FORWARDER, "run", "--config", str(config)],
                    stdout=out,
                    stderr=out,
                    # As the unit sets it.
                    env={**os.environ, "NOTIFY_SOCKET": path, "MALLOC_ARENA_MAX": "2"},
                )
                notify.settimeout(60)
                while b"READY=1" not in notify.recv(4096):
                    pass
                self.ready = self.age()

    def age(self):
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def wait_for_lines(self, text, count):
        """Waits until it has logged so many lines more with this text; gives them."""
        found = []
        while len(found) < count:
            with open(self._log, "rb") as log:
                log.seek(self._read)
                new = log.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read += len(whole)
            found += [line for line in whole.splitlines() if text in line]
            if not whole:
                self.check()
                time.sleep(0.002)
        return found

    def check(self):
        """That it is still there."""
        if self._child.poll() is not None:
            sys.exit(f"the agent has ended with {self._child.returncode}: see {self._log}")

    def figures(self):
        """What it has taken so far."""
        fields = {}
        with open(f"/proc/{self._child.pid}/status", encoding="ascii") as status:
            for line in status:
                key, _, value = line.partition(":")
                fields[key] = value.split()
        with open(f"/proc/{self._child.pid}/stat", encoding="ascii") as stat:
            times = stat.read().rsplit(")", 1)[1].split()
        ticks = os.sysconf("SC_CLK_TCK")
        cpu = (int(times[11]) + int(times[12])) / ticks
        return Figures(int(fields["VmRSS"][0]), int(fields["VmHWM"][0]), cpu)

    def stop(self):
        self._child.terminate()
        self._child.wait()
