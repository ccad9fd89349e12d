"""From the poll to a syslog receiver, beside a bare loop that has nothing else to do."""

import subprocess

from delivery import SERVICE
from measure import Tool, Watched, flattened, tool

PACKAGES = 5_000
FLOWS = 40

OUTPUT = """
[[output]]
name = "siem"
type = "syslog"
addresses = ["{address}"]
transport = "{transport}"
"""
TLS = """\
tls = {{ ca_file = "{certificate}" }}
server_name = "127.0.0.1"
"""


def measure(folder):
    certificate = make_certificate(folder)
    events, count = flattened(folder, 200 << 20)
    return [row(folder, transport, certificate, events, count) for transport in ("tcp", "tls", "relp")]


def row(folder, transport, certificate, events, count):
    taken = Receiver(transport, certificate, count)
    tool("send", events, "--address", taken.address, *taken.arguments)
    bare = count / taken.seconds()

    service = Tool("service", "--packages", PACKAGES, "--flows", FLOWS)
    told = service.told()
    taken = Receiver(transport, certificate, told["events"])
    config = folder / f"{transport}.toml"
    text = SERVICE.format(
        state=config.with_suffix(".state"),
        interval="1ms",
        schedule="* * * * * *",
        window="",
        lookback="30d",
        spool="2GiB",
        **told,
    )
    text += OUTPUT.format(address=taken.address, transport=transport)
    if transport == "tls":
        text += TLS.format(certificate=certificate)
    config.write_text(text)
    config.chmod(0o600)
    agent = Watched(config, config.with_suffix(".log"))
    rate = told["events"] / taken.seconds()
    agent.stop()
    service.stop()
    return (
        f"from the poll to a syslog receiver over {transport}, {told['events']:,} events",
        f"{rate:,.0f} events/s",
        f"bare loop: {bare:,.0f} events/s",
        f"{rate / bare:.2f}",
        "",
    )


class Receiver:
    """A receiver of the rig."""

    def __init__(self, transport, certificate, expect):
        self.arguments = ["--transport", transport]
        if transport == "tls":
            self.arguments += ["--certificate", certificate]
        self._tool = Tool("receiver", "--expect", expect, *self.arguments)
        self.address = self._tool.told()["address"]

    def seconds(self):
        """From the first message to the last; waits for it."""
        seconds = self._tool.told()["seconds"]
        self._tool.stop()
        return seconds


def make_certificate(folder):
    """A certificate that is its own authority, with its key in one file."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, stderr=subprocess.DEVNULL,
    )
    with open(certificate, "a", encoding="ascii") as out:
        out.write(key.read_text())
    return certificate
