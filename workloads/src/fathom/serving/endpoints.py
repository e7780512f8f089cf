"""The requests that score, and the outcomes posted back; KServe answers the rest.

They do not pass KServe's routes: those check and write every value of a tensor in Python.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fathom.serving import tensors, v1, v2
from fathom.serving.body import parsed, written
from fathom.serving.edge import Endpoint
from fathom.serving.errors import BadRequestError
from fathom.serving.feedback import PATH, Feedback, remembered
from fathom.serving.kserve import ModelNotReady
from fathom.serving.predictor import Predictor
from fathom.serving.query import Query, is_unicode
from fathom.serving.scoring import Scored
from fathom.serving.tensors import InferRequest

HEADER_LENGTH: Final = "inference-header-content-length"


class Endpoints:
    """Answers for one model."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        name = predictor.name
        self._routes: dict[str, Endpoint] = {
            f"/v1/models/{name}:predict": self._v1,
            f"/v2/models/{name}/infer": self._v2,
        }
        if predictor.feedback is not None:
            self._routes[PATH] = partial(self._take, predictor.feedback)

    def find(self, method: str, path: str) -> Endpoint | None:
        """Return what answers a request, or None for KServe."""
        return self._routes.get(path) if method == "POST" else None

    async def _v1(self, request: Request) -> Response:
        queries = v1.read(parsed(await request.body()), self._predictor.features)
        scored = await self._rank(queries)
        ids = remembered(self._predictor.feedback, scored)
        return _json(v1.answer(scored, self._predictor.version, ids))

    async def _v2(self, request: Request) -> Response:
        asked = tensors.read(await request.body(), request.headers.get(HEADER_LENGTH))
        query = query_of(asked, self._predictor)
        scored = await self._rank([query])
        ids = remembered(self._predictor.feedback, scored)
        head = v2.answer(asked, scored[0], self._predictor.name, self._predictor.version, ids)
        if not asked.binary:
            return _json(head)
        start, rest = written(head), scored[0].scores.astype("<f4").tobytes()
        headers = {HEADER_LENGTH: str(len(start))}
        return Response(start + rest, headers=headers, media_type="application/octet-stream")

    async def _rank(self, queries: list[Query]) -> list[Scored]:
        try:
            return await self._predictor.rank(queries)
        except ModelNotReady as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    async def _take(self, feedback: Feedback, request: Request) -> Response:
        counts = feedback.take(parsed(await request.body())).model_dump()
        self._predictor.metrics.fates(counts)
        return _json(counts)


def query_of(asked: InferRequest, predictor: Predictor) -> Query:
    """Return the query of a v2 request.

    Raises:
        BadRequestError: it cannot be answered as it is.
    """
    if not is_unicode(asked.id):
        raise BadRequestError("id", "WrongType", "holds text that is not Unicode")
    v2.check_outputs(asked.outputs)
    return v2.read(asked.tensors, predictor.features)


def _json(content: Any) -> Response:
    return Response(written(content), media_type="application/json")
