"""Serves OpenTAXII on a loopback port that the system chooses, and prints the port.

OpenTAXII states its own address in discovery answers, so it must know the port before it starts:
the socket is bound first, and handed over.
"""

import os
import socket

from werkzeug.serving import make_server

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
port = listener.getsockname()[1]
os.environ["OPENTAXII_DOMAIN"] = f"127.0.0.1:{port}"

from opentaxii.http import app  # noqa: E402 -- it reads its configuration on import

server = make_server("127.0.0.1", port, app, threaded=True, fd=listener.fileno())
print(port, flush=True)
server.serve_forever()
