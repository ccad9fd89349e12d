"""An HTTP server in front of a TAXII service that passes everything on and writes it down."""

import http.client
import threading
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Headers that concern one connection, not the message.
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade"}


@dataclass(frozen=True)
class Exchange:
    """One request as it came in, and the body that answered it."""

    method: str
    path: str
    headers: Message
    body: bytes
    answer: bytes


class Recorder:
    """Listens on a loopback port that the system chooses."""

    def __init__(self, upstream):
        recorder = self
        self._upstream = urlsplit(upstream).netloc
        self._exchanges = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                recorder._pass_on(self)

            do_GET = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_POST

            def log_message(self, *_):
                """What came is in the exchanges; nobody reads the screen."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def exchanges(self):
        """What was exchanged until now."""
        return list(self._exchanges)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in OF_THE_CONNECTION
        }
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            connection.request(request.command, request.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        # Written down before it is passed on: whoever has the answer finds it here.
        self._exchanges.append(
            Exchange(request.command, request.path, request.headers, body, answer)
        )
        request.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in OF_THE_CONNECTION | {"content-length"}:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)
