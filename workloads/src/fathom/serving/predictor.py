"""The ranker as a KServe model: reads v1 and v2 requests, scores them, answers in kind."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from fathom.serving import v1, v2
from fathom.serving.errors import BadRequestError
from fathom.serving.kserve import InferOutput, InferRequest, InferResponse, Model
from fathom.serving.metrics import Metrics
from fathom.serving.query import Query, is_unicode
from fathom.serving.scoring import Scored, Scorer

_log = logging.getLogger("fathom")


@dataclass(frozen=True)
class Work:
    """A request that has been read; `source` is what it was read from where that was v2."""

    queries: list[Query]
    source: InferRequest | None


@dataclass(frozen=True)
class Done:
    """A request that has been scored."""

    work: Work
    scored: list[Scored]


class Predictor(Model):
    """Ranks items with one bundle, under one version."""

    def __init__(self, name: str, version: str, scorer: Scorer) -> None:
        super().__init__(name)
        self.version = version
        self.metrics = Metrics(name, version)
        self._scorer = scorer
        self._features = scorer.bundle.info.features

    def load(self) -> bool:
        """Become ready, if the model really answers.

        Raises:
            InvalidInputError: it does not.
        """
        self._scorer.self_test()
        self.ready = True
        return True

    async def healthy(self) -> bool:
        """Return whether the model answers; one that has failed is tried again."""
        if not self.ready:
            await self._try_again()
        return self.ready

    async def _try_again(self) -> None:
        try:
            await asyncio.to_thread(self.load)
        except Exception:
            _log.exception("%s does not answer", self.name)

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the v2 inputs."""
        return v2.inputs(self._features)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the v2 outputs."""
        return v2.outputs()

    async def preprocess(self, payload: Any, headers: Any = None) -> Any:
        """Read a request.

        Raises:
            BadRequestError: it cannot be answered as it is.
        """
        if not isinstance(payload, InferRequest):
            return Work(v1.read(payload, self._features), None)
        if not is_unicode(payload.id or ""):
            raise BadRequestError("id", "WrongType", "holds text that is not Unicode")
        v2.check_outputs([output.name for output in payload.request_outputs or []])
        return Work([v2.read(payload.inputs, self._features)], payload)

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Score it.

        Raises:
            BadRequestError: its features give no score.
        """
        work: Work = payload
        try:
            return Done(work, await self._scorer.score(work.queries))
        except BadRequestError:
            raise
        except Exception:
            # Ours to mend: not ready until a self-test has gone well again.
            self.ready = False
            raise

    async def postprocess(self, result: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Answer in the request's protocol."""
        done: Done = result
        self.metrics.scored(done.scored)
        request = done.work.source
        if request is None:
            return v1.answer(done.scored, self.version)
        scores = done.scored[0].scores
        return InferResponse(
            # KServe answers 500 to a request without id unless the response has one.
            response_id=request.id or "",
            model_name=self.name,
            model_version=self.version,
            infer_outputs=[InferOutput(v2.SCORE, [len(scores)], "FP32", scores)],
            use_binary_outputs=request.use_binary_outputs,
            requested_outputs=request.request_outputs,
        )
