"""A web server that misbehaves, one way for each path."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from builders.pictures import png

PICTURE = png("red")
_STATUS = {"/404": 404, "/410": 410, "/403": 403, "/503": 503, "/429": 429}
_REDIRECTS = {
    "/to-metadata": "http://169.254.169.254/latest/meta-data/",
    "/to-file": "file:///etc/passwd",
    "/around": "/around",
    "/moved": "/ok.png",
}
#: Path → body, and a header with it.
_BODIES = {
    "/ok.png": (PICTURE, "Content-Type", "text/html"),
    "/html": (b"<!DOCTYPE html><html>please log in", "Content-Type", "image/jpeg"),
    "/bomb": (gzip.compress(bytes(200 * 2**20), 1), "Content-Encoding", "gzip"),
    "/zipped.png": (gzip.compress(PICTURE), "Content-Encoding", "gzip"),
    "/brotli": (b"\x0b\x02\x80", "Content-Encoding", "br"),
}


@dataclass
class Server:
    """Where it listens, what it was asked for, and how much of the endless answer it got rid of."""

    origin: str
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    #: Answers with 503 that come before `/later.png` is there.
    busy: int = 2
    done: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on this machine while the block lasts."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    http.told = server = Server(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.done.set()
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Server = self.server.told
        server.asked.append(self.path)
        try:
            self._answer(server)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, server: Server) -> None:
        if self.path in _REDIRECTS:
            self._say(302, b"", Location=_REDIRECTS[self.path])
        elif self.path in _STATUS:
            self._say(_STATUS[self.path], b"no")
        elif self.path in _BODIES:
            body, name, value = _BODIES[self.path]
            self._say(200, body, **{name: value})
        else:
            getattr(self, f"_{self.path.strip('/').partition('.')[0]}")(server)

    def _later(self, server: Server) -> None:
        if not server.busy:
            self._say(200, PICTURE)
            return
        server.busy -= 1
        self._say(503, b"busy", **{"Retry-After": "0"})

    def _garbage(self, server: Server) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        self.close_connection = True

    def _slow(self, server: Server) -> None:
        server.done.wait(20)

    def _cut(self, server: Server) -> None:
        self._begin(len(PICTURE) + 100)
        self.wfile.write(PICTURE)
        self.close_connection = True

    def _drip(self, server: Server) -> None:
        self._begin(10_000)
        while not server.done.wait(0.05):
            self.wfile.write(b"x")

    def _endless(self, server: Server) -> None:
        self._begin(2**50)
        while not server.done.is_set():
            server.sent += self.wfile.write(bytes(2**20))

    def _begin(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
