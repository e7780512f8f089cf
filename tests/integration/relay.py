"""A way to the API server that one operator alone uses: it notes every write, and can be cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import httpx
import yaml
from integration.kube import Cluster

_HOP_BY_HOP: Final = {"connection", "transfer-encoding", "content-length", "host", "accept-encoding"}


@dataclass(frozen=True)
class Write:
    """A request that changes something, as far as we let it through."""

    method: str
    path: str
    at: float
    code: int

    @property
    def needs_no_lease(self) -> bool:
        """Return whether any replica may do it: try for the lease, label its own pod, ask about a token."""
        return "/leases" in self.path or "/pods/operator-" in self.path or self.path.endswith("reviews")


@dataclass
class Relay:
    """One operator's way to the API server."""

    kubeconfig: Path
    writes: list[Write] = field(default_factory=list[Write])
    cut: threading.Event = field(default_factory=threading.Event)

    def changes(self, since: float = 0.0) -> list[Write]:
        """Return what the operator changed after `since` that only a leader may."""
        return [each for each in self.writes if not each.needs_no_lease and each.at > since]


@contextmanager
def relay(cluster: Cluster, kubeconfig: Path) -> Generator[Relay]:
    """Run a relay; `kubeconfig` is where its kubeconfig is written."""
    out = Relay(kubeconfig)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster.http, out))
    server.daemon_threads = True
    kubeconfig.write_text(yaml.safe_dump(_config(f"http://127.0.0.1:{server.server_address[1]}")))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield out
    finally:
        out.cut.set()
        server.shutdown()
        server.server_close()


def _config(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "relay", "cluster": {"server": server}}],
        "users": [{"name": "relay", "user": {}}],
        "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "relay"}}],
        "current-context": "relay",
    }


def _handler(upstream: httpx.Client, relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            try:
                self._exchange()
            except (httpx.HTTPError, OSError):
                # One of the two sides has gone; that is what these tests do to them.
                self.close_connection = True

        def _exchange(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if relay.cut.is_set():
                self.close_connection = True
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
            timeout = httpx.Timeout(20, read=None if "watch=" in self.path else 20)
            with upstream.stream(
                self.command, self.path, content=body, headers=headers, timeout=timeout
            ) as answer:
                if self.command != "GET":
                    relay.writes.append(
                        Write(self.command, self.path.partition("?")[0], time.monotonic(), answer.status_code)
                    )
                self._answer(answer)

        def _answer(self, answer: httpx.Response) -> None:
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in answer.iter_raw():
                if relay.cut.is_set():
                    self.close_connection = True
                    return
                self._chunk(chunk)
            self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: `writes` has it."""

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815

    return Handler
