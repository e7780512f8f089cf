"""A model hub on localhost: as much of the Hugging Face Hub's HTTP API as fetching a snapshot needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPOSITORY = "acme/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(folder: Path) -> Generator[tuple[str, list[str]]]:
    """Serve `folder` as revision `main` of `REPOSITORY`; yield the address and the files fetched."""
    fetched: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder, fetched))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        thread.join()


def _handler(folder: Path, fetched: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == f"/api/models/{REPOSITORY}/revision/main":
                self._json(
                    {"id": REPOSITORY, "sha": COMMIT, "siblings": [{"rfilename": f} for f in _names(folder)]}
                )
            elif path == f"/api/models/{REPOSITORY}/tree/{COMMIT}":
                self._json([_entry(folder / name, name) for name in _names(folder)])
            elif path.startswith(f"/api/models/{REPOSITORY}/"):
                self._missing("RevisionNotFound")
            elif path.startswith("/api/models/"):
                self._missing("RepoNotFound")
            else:
                self._file(path)

        do_HEAD = do_GET  # noqa: N815  the server calls it by this name

        def _file(self, path: str) -> None:
            name = path.removeprefix(f"/{REPOSITORY}/resolve/{COMMIT}/")
            if name not in _names(folder):
                self._missing("EntryNotFound")
                return
            if self.command == "GET":
                fetched.append(name)
            content = (folder / name).read_bytes()
            self._answer(200, content, ETag=f'"{hashlib.sha1(content).hexdigest()}"')

        def _json(self, document: object) -> None:
            self._answer(200, json.dumps(document).encode())

        def _missing(self, code: str) -> None:
            self._answer(404, b"", **{"X-Error-Code": code})

        def _answer(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {
                "X-Repo-Commit": COMMIT,
                "Content-Length": str(len(content)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.is_file())


def _entry(file: Path, name: str) -> dict[str, object]:
    content = file.read_bytes()
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
