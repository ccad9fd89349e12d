"""A real syslog-ng on loopback with one source, and what it understood of each message."""

import os
from pathlib import Path

from syslog_receiver import CERTIFICATES, SyslogReceiver

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
TLS = (
    f'tls(ca-file("{CERTIFICATES}/ca.pem") cert-file("{CERTIFICATES}/server.pem")'
    f' key-file("{CERTIFICATES}/server.key") peer-verify(required-trusted))'
)
# `network()` reads lines, by RFC 3164 unless it is told otherwise; `syslog()` reads frames of RFC
# 5424 with their length before them.
SOURCES = {
    "network": 'network(transport("tcp")',
    "network_5424": 'network(transport("tcp") flags(syslog-protocol)',
    "syslog": 'syslog(transport("tcp")',
    "syslog_tls": f'syslog(transport("tls") {TLS}',
}
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
        columns = "\\t".join(MACROS)
        source = (
            f'{SOURCES[self._transport]} ip("127.0.0.1") port({self._port.number})'
            f" so-rcvbuf({BUFFER_BYTES}) log-msg-size(65536) keep-hostname(yes) use-dns(no))"
        )
        lines = [
            "@version: 3.38",
            'options { stats-freq(0); dns-cache(no); frac-digits(3); time-zone("UTC"); };',
            f"source received {{ {source}; }};",
            f'destination file {{ file("{received}" template("{columns}\\n") flush-lines(1)); }};',
            "log { source(received); destination(file); flags(flow-control); };",
        ]
        return "\n".join(lines) + "\n"
