"""A real rsyslogd on loopback with one input, and what it understood of each message."""

import os
import re
from pathlib import Path

from syslog_receiver import CERTIFICATES, SHIPPED, SyslogReceiver, exchanged, replaced

# The columns of `Message`.
PROPERTIES = [
    "syslogfacility",
    "syslogseverity",
    "timereported:::date-rfc3339",
    "hostname",
    "app-name",
    "procid",
    "msgid",
    "structured-data",
    "msg",
]

# By transport the snippet that is shipped for it.
SNIPPETS = SHIPPED / "rsyslog"
INPUTS = {
    "tcp": "20-cta-forwarder-tcp.conf",
    "tls": "20-cta-forwarder-tls.conf",
    "relp": "20-cta-forwarder-relp.conf",
    "relp_tls": "20-cta-forwarder-relp-tls.conf",
}
RULESET = "10-cta-forwarder.conf"
# What of a snippet is replaced, as whoever installs it does; each must be there.
TEMPLATE = 'string="%msg%\\n"'
FILE = 'file="/var/log/cta-forwarder-events.jsonl"'
PEER = '"cta-forwarder.example.com"'
CERTIFICATE_FOLDER = "/etc/rsyslog.d/tls/"


class SyslogServer(SyslogReceiver):
    """rsyslog without a queue: a message is in the file before the input takes the next one, and
    before RELP answers. What it has acknowledged survives its death."""

    def _command(self, received):
        root = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "interop", "rsyslog").absolute()
        libraries = next((root / "usr" / "lib").glob("*-linux-gnu"))
        configuration = received.with_suffix(".conf")
        configuration.write_text(self._configuration(received))
        command = [
            root / "usr" / "sbin" / "rsyslogd",
            "-n",
            *("-f", configuration),
            *("-i", received.with_suffix(".pid")),
            *("-M", libraries / "rsyslog"),
        ]
        # Times without a zone are read by the zone of the machine.
        return command, {"LD_LIBRARY_PATH": str(libraries), "TZ": "UTC"}

    def _configuration(self, received):
        columns = "\\t".join(f"%{name}%" for name in PROPERTIES)
        ruleset = replaced(SNIPPETS / RULESET, {FILE: f'file="{received}"'})
        if not self.as_shipped:
            ruleset = exchanged(ruleset, TEMPLATE, f'string="{columns}\\n"')
        lines = [
            # Of bodies other than JSON, and of names that are looked up, the snippets say nothing.
            f'global(workDirectory="{self._folder}" net.enableDNS="off"',
            '  parser.escapeControlCharactersOnReceive="off")',
            ruleset,
            self._input(),
        ]
        return "\n".join(lines) + "\n"

    def _input(self):
        if self._transport == "udp":
            return (
                'module(load="imudp")\n'
                f'input(type="imudp" address="127.0.0.1" port="{self._port.number}"'
                ' ruleset="cta_forwarder" rcvbufSize="4m")'
            )
        snippet = SNIPPETS / INPUTS[self._transport]
        changes = {'address="0.0.0.0"': 'address="127.0.0.1"'}
        if "tls" in self._transport:
            changes |= {PEER: '"client"', CERTIFICATE_FOLDER: f"{CERTIFICATES}/"}
        return with_port(replaced(snippet, changes), self._port.number)


def with_port(text, number):
    """The only port of a snippet is this one."""
    changed, count = re.subn(r'\bport="\d+"', f'port="{number}"', text)
    if count != 1:
        raise AssertionError(f"{count} ports in:\n{text}")
    return changed
