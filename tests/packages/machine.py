"""The machine that the packages are installed on, what was built for it, and how it gets rid of them."""

import json
import os
import pwd
import grp
import shutil
import signal
import stat
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "target" / "packages"
USER = "cta-forwarder"
# Whatever the packages, the agent and docs/install.md put on a machine.
TRACES = [
    "/etc/cta-forwarder",
    "/etc/systemd/system/cta-forwarder.service.d",
    "/etc/systemd/system/multi-user.target.wants/cta-forwarder.service",
    "/etc/systemd/system/multi-user.target.wants/cta-forwarder@emea.service",
    "/var/lib/cta-forwarder",
    "/var/lib/cta-forwarder-instances",
    "/var/log/cta-forwarder",
    "/var/log/cta-forwarder-instances",
]
# And below these, what bears the name.
INSTALLED_BELOW = [
    *(f"{prefix}/{place}" for prefix in ("/usr", "/usr/local") for place in ("bin", "lib", "share")),
    "/var/lib/systemd",
]
WAIT_SECONDS = 60


def run(*command, check=True, **options):
    """A command and what it printed; one that fails is told with that."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout if check else (done.returncode, done.stdout)


def built(pattern):
    """The one package of that name that `packaging/build` has made."""
    found = sorted(PACKAGES.glob(pattern))
    if len(found) != 1:
        raise AssertionError(f"{len(found)} files {pattern} in {PACKAGES}: run packaging/build")
    return found[0]


def program():
    """The binary of the release build, for the simulator."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "cta-forwarder"


def rights(path):
    """Owner, group and mode, such as `root:root 0755`."""
    found = os.lstat(path)
    owner, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    return f"{owner}:{group} {stat.S_IMODE(found.st_mode):04o}"


def wait_until(condition, what):
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {WAIT_SECONDS} seconds")
        time.sleep(0.05)
    return value


class Ended(Exception):
    """Somebody ends the test. No SystemExit and no KeyboardInterrupt: unittest lets those pass, and
    cleans nothing up."""


def end(number, _frame):
    raise Ended(signal.Signals(number).name)


class Borrowed:
    """The machine, which gets back what it had: nothing of ours must be on it before."""

    def __enter__(self):
        # The step of a check that takes too long is ended by SIGTERM.
        self._handlers = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        # Images of containers forbid services by it.
        self._policy = Path("/usr/sbin/policy-rc.d")
        self._aside = self._policy.with_suffix(".cta-aside")
        # From a test that was killed.
        self._put_policy_back()
        here = traces()
        if os.geteuid() != 0 or here:
            raise SystemExit(
                "packages: needs root, and a machine without cta-forwarder, since it is purged at "
                f"the end; here are {here or 'none, but you are not root'}"
            )
        self._had_user = has_user()
        # Maintainer scripts ask by this whether systemd runs.
        self._systemd_runs = Path("/run/systemd/system")
        self._made = None if self._systemd_runs.exists() else self._systemd_runs
        if self._made:
            self._had_run = self._made.parent.exists()
            self._made.mkdir(parents=True)
        if self._policy.exists():
            self._policy.rename(self._aside)
        return self

    def __exit__(self, *_):
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)
        run("dpkg", "--purge", "--force-all", USER, check=False)
        # After a test that failed there is more.
        for path in traces():
            if os.path.islink(path) or os.path.isfile(path):
                os.remove(path)
            else:
                shutil.rmtree(path, ignore_errors=True)
        if has_user() and not self._had_user:
            run("userdel", USER, check=False)
        self._put_policy_back()
        if self._made:
            self._made.rmdir()
            if not self._had_run:
                self._made.parent.rmdir()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _put_policy_back(self):
        if self._aside.exists():
            self._aside.rename(self._policy)


def traces():
    """What is on the machine of us, the innermost last."""
    there = [path for path in TRACES if os.path.lexists(path)]
    below = run("find", *INSTALLED_BELOW, "-name", "*cta-forwarder*", "-prune", check=False)[1]
    return there + [line for line in below.splitlines() if line.startswith("/")]


def has_user():
    try:
        return bool(pwd.getpwnam(USER))
    except KeyError:
        return False


class Simulator:
    """A CTA service and a HEC on loopback."""

    def __init__(self):
        self._child = subprocess.Popen(
            [program(), "simulate", "--json", "--backlog", "2"]
            + ["--publish-every", "200ms", "--min-poll-interval", "100ms"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.told = json.loads(self._child.stdout.readline())

    def secrets(self):
        return {
            "taxii-password": self.told["cta"]["password"],
            "hec-token": self.told["hec"]["token"],
            "proxy-password": "none asks for it",
        }

    def events(self):
        """How many events Splunk has."""
        url = self.told["control"]["url"] + "hec/events"
        with urllib.request.urlopen(url) as answer:
            return len(json.load(answer))

    def wait_for_more_events(self):
        had = self.events()
        return wait_until(lambda: self.events() > had, "further event at Splunk")

    def close(self):
        self._child.send_signal(signal.SIGTERM)
        self._child.wait()
