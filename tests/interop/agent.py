"""The agent under test: the real binary as a real process, with a configuration of its own."""

import json
import os
import subprocess
from pathlib import Path

from process import Process
from taxii_server import COLLECTION, READER

SERVICE = "cta"


def binary():
    """`$CTA_FORWARDER`, or what `cargo build --release` leaves."""
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    return Path(os.environ.get("CTA_FORWARDER") or Path(target) / "release" / "cta-forwarder")


class Agent:
    """A configuration and a state folder, which outlive every start and stop."""

    def __init__(self, folder, poll_url, password=READER[1], service=None, outputs=(), inbox=None, admin=None):
        self._folder = Path(folder)
        self._events = self._folder / "events.jsonl"
        self._starts = 0
        self._password = self._folder / "taxii-password"
        self._config = self._folder / "cta-forwarder.toml"
        self.set_password(password)
        self._config.write_text(self._configuration(poll_url, service or {}, outputs, inbox, admin))

    def set_password(self, password):
        self._password.touch(mode=0o600)
        self._password.write_text(password + "\n")

    def start(self):
        """Starts the agent; its process has the log of this start alone."""
        self._starts += 1
        return Process(
            f"agent-{self._starts}",
            [binary(), "run", "--config", self._config],
            self._folder,
        )

    def events(self):
        """The complete lines of the `file` output as dictionaries."""
        return [read_event(line) for line in self.event_lines()]

    def event_lines(self):
        if not self._events.exists():
            return []
        return self._events.read_text(encoding="utf-8").split("\n")[:-1]

    def outputs(self):
        """What `status` tells of each output, by its name."""
        command = [binary(), "status", "--json", "--config", self._config]
        asked = subprocess.run(command, capture_output=True, text=True)
        if asked.returncode != 0:
            raise AssertionError(f"`status` ended with code {asked.returncode}: {asked.stderr}")
        return {output["name"]: output for output in json.loads(asked.stdout)["outputs"]}

    def _configuration(self, poll_url, service, outputs, inbox, admin):
        service = {
            "name": SERVICE,
            "poll_url": poll_url,
            "taxii_version": "1.1",
            "username": READER[0],
            "password": {"file": str(self._password)},
            "collections": [COLLECTION],
            "schedule": "* * * * * *",
            "min_poll_interval": "1s",
            "max_window": "3d",
            "initial_lookback": "8d",
            "retention": "30d",
            "settle": "0s",
        } | service
        service = {key: value for key, value in service.items() if value is not None}
        file = {"name": "file", "type": "file", "path": str(self._events)}
        state = {"directory": str(self._folder / "state"), "min_free_disk": "1MiB"}
        tables = [("[state]", state)]
        if poll_url or "discovery_url" in service:
            tables.append(("[[service]]", service))
        if inbox:
            tables.append(("[inbox]", inbox))
        if admin:
            tables.append(("[admin]", admin))
        tables += [("[[output]]", output) for output in (file, *outputs)]
        return "\n".join(f"{head}\n{_toml(table)}" for head, table in tables)


def read_event(text):
    """One JSON object; a name twice in it is an error, which json alone would let pass."""

    def once(pairs):
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise AssertionError(f"a field is twice in the event {text}")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


def _toml(table):
    return "".join(f"{key} = {_toml_value(value)}\n" for key, value in table.items())


def _toml_value(value):
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_toml_value(one)}" for key, one in value.items())
        return f"{{ {inner} }}"
    # For texts, whole numbers, booleans and lists of them, JSON is TOML.
    return json.dumps(value, ensure_ascii=False)
