"""The retriever as a KServe model, and the requests that it answers itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fathom.retrieval import merging
from fathom.retrieval.merging import Hit
from fathom.retrieval.queries import Query
from fathom.retrieval.retriever import Retriever
from fathom.retrieval.serving import v1, v2
from fathom.retrieval.serving.metrics import Metrics
from fathom.serving import tensors
from fathom.serving.body import parsed, written
from fathom.serving.edge import Endpoint
from fathom.serving.kserve import PREDICT_HIST_TIME, Model

HEADER_LENGTH: Final = "inference-header-content-length"
_log = logging.getLogger("fathom")


class RetrieverModel(Model):
    """Finds items, under one version, on `cpus` threads."""

    def __init__(self, name: str, version: str, retriever: Retriever, cpus: int) -> None:
        super().__init__(name)
        self.version, self.retriever = version, retriever
        self.metrics = Metrics(name, version)
        self._pool = ThreadPoolExecutor(cpus, "retrieving")
        self._seconds = PREDICT_HIST_TIME.labels(model_name=name)

    def load(self) -> bool:
        """Become ready, if the retriever really answers.

        Raises:
            InvalidInputError: it finds nothing.
        """
        self.retriever.self_test()
        self.metrics.sizes(self.retriever.store.sizes(), self.retriever.progress)
        self.ready = True
        return True

    async def healthy(self) -> bool:
        """Return whether the retriever answers; one that has failed is tried again."""
        if not self.ready:
            try:
                await asyncio.to_thread(self.load)
            except Exception:
                _log.exception("%s does not answer", self.name)
        return self.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the v2 inputs."""
        return v2.inputs()

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the v2 outputs."""
        return v2.outputs()

    async def find(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the items for each query.

        Raises:
            HTTPException: it has failed, and has not answered since.
        """
        if not self.ready:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"{self.name} is not ready; try again")
        started = time.perf_counter()
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, self.retriever.find, queries)
        except Exception:
            # Ours to mend: not ready until a self-test has gone well again.
            self.ready = False
            raise
        self._seconds.observe(time.perf_counter() - started)
        self.metrics.found(len(queries), merging.counts(found))
        return found


class Endpoints:
    """Answers for one retriever."""

    def __init__(self, model: RetrieverModel) -> None:
        self._model = model
        self._routes: dict[str, Endpoint] = {
            f"/v1/models/{model.name}:predict": self._v1,
            f"/v2/models/{model.name}/infer": self._v2,
        }

    def find(self, method: str, path: str) -> Endpoint | None:
        """Return what answers a request, or None for KServe."""
        return self._routes.get(path) if method == "POST" else None

    async def _v1(self, request: Request) -> Response:
        model, body = self._model, parsed(await request.body())
        # Pictures are decoded, which takes a while: not where other requests wait.
        queries = await asyncio.to_thread(v1.read, body, model.retriever.known)
        found = await model.find(queries)
        return _json(v1.answer(found, model.retriever, model.version))

    async def _v2(self, request: Request) -> Response:
        model = self._model
        asked = tensors.read(await request.body(), request.headers.get(HEADER_LENGTH))
        queries = await asyncio.to_thread(v2.read, asked, model.retriever.known)
        found = await model.find(queries)
        head, rest = v2.answer(asked, found, model.retriever, model.name, model.version)
        if not asked.binary:
            return _json(head)
        start = written(head)
        headers = {HEADER_LENGTH: str(len(start))}
        return Response(start + rest, headers=headers, media_type="application/octet-stream")


def _json(content: Any) -> Response:
    return Response(written(content), media_type="application/json")
