"""The ranker as a KServe model: what KServe's own routes ask of it, and the scoring for all protocols."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from fathom.ranking.schema import Schema
from fathom.serving import v2
from fathom.serving.errors import BadRequestError
from fathom.serving.feedback import Feedback
from fathom.serving.kserve import PREDICT_HIST_TIME, Model, ModelNotReady
from fathom.serving.metrics import Metrics
from fathom.serving.query import Query
from fathom.serving.scoring import Scored, Scorer

_log = logging.getLogger("fathom")


class Predictor(Model):
    """Ranks items with one bundle, under one version."""

    def __init__(self, name: str, version: str, scorer: Scorer, feedback_key: bytes | None = None) -> None:
        """Take the model's name and version; with a key, empty for one of chance, outcomes are taken."""
        super().__init__(name)
        self.version = version
        self.metrics = Metrics(name, version)
        self.scorer = scorer
        self.feedback = None if feedback_key is None else Feedback(self.metrics.outcomes, feedback_key)
        self._seconds = PREDICT_HIST_TIME.labels(model_name=name)

    @property
    def features(self) -> Schema:
        """Features of users and items."""
        return self.scorer.bundle.info.features

    def load(self) -> bool:
        """Become ready, if the model really answers.

        Raises:
            InvalidInputError: it does not.
        """
        self.scorer.self_test()
        self.metrics.items(len(self.scorer.bundle.items.names))
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
        return v2.inputs(self.features)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the v2 outputs."""
        return v2.outputs()

    async def rank(self, queries: Sequence[Query]) -> list[Scored]:
        """Score `queries`.

        Raises:
            BadRequestError: their features give no score.
            ModelNotReady: it has failed, and has not answered since.
        """
        if not self.ready:
            raise ModelNotReady(self.name)
        started = time.perf_counter()
        try:
            scored = await self.scorer.score(queries)
        except BadRequestError:
            raise
        except Exception:
            # Ours to mend: not ready until a self-test has gone well again.
            self.ready = False
            raise
        self._seconds.observe(time.perf_counter() - started)
        self.metrics.scored(scored)
        return scored
