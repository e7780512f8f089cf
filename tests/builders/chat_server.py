"""A chat completions server on localhost that misbehaves in the ways one plans."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What the server does with a request: it gets its own handler and the request's body.
Reply = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """Passes each request to its server's plan."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen(self.path, dict(self.headers), body)(self, body)

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@dataclass
class Request:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Server(ThreadingHTTPServer):
    """Answers by `plan`, one reply a request; the last one answers all that follow."""

    daemon_threads = True

    def __init__(self, plan: list[Reply]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []
        self._plan = plan
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def seen(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Reply:
        with self._lock:
            self.requests.append(Request(path, headers, body))
            return self._plan[min(len(self.requests), len(self._plan)) - 1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients hang up on purpose."""


@contextmanager
def serving(*plan: Reply) -> Generator[Server]:
    """Serve by `plan`."""
    server = Server(list(plan))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(text: str | None, finish: str | None = "stop", **message: str) -> Reply:
    """Answer with `text`."""
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return sends({"choices": [choice], "usage": {"completion_tokens": 3}})


def sends(document: object, status: int = 200, **headers: str) -> Reply:
    """Answer with `document`: JSON, or bytes as they are."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return lambda handler, body: handler.send(status, content, **headers)


def hangs_up(handler: Handler, body: dict[str, Any]) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True
    handler.connection.close()


def dribbles(handler: Handler, body: dict[str, Any]) -> None:
    """Send an answer that never ends, a few bytes at a time."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        return


def repeats_the_key(handler: Handler, body: dict[str, Any]) -> None:
    """Refuse, and tell the key that was sent, as some servers do."""
    handler.send(401, f"wrong key: {handler.headers['Authorization']}".encode())


@dataclass
class Together:
    """Answers when `count` requests are there at once; `most` is how many there ever were."""

    count: int
    most: int = 0
    now: int = 0
    lock: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, handler: Handler, body: dict[str, Any]) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.lock.notify_all()
            self.lock.wait_for(lambda: self.most >= self.count, timeout=5)
        says("together")(handler, body)
        with self.lock:
            self.now -= 1
