"""KServe's model server around one predictor, made strict: bad input is 400, ready means ready."""

from __future__ import annotations

import logging
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
from fathom.serving.edge import Edge, refuse
from fathom.serving.endpoints import Endpoints
from fathom.serving.errors import BadRequestError
from fathom.serving.grpc import GrpcServer, Servicer
from fathom.serving.kserve import ModelRepository, RESTServer, model_server
from fathom.serving.predictor import Predictor

#: Seconds that requests in flight get after SIGTERM; Kubernetes kills after 30.
GRACE_SECONDS: Final = 20


class Server:
    """Serves `predictor` at `port`, over gRPC too if it has a port."""

    def __init__(self, predictor: Predictor, port: int, grpc_port: int = 0) -> None:
        self._predictor = predictor
        # KServe keeps one application a process and looks it up by this name.
        model_server.app = self.app = _application(predictor)
        registry = ModelRepository()
        registry.update(predictor)
        self._server = model_server.ModelServer(
            http_port=port,
            workers=1,
            registered_models=registry,
            enable_grpc=False,
            enable_latency_logging=False,
            grace_period=GRACE_SECONDS,
        )
        self._server.dataplane = StrictDataPlane(registry)
        self._server.model_repository_extension = FixedRepository(registry)
        if grpc_port:
            servicer = Servicer(predictor, self._server.dataplane, self._server.model_repository_extension)
            grpc = GrpcServer(servicer, grpc_port, GRACE_SECONDS)
            # KServe's own takes no other servicer; the model server stops what it has under this name.
            vars(self._server)["_grpc_server"] = grpc
            self._server.servers.append(grpc.start())
        for noisy in ("kserve.trace", "uvicorn.access"):
            logging.getLogger(noisy).setLevel(logging.WARNING)

    def run(self) -> None:
        """Serve until SIGTERM, then finish what is in flight."""
        self._server.start([self._predictor])

    def wired(self) -> FastAPI:
        """Return the application with KServe's routes, for callers that bring their own server."""
        server = self._server
        RESTServer(
            "", server.dataplane, server.model_repository_extension, server.http_port
        ).create_application()
        return self.app


class _Application(FastAPI):
    """KServe's application behind our edge; what we answer ourselves passes none of KServe's middleware."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(title="Fathom", docs_url=None, redoc_url=None, openapi_url=None)
        self._edge = Edge(super().__call__, Endpoints(predictor), predictor.version, predictor.metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._edge(scope, receive, send)


def _application(predictor: Predictor) -> FastAPI:
    app = _Application(predictor)
    app.add_api_route("/openapi.json", partial(_document, predictor), include_in_schema=False)
    app.add_exception_handler(BadRequestError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_exception_handler(HTTPException, _explain)
    return app


async def _document(predictor: Predictor) -> JSONResponse:
    feedback = predictor.feedback is not None
    return JSONResponse(openapi.document(predictor.name, predictor.version, predictor.features, feedback))


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
