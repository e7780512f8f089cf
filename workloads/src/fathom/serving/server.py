"""KServe's model server around one model, made strict: bad input is 400, ready means ready."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from fathom.serving import openapi
from fathom.serving.body import path
from fathom.serving.dataplane import FixedRepository, StrictDataPlane
from fathom.serving.edge import Counts, Edge, Routes, refuse
from fathom.serving.endpoints import Endpoints
from fathom.serving.errors import BadRequestError
from fathom.serving.grpc import GrpcServer, Servicer
from fathom.serving.kserve import Model, ModelRepository, RESTServer, model_server
from fathom.serving.predictor import Predictor

#: Seconds that requests in flight get after SIGTERM; Kubernetes kills after 30.
GRACE_SECONDS: Final = 20
Document = Callable[[], dict[str, Any]]


class HttpServer:
    """Serves `model` at `port`: `routes` are answered by them, the rest by KServe."""

    def __init__(
        self, model: Model, routes: Routes, metrics: Counts, *, version: str, about: Document, port: int
    ) -> None:
        """Take what is served; `about` makes its OpenAPI document."""
        self._model = model
        # KServe keeps one application a process and looks it up by this name.
        model_server.app = self.app = _application(routes, metrics, version, about)
        self.registry = ModelRepository()
        self.registry.update(model)
        self.server = model_server.ModelServer(
            http_port=port,
            workers=1,
            registered_models=self.registry,
            enable_grpc=False,
            enable_latency_logging=False,
            grace_period=GRACE_SECONDS,
        )
        self.server.dataplane = StrictDataPlane(self.registry)
        self.server.model_repository_extension = FixedRepository(self.registry)
        for noisy in ("kserve.trace", "uvicorn.access"):
            logging.getLogger(noisy).setLevel(logging.WARNING)

    def run(self) -> None:
        """Serve until SIGTERM, then finish what is in flight."""
        self.server.start([self._model])

    def wired(self) -> FastAPI:
        """Return the application with KServe's routes, for callers that bring their own server."""
        server = self.server
        RESTServer(
            "", server.dataplane, server.model_repository_extension, server.http_port
        ).create_application()
        return self.app


class Server(HttpServer):
    """Serves a ranker at `port`, over gRPC too if it has a port."""

    def __init__(self, predictor: Predictor, port: int, grpc_port: int = 0) -> None:
        super().__init__(
            predictor,
            Endpoints(predictor),
            predictor.metrics,
            version=predictor.version,
            about=partial(_document, predictor),
            port=port,
        )
        if grpc_port:
            servicer = Servicer(predictor, self.server.dataplane, self.server.model_repository_extension)
            grpc = GrpcServer(servicer, grpc_port, GRACE_SECONDS)
            # KServe's own takes no other servicer; the model server stops what it has under this name.
            vars(self.server)["_grpc_server"] = grpc
            self.server.servers.append(grpc.start())


class _Application(FastAPI):
    """KServe's application behind our edge; what we answer ourselves passes none of KServe's middleware."""

    def __init__(self, routes: Routes, metrics: Counts, version: str) -> None:
        super().__init__(title="Fathom", docs_url=None, redoc_url=None, openapi_url=None)
        self._edge = Edge(super().__call__, routes, version, metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._edge(scope, receive, send)


def _application(routes: Routes, metrics: Counts, version: str, about: Document) -> FastAPI:
    async def document() -> JSONResponse:
        return JSONResponse(about())

    app = _Application(routes, metrics, version)
    app.add_api_route("/openapi.json", document, include_in_schema=False)
    app.add_exception_handler(BadRequestError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_exception_handler(HTTPException, _explain)
    return app


def _document(predictor: Predictor) -> dict[str, Any]:
    feedback = predictor.feedback is not None
    return openapi.document(predictor.name, predictor.version, predictor.features, feedback)


async def _refuse(request: Request, error: Any) -> JSONResponse:
    return refuse(request, error)


async def _refuse_body(request: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    where = tuple(part for part in first["loc"] if part not in {"body", "InferenceRequest", "bytes"})
    reason = "InvalidJson" if first["type"] == "json_invalid" else "WrongType"
    field = "body" if reason == "InvalidJson" else path(where) or "body"
    return refuse(request, BadRequestError(field, reason, str(first["msg"])))


async def _explain(request: Request, error: Any) -> JSONResponse:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
