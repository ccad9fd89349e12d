"""A real rsyslogd on loopback: one input a transport, and what it understood of each message."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from process import Process

# What rsyslog parsed, in this order; the message comes last, since it may hold anything.
PROPERTIES = [
    "protocol-version",
    "syslogfacility",
    "syslogseverity",
    "timereported:::date-rfc3339",
    "hostname",
    "app-name",
    "msgid",
    "msg",
]


@dataclass(frozen=True)
class Message:
    version: str
    facility: str
    severity: str
    time: str
    hostname: str
    app_name: str
    msgid: str
    text: str


class SyslogServer:
    """Listens on one UDP and one TCP port; TCP takes both framings, as rsyslog does by itself."""

    def __init__(self, folder, receivers):
        self._folder = Path(folder)
        root = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "interop", "rsyslog").absolute()
        libraries = next((root / "usr" / "lib").glob("*-linux-gnu"))
        self._ports = {name: _free_port(kind) for name, kind in receivers.items()}
        configuration = self._folder / "rsyslog.conf"
        configuration.write_text(self._configuration(receivers))
        self.process = Process(
            "rsyslogd",
            [
                root / "usr" / "sbin" / "rsyslogd",
                "-n",
                *("-f", configuration),
                *("-i", self._folder / "rsyslogd.pid"),
                *("-M", libraries / "rsyslog"),
            ],
            folder,
            {"LD_LIBRARY_PATH": str(libraries)},
        )
        for name, kind in receivers.items():
            self.process.wait_until(lambda: self._listens(name, kind), f"receiver for {name}")

    def address(self, name):
        return f"127.0.0.1:{self._ports[name]}"

    def messages(self, name):
        """What came over this receiver until now."""
        path = self._folder / f"{name}.received"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        return [Message(*line.split("\t", len(PROPERTIES) - 1)) for line in lines]

    def _configuration(self, receivers):
        line = "\\t".join(f"%{name}%" for name in PROPERTIES)
        lines = [
            'global(maxMessageSize="64k" net.enableDNS="off")',
            f'global(workDirectory="{self._folder}")',
            *(f'module(load="im{kind}")' for kind in sorted(set(receivers.values()))),
            f'template(name="parsed" type="string" string="{line}\\n")',
        ]
        for name, kind in receivers.items():
            lines += [
                f'ruleset(name="{name}") {{',
                f'  action(type="omfile" file="{self._folder / name}.received" template="parsed")',
                "}",
                f'input(type="im{kind}" address="127.0.0.1" port="{self._ports[name]}"'
                f' ruleset="{name}")',
            ]
        return "\n".join(lines) + "\n"

    def _listens(self, name, kind):
        """Whether the port is taken, asked of the kernel so that nothing is sent to it."""
        table = Path("/proc/net", kind).read_text().splitlines()[1:]
        local = f"0100007F:{self._ports[name]:04X}"
        return any(row.split()[1] == local for row in table)


def _free_port(kind):
    """One that was free a moment ago: rsyslog's UDP input takes no port of the system's choice."""
    family = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[kind]
    with socket.socket(socket.AF_INET, family) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
