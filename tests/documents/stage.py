"""A machine as the pages describe one, in a folder: the agent runs between a simulated service and
a simulated Splunk, with the names and paths of the pages."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from blocks import ROOT
from elsewhere import STAND_INS, TOOLS

CERTIFICATES = ROOT / "tests" / "fixtures" / "tls"
COLLECTION = "webflows_1234567890_v0"
ADMIN = "127.0.0.1:9185"
# What of the machine's folders is the stage's.
PATHS = re.compile(
    r"(?<![\w./])/(?=etc/(?:cta-forwarder|rsyslog\.d|syslog-ng|prometheus|systemd/system)\b"
    r"|var/(?:lib|log)/cta-forwarder\b)"
)
COMMAND_SECONDS = 120
START_SECONDS = 60


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return Path(os.environ.get("CTA_FORWARDER") or Path(target) / "release" / "cta-forwarder")


class Stage:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cta-documents-"))
        self.root = self.folder / "root"
        self.work = self.folder / "work"
        self._bin = self.folder / "bin"
        self._simulator = None
        self._pid = self.folder / "agent.pid"
        for path in (
            "etc/cta-forwarder",
            "etc/rsyslog.d",
            "etc/syslog-ng/conf.d",
            "etc/prometheus",
        ):
            (self.root / path).mkdir(parents=True)
        for path in ("var/lib/cta-forwarder", "var/log/cta-forwarder"):
            (self.root / path).mkdir(parents=True, mode=0o700)
        self.work.mkdir()
        for name in (
            "packaging",
            "tests",
            "config",
            "LICENSE-APACHE",
            "Cargo.toml",
            "docs",
            "target",
        ):
            (self.work / name).symlink_to(ROOT / name)
        self._bin.mkdir()
        self._programs()

    # What runs in it.

    def start(self):
        """Starts everything; returns when Splunk has events and refused one of them."""
        self._simulator = subprocess.Popen(
            [binary(), "simulate", "--json", "--min-poll-interval", "1s", "--publish-every", "1s"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        told = json.loads(self._simulator.stdout.readline())
        fault = {"fault": "code", "code": 6, "event": 2, "times": 1}
        self._control = told["control"]["url"].rstrip("/")
        self.tell_simulator("/hec/fault", fault)
        self._configure(told)
        subprocess.run(
            [self._bin / "systemctl", "start", "cta-forwarder"], check=True, cwd=self.work
        )
        self._until(self._has_delivered, "a delivery and a dead letter")

    def stop(self):
        subprocess.run(
            [self._bin / "systemctl", "stop", "cta-forwarder"], cwd=self.work, check=False
        )
        if self._simulator:
            self._simulator.terminate()
            self._simulator.wait(10)
            self._simulator.stdout.close()
        shutil.rmtree(self.folder)

    def _configure(self, told):
        self.secret("taxii-password", told["cta"]["password"])
        self.secret("hec-token", told["hec"]["token"])
        etc, var = self.root / "etc/cta-forwarder", self.root / "var"
        self.port = free_port()
        text = f"""
[state]
directory = "{var}/lib/cta-forwarder"
min_free_disk = "1MiB"
[[service]]
name = "cta"
poll_url = "{told["cta"]["poll_url"]}"
username = "{told["cta"]["username"]}"
password = {{ file = "{etc}/taxii-password" }}
collections = ["{COLLECTION}"]
schedule = "* * * * * *"
min_poll_interval = "1s"
settle = "1s"
[[output]]
name = "splunk"
type = "splunk_hec"
endpoints = ["{told["hec"]["url"]}"]
token = {{ file = "{etc}/hec-token" }}
retry = {{ initial = "100ms", max = "1s" }}
[[output]]
name = "local"
type = "file"
path = "{var}/log/cta-forwarder/events.jsonl"
[admin]
listen = "127.0.0.1:{self.port}"
"""
        (etc / "cta-forwarder.toml").write_text(text)

    def _has_delivered(self):
        asked = self.program("status", "--json")
        if asked.returncode != 0:
            return False
        status = json.loads(asked.stdout)
        return status["spool"]["dead_letters"] > 0 and status["outputs"][0]["delivered"] > 0

    def _until(self, condition, what):
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                log = (self.folder / "agent.log").read_text()[-4000:]
                raise AssertionError(f"no {what} within {START_SECONDS} seconds\n{log}")
            time.sleep(0.2)

    def tell_simulator(self, path, body):
        """A fault, an outage or another rule of the simulated service or Splunk."""
        url = self._control + path
        request = urllib.request.Request(url, json.dumps(body).encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            pass

    # What a page asks of it.

    def program(self, *arguments):
        """The agent's command line, with the stage's configuration."""
        return self.run(" ".join(["cta-forwarder", *arguments]))

    def run(self, script):
        """A script of a page in a shell that finds the stage's programs, and no others."""
        is_ours = script.startswith("packaging/")
        environment = {
            "PATH": os.environ["PATH"] if is_ours else str(self._bin),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
        }
        environment |= {k: v for k, v in os.environ.items() if k.startswith("CARGO_TARGET_DIR")}
        return subprocess.run(
            [shutil.which("bash"), "-euo", "pipefail", "-c", self.translated(script)],
            cwd=self.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )

    def translated(self, text):
        """With the stage's folders and ports in place of the machine's."""
        text = PATHS.sub(f"{self.root}/", text)
        return text.replace(ADMIN, f"127.0.0.1:{getattr(self, 'port', 9185)}")

    def secret(self, name, text="a secret"):
        path = self.root / "etc/cta-forwarder" / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")

    def lay_out_files_of(self, text):
        """Whatever a configuration names below /etc/cta-forwarder is there."""
        for name in re.findall(rf"{self.root}/etc/cta-forwarder/([\w.-]+)", text):
            path = self.root / "etc/cta-forwarder" / name
            if path.exists():
                continue
            if path.suffix in (".pem", ".key"):
                kind = "client" if path.suffix == ".key" or "client" in name else "ca"
                shutil.copy(CERTIFICATES / f"{kind}{path.suffix}", path)
                path.chmod(0o600)
            else:
                self.secret(name)

    # Its programs.

    def _programs(self):
        for name in TOOLS:
            if found := shutil.which(name):
                (self._bin / name).symlink_to(found)
        config = self.root / "etc/cta-forwarder/cta-forwarder.toml"
        self._write(
            "cta-forwarder",
            f"""
case " $* " in *" --config "* | *" simulate "* | *" demo "* | *" --help "*) exec {binary()} "$@" ;; esac
exec {binary()} "$@" --config {config}
""",
        )
        self._write(
            "tar",
            f"""
arguments=() before=
for one in "$@"; do
    [[ $before == --directory && $one =~ ^/(var/lib|etc)?$ ]] && one={self.root}$one
    arguments+=("$one") before=$one
done
exec {shutil.which("tar")} "${{arguments[@]}}"
""",
        )
        for name, lines in STAND_INS.items():
            allowed = self._bin / f".{name}"
            allowed.write_text(
                "".join(line.replace("<root>", str(self.root)) + "\n" for line in lines)
            )
            effect = SYSTEMCTL if name == "systemctl" else ""
            self._write(
                name,
                f"""
if ! grep --fixed-strings --line-regexp --quiet -- "$*" {allowed}; then
    echo "{name} $*: not among the lines of tests/documents/elsewhere.py" >&2
    exit 64
fi
pid_file={self._pid} log={self.folder}/agent.log agent={self._bin}/cta-forwarder
{effect}""",
            )

    def _write(self, name, body):
        path = self._bin / name
        # The page's own shell finds nothing else; these are ours.
        start = f"#!{shutil.which('bash')}\nset -euo pipefail\nPATH={os.environ['PATH']}\n"
        path.write_text(start + body)
        path.chmod(0o755)


# Stops and starts the agent of the stage, by the id that it was started with.
SYSTEMCTL = """
stop() {
    [[ -s $pid_file ]] || return 0
    local pid
    pid=$(cat "$pid_file")
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    rm -f "$pid_file"
}
start() {
    [[ -s $pid_file ]] && return 0
    setsid "$agent" run >>"$log" 2>&1 </dev/null &
    echo $! >"$pid_file"
}
case "$*" in
"stop cta-forwarder" | "disable --now cta-forwarder") stop ;;
"start cta-forwarder" | "enable --now cta-forwarder") start ;;
"restart cta-forwarder") stop && start ;;
"reload cta-forwarder") kill -HUP "$(cat "$pid_file")" ;;
esac
"""


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
