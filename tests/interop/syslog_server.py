"""A real rsyslogd on loopback with one input, and what it understood of each message."""

import os
from pathlib import Path

from syslog_receiver import CERTIFICATES, SyslogReceiver

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

# TCP takes both framings, as rsyslog does by itself.
TLS_OF_TCP = (
    ' StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/name"'
    ' PermittedPeer=["client"]'
)
TLS_OF_RELP = (
    ' tls="on" tls.authMode="name" tls.permittedPeer=["client"]'
    f' tls.caCert="{CERTIFICATES}/ca.pem" tls.myCert="{CERTIFICATES}/server.pem"'
    f' tls.myPrivKey="{CERTIFICATES}/server.key"'
)
# By transport the module, what is said to it, and what is said to its input.
INPUTS = {
    "udp": ("imudp", "", ' rcvbufSize="4m"'),
    "tcp": ("imtcp", "", ""),
    "tls": ("imtcp", TLS_OF_TCP, ""),
    "relp": ("imrelp", "", ""),
    "relp_tls": ("imrelp", ' tls.tlslib="gnutls"', TLS_OF_RELP),
}


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
        module, of_module, of_input = INPUTS[self._transport]
        columns = "\\t".join(f"%{name}%" for name in PROPERTIES)
        lines = [
            "global(",
            f'  workDirectory="{self._folder}" maxMessageSize="64k" net.enableDNS="off"',
            '  parser.escapeControlCharactersOnReceive="off"',
            f'  defaultNetstreamDriverCAFile="{CERTIFICATES}/ca.pem"',
            f'  defaultNetstreamDriverCertFile="{CERTIFICATES}/server.pem"',
            f'  defaultNetstreamDriverKeyFile="{CERTIFICATES}/server.key"',
            ")",
            'main_queue(queue.type="Direct")',
            f'module(load="{module}"{of_module})',
            f'template(name="columns" type="string" string="{columns}\\n")',
            'ruleset(name="received") {',
            f'  action(type="omfile" file="{received}" template="columns")',
            "}",
            f'input(type="{module}" address="127.0.0.1" port="{self._port.number}"'
            f' ruleset="received"{of_input})',
        ]
        return "\n".join(lines) + "\n"
