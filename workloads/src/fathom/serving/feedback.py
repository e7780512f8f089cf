"""Outcomes of what was ranked, posted back: AUC, normalised entropy and calibration while it is served.

Each answer has a signed id. The scores given under it are remembered for an hour, the latest few million of
them; an outcome names the id and an item. A pod remembers its own answers only: of N pods behind one Service
each finds one outcome in N, by chance, which leaves the estimates unbiased.
"""

from __future__ import annotations

import base64
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from fathom.serving.body import refusal
from fathom.serving.errors import BadRequestError
from fathom.serving.scoring import Scored

#: Key of the signatures, from a Secret that all pods share; without it each process draws its own.
ENV_KEY: Final = "FATHOM_FEEDBACK_KEY"
PATH: Final = "/v1/feedback"
SECONDS: Final = 3600.0
#: Scores remembered at most, 13 bytes each.
MAX_SCORES: Final = 2_000_000
#: Answers remembered at most, however few items each had.
MAX_ANSWERS: Final = 100_000
MAX_OUTCOMES: Final = 10_000
_ID_BYTES: Final = 12


class Outcome(BaseModel):
    """What became of one item in one answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: Annotated[StrictStr, Field(max_length=64, description="Of the answer that had the item.")]
    item_id: Annotated[StrictStr, Field(max_length=512, description="The item.")]
    label: Annotated[Literal[0, 1], Field(description="1 if what the model predicts happened.")]


class Body(BaseModel):
    """Outcomes."""

    model_config = ConfigDict(extra="ignore")

    outcomes: Annotated[list[Outcome], Field(min_length=1, max_length=MAX_OUTCOMES)]


class Counts(BaseModel):
    """What became of the outcomes posted."""

    accepted: int = Field(default=0, description="Counted.")
    forgotten: int = Field(default=0, description="Of an answer given too long ago, or by another pod.")
    unknown: int = Field(default=0, description="Of an item that the answer did not have.")
    repeated: int = Field(default=0, description="Told before; the first counts.")


@dataclass(frozen=True)
class _Answer:
    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    told: NDArray[np.bool_]
    at: float


class Feedback:
    """Remembers answers and takes outcomes; `count` is told scores and labels."""

    def __init__(
        self,
        count: Callable[[NDArray[np.float64], NDArray[np.float64]], None],
        key: bytes = b"",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count, self._clock = count, clock
        self._key = key or os.urandom(32)
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._scores = 0

    def remember(self, scored: Scored) -> str:
        """Return a signed id for an answer."""
        name = base64.urlsafe_b64encode(os.urandom(_ID_BYTES)).decode()
        items = np.fromiter(map(hash, scored.item_ids), np.int64, len(scored.item_ids))
        told = np.zeros(len(items), np.bool_)
        self._answers[name] = _Answer(items, scored.scores, told, self._clock())
        self._scores += len(items)
        self._forget()
        return f"{name}.{self._signature(name)}"

    def take(self, body: Any) -> Counts:
        """Count the outcomes in `body`, parsed as JSON.

        Raises:
            BadRequestError: it holds no outcomes, or an id that we have not signed; then none is counted.
        """
        try:
            outcomes = Body.model_validate(body).outcomes
        except ValidationError as error:
            raise refusal(error) from error
        names = [self._checked(o.request_id, f"outcomes[{n}].request_id") for n, o in enumerate(outcomes)]
        self._forget()
        counts, scores, labels = Counts(), list[float](), list[float]()
        for name, outcome in zip(names, outcomes, strict=True):
            answer = self._answers.get(name)
            if answer is None:
                counts.forgotten += 1
                continue
            places = np.flatnonzero(answer.items == hash(outcome.item_id))
            if not len(places):
                counts.unknown += 1
            elif answer.told[places[0]]:
                counts.repeated += 1
            else:
                answer.told[places] = True
                counts.accepted += 1
                scores.append(float(answer.scores[places[0]]))
                labels.append(float(outcome.label))
        if scores:
            self._count(np.array(scores), np.array(labels))
        return counts

    def _checked(self, request_id: str, field: str) -> str:
        name, _, signature = request_id.partition(".")
        if not name.isascii() or not hmac.compare_digest(
            signature.encode("utf-8", "surrogatepass"), self._signature(name).encode()
        ):
            raise BadRequestError(field, "BadSignature", "not an id that this server gave; send it unchanged")
        return name

    def _signature(self, name: str) -> str:
        digest = hmac.digest(self._key, name.encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:_ID_BYTES]).decode()

    def _forget(self) -> None:
        oldest_kept = self._clock() - SECONDS
        while self._answers:
            first = next(iter(self._answers.values()))
            if self._scores <= MAX_SCORES and len(self._answers) <= MAX_ANSWERS and first.at >= oldest_kept:
                return
            _, gone = self._answers.popitem(last=False)
            self._scores -= len(gone.items)


def remembered(feedback: Feedback | None, scored: Sequence[Scored]) -> list[str]:
    """Return an id for each answer; none where nobody wants outcomes."""
    return [] if feedback is None else [feedback.remember(one) for one in scored]
