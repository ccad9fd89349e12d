"""A port that a server can leave and take again: the same one, however often it starts."""

import socket
from pathlib import Path

# States of a socket, by the kernel's numbers.
TIME_WAIT, UNCONNECTED, LISTENING = 6, 7, 10

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Port:
    """A loopback port that the system chose, `tcp` or `udp`."""

    def __init__(self, kind):
        self._kind = kind
        self._holder = socket.socket(socket.AF_INET, KINDS[kind])
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.number = self._holder.getsockname()[1]
        if kind == "udp":
            # It would get the server's datagrams.
            self._holder.close()
        # Bound, but not listening: whoever connects is refused, a server that sets SO_REUSEADDR may
        # listen, and no connection gets this number for its own end while the server is away.

    def is_taken(self):
        """Whether a server has it, asked of the kernel so that nothing is sent to it."""
        listening = LISTENING if self._kind == "tcp" else UNCONNECTED
        return any(state == listening for state, _ in self._sockets())

    def has_unread(self):
        """Whether something came that waits for being read."""
        return any(unread for _, unread in self._sockets())

    def is_idle(self):
        """Whether nobody is connected to it, and nothing that came waits for being read."""
        return not any(
            unread or state not in (LISTENING, UNCONNECTED, TIME_WAIT)
            for state, unread in self._sockets()
        )

    def _sockets(self):
        """State and bytes not read of each socket that has this port."""
        local = f"0100007F:{self.number:04X}"
        for row in Path("/proc/net", self._kind).read_text().splitlines()[1:]:
            _, address, _, state, queues, *_ = row.split()
            if address == local:
                yield int(state, 16), int(queues.split(":")[1], 16)
