"""A server on this machine whose answers may have no end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endless(BaseHTTPRequestHandler):
    """Answers that go on until the server stops or nobody listens; for handlers of `serving`."""

    def endlessly(self, data: bytes, pause: float) -> None:
        """Write `data` again and again, `pause` seconds apart."""
        try:
            while not self.server.stopped.wait(pause):  # type: ignore[attr-defined]
                self.wfile.write(data)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[Endless]) -> Iterator[ThreadingHTTPServer]:
    """Serve on a free port while the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.stopped = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.stopped.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()
