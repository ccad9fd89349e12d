"""What came to a syslog server: a file that grows by one line a message."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Message:
    """What a server understood of one message: the columns of a line, in this order.

    The text comes last, since it may hold anything but a line feed.
    """

    facility: str
    severity: str
    time: str
    hostname: str
    app_name: str
    process_id: str
    msgid: str
    structured_data: str
    text: str


class Received:
    """The messages of one life of a server. A line that a kill has cut short is none."""

    def __init__(self, path):
        self.path = Path(path)
        self._counted = 0
        self._read_bytes = 0

    def count(self):
        """How many there are by now; each call reads only what is new."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self._read_bytes)
                while chunk := file.read(1 << 20):
                    self._counted += chunk.count(b"\n")
                    self._read_bytes += len(chunk)
        return self._counted

    def messages(self):
        return [_message(line) for line in self._complete_lines()]

    def lines(self):
        return [line.decode() for line in self._complete_lines()]

    def _complete_lines(self):
        return self.path.read_bytes().split(b"\n")[:-1] if self.path.exists() else []


def _message(line):
    line = line.decode()
    return Message(*line.split("\t", len(Message.__dataclass_fields__) - 1))
