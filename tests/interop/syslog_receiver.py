"""What every syslog server of these tests can do: start, stop, die, and tell what came."""

from pathlib import Path

from port import Port
from process import Process
from received import Received

# A certificate for 127.0.0.1, the authority of both sides, and a client's certificate.
CERTIFICATES = Path(__file__).absolute().parent.parent / "fixtures" / "tls"
# The configuration that is shipped for receivers; what runs here is that and nothing else.
SHIPPED = Path(__file__).absolute().parent.parent.parent / "packaging"


class SyslogReceiver:
    """One server process with one input. It may live several times, on a port that stays the same;
    what came in each life is kept apart."""

    # Whether what it writes is as the shipped configuration wants it, instead of columns.
    as_shipped = False

    def __init__(self, name, folder, transport):
        self.name = name
        self.process = None
        self._folder = Path(folder)
        self._transport = transport
        self._port = Port("udp" if transport == "udp" else "tcp")
        self._lives = []

    @property
    def address(self):
        return f"127.0.0.1:{self._port.number}"

    def start(self):
        """Begins the next life; returns when it listens."""
        life = f"{self.name}-{len(self._lives) + 1}"
        self._lives.append(Received(self._folder / f"{life}.received"))
        command, environment = self._command(self._lives[-1].path)
        self.process = Process(life, command, self._folder, environment)
        self.process.wait_until(self._port.is_taken, f"receiver {self.name}")
        return self

    def stop(self):
        """Ends this life in order, if there is one, and returns the exit code."""
        return self.process and self.process.stop()

    def freeze(self):
        """Has it read no more; what is sent to it waits."""
        self.process.freeze()

    def kill(self):
        """Ends this life where it stands."""
        return self.process.kill()

    def count(self):
        """How many messages have come, in all lives."""
        return sum(life.count() for life in self._lives)

    def has_unread(self):
        """Whether something was sent to it that it has not read."""
        return self._port.has_unread()

    def is_idle(self):
        """Whether it has read whatever was sent to it, and nobody is connected."""
        return self._port.is_idle()

    def most_bytes_unread(self):
        """What its kernel may hold of a connection before the server reads it."""
        return int(Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split()[2])

    def lives(self):
        """The messages of each life."""
        return [life.messages() for life in self._lives]

    def messages(self):
        return [message for life in self.lives() for message in life]

    def lines(self):
        """What was written in all lives, as text."""
        return [line for life in self._lives for line in life.lines()]

    def _command(self, received):
        """The command that has each message written to this file as a line, and its environment."""
        raise NotImplementedError


def replaced(path, changes):
    """A shipped file with what whoever installs it changes there."""
    text = path.read_text(encoding="utf-8")
    for before, after in changes.items():
        text = exchanged(text, before, after)
    return text


def exchanged(text, before, after):
    if before not in text:
        raise AssertionError(f"{before!r} is not in what is shipped:\n{text}")
    return text.replace(before, after)
