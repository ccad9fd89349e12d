"""A real syslog-ng on loopback with one source, and what it understood of each message."""

import os
import re
from pathlib import Path

from syslog_receiver import CERTIFICATES, SHIPPED, SyslogReceiver, exchanged

# The columns of `Message`.
MACROS = [
    "$FACILITY_NUM",
    "$LEVEL_NUM",
    "$S_ISODATE",
    "$HOST",
    "$PROGRAM",
    "$PID",
    "$MSGID",
    "$SDATA",
    "$MESSAGE",
]
# By name the source of the snippet and the variable with its port. `lines` reads RFC 5424 in lines,
# and RFC 3164 where its flag is taken away; the others read frames with their length before them.
SOURCES = {
    "network": ("s_cta_lines", "cta_lines_port"),
    "network_5424": ("s_cta_lines", "cta_lines_port"),
    "syslog": ("s_cta_tcp", "cta_tcp_port"),
    "syslog_tls": ("s_cta_tls", "cta_tls_port"),
}
SNIPPET = SHIPPED / "syslog-ng" / "cta-forwarder.conf"
TEMPLATE = 'template("$MESSAGE\\n")'
# What the kernel keeps for a source that does not read; by itself it grows with the traffic.
BUFFER_BYTES = 256 << 10


class SyslogNgServer(SyslogReceiver):
    """syslog-ng that reads no further than its file has room for."""

    def most_bytes_unread(self):
        # The kernel doubles what it is asked for; as much again is in the server's own hands.
        return 4 * BUFFER_BYTES

    def _command(self, received):
        root = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "interop", "syslog-ng").absolute()
        private = root / "usr" / "lib" / "syslog-ng"
        libraries = [private, *root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu")]
        configuration = received.with_suffix(".conf")
        configuration.write_text(self._configuration(received))
        command = [
            root / "usr" / "sbin" / "syslog-ng",
            "--foreground",
            "--no-caps",
            f"--cfgfile={configuration}",
            f"--module-path={next(private.glob('[0-9]*'))}",
            f"--persist-file={received.with_suffix('.persist')}",
            f"--pidfile={received.with_suffix('.pid')}",
            f"--control={received.with_suffix('.ctl')}",
        ]
        return command, {"LD_LIBRARY_PATH": ":".join(map(str, libraries)), "TZ": "UTC"}

    def _configuration(self, received):
        source, port = SOURCES[self._transport]
        variables = {
            "cta_address": "127.0.0.1",
            "cta_file": received,
            "cta_ca_file": CERTIFICATES / "ca.pem",
            "cta_cert_file": CERTIFICATES / "server.pem",
            "cta_key_file": CERTIFICATES / "server.key",
            port: self._port.number,
        }
        snippet = SNIPPET.read_text(encoding="utf-8")
        for name, value in variables.items():
            snippet = redefined(snippet, name, value)
        for other in {one for one, _ in SOURCES.values()} - {source}:
            snippet = exchanged(snippet, f"    source({other});\n", "")
        changes = {"keep-hostname(yes)": f"keep-hostname(yes) so-rcvbuf({BUFFER_BYTES})"}
        if self._transport == "network":
            changes[" flags(syslog-protocol)"] = ""
        if not self.as_shipped:
            columns = "\\t".join(MACROS)
            changes[TEMPLATE] = f'template("{columns}\\n") flush-lines(1)'
        for before, after in changes.items():
            snippet = exchanged(snippet, before, after)
        options = 'options { stats-freq(0); dns-cache(no); frac-digits(3); time-zone("UTC"); };'
        return f"@version: 3.38\n{options}\n{snippet}"


def redefined(text, name, value):
    """One of the snippet's variables with another value."""
    changed, count = re.subn(
        rf'^@define {name} ".*"$', f'@define {name} "{value}"', text, flags=re.M
    )
    if count != 1:
        raise AssertionError(f"@define {name} stands {count} times in the snippet")
    return changed
