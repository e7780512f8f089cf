"""What every request passes: the version in path and answer, a limit on its size, and the counting."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fathom.serving.errors import BadRequestError

Endpoint = Callable[[Request], Awaitable[Response]]
VERSION_HEADER: Final = "x-fathom-version"
MAX_BODY_BYTES: Final = 32 << 20
#: Of all requests in flight: memory is bounded whatever clients do.
MAX_HELD_BYTES: Final = 128 << 20
_VERSIONED: Final = re.compile(r"^(?P<model>/v2/models/[^/]+)/versions/(?P<version>[^/]+)(?P<rest>/.*)?$")
_KIND: Final = "fathom_error"
_KINDS: Final = {404: "NotFound", 405: "NotAllowed", 413: "TooLarge", 503: "NotReady"}


class Routes(Protocol):
    """The requests that a server answers itself."""

    def find(self, method: str, path: str) -> Endpoint | None:
        """Return what answers a request, or None for KServe."""
        ...


class Counts(Protocol):
    """Where answers are counted."""

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Count a request."""
        ...

    def failed(self, kind: str) -> None:
        """Count an error of `kind`, one of a fixed set."""
        ...


class Edge:
    """ASGI middleware around our endpoints and KServe's application, for the model `version`."""

    def __init__(self, app: ASGIApp, endpoints: Routes, version: str, metrics: Counts) -> None:
        self._app = app
        self._endpoints = endpoints
        self._version = version
        self._metrics = metrics
        self._held = _Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, code = time.perf_counter(), HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def send_on(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                named = (VERSION_HEADER.encode(), self._version.encode())
                message = {**message, "headers": [*message.get("headers", []), named]}
            await send(message)

        scope.setdefault("state", {})
        body = _Body(receive, self._held)
        try:
            await self._answer(scope, body.receive, send_on)
        finally:
            body.release()
            self._count(scope, code, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let KServe. Neither knows versions: ours is taken out of the path, others are wrong."""
        if (found := _VERSIONED.match(scope["path"])) is not None:
            if found["version"] != self._version:
                error = BadRequestError(
                    "model_version",
                    "UnknownVersion",
                    f"{found['version']!r} is not served here, {self._version!r} is",
                )
                await refuse(Request(scope), error)(scope, receive, send)
                return
            path = found["model"] + (found["rest"] or "")
            scope = {**scope, "path": path, "raw_path": path.encode()}
        # Endpoints first: each layer of KServe's application costs as much as they do.
        endpoint = self._endpoints.find(scope["method"], scope["path"])
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except BadRequestError as error:
            response = refuse(request, error)
        except HTTPException as error:
            response = JSONResponse({"error": error.detail}, error.status_code)
        await response(scope, receive, send)

    def _count(self, scope: Scope, code: int, seconds: float) -> None:
        protocol = _protocol(scope["path"])
        if protocol is None:
            return
        self._metrics.answered(protocol, code, seconds)
        if code >= HTTPStatus.BAD_REQUEST:
            self._metrics.failed(scope["state"].get(_KIND) or _KINDS.get(code, "Internal"))


def refuse(request: Request, error: BadRequestError) -> JSONResponse:
    """Return the answer to a bad request."""
    request.scope["state"][_KIND] = error.reason
    content = {"error": str(error), "field": error.field, "reason": error.reason}
    return JSONResponse(_printable(content), HTTPStatus.BAD_REQUEST)


def _printable(content: dict[str, str]) -> dict[str, str]:
    """Return `content` with what is no Unicode, and was quoted from the request, escaped."""
    return {name: text.encode("utf-8", "backslashreplace").decode() for name, text in content.items()}


def _protocol(path: str) -> str | None:
    if path.startswith("/v1/models/") and path.endswith(":predict"):
        return "v1"
    if path.startswith("/v2/models/") and path.endswith("/infer"):
        return "v2"
    return None


class _Held:
    """Bytes of all bodies that are being read or answered."""

    def __init__(self) -> None:
        self.bytes = 0


class _Body:
    """One request's body, which fails beyond its limit and beyond that of all together."""

    def __init__(self, receive: Receive, held: _Held) -> None:
        self._receive, self._held = receive, held
        self._bytes = 0

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            HTTPException: it is too much, however its length was announced.
        """
        message = await self._receive()
        size = len(message.get("body", b""))
        self._bytes += size
        self._held.bytes += size
        if self._bytes > MAX_BODY_BYTES:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a request may have {MAX_BODY_BYTES >> 20} MiB; split it",
            )
        if self._held.bytes > MAX_HELD_BYTES:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "too many large requests at once; try again")
        return message

    def release(self) -> None:
        """Count the body no more."""
        self._held.bytes -= self._bytes
        self._bytes = 0
