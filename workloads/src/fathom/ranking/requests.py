"""What a ranker is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fathom.ranking.names import Names


@dataclass(frozen=True)
class ScoreRequest:
    """Who asks, and about what.

    Attributes:
        user_id: the user; one that the bundle does not know is scored by the rest.
        history: ids of items liked, latest first, instead of what the bundle knows.
        features: the user's features by column, instead of what the bundle knows.
        candidates: ids of items to score; None means all of `Bundle.item_ids`.
        items: features of candidates that the bundle does not know, by id.
    """

    user_id: str | None = None
    history: list[str] | None = None
    features: dict[str, Any] = field(default_factory=dict[str, Any])
    candidates: list[str] | None = None
    items: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


class Scores(NamedTuple):
    """Scores of one request.

    Attributes:
        scores: [n] P(label = 1) of each candidate.
        names: ids of all n items where the request named none; None where it did.
        unknown: candidates of which nothing is known.
        known_user: whether the bundle has features or a history of the user.
    """

    scores: NDArray[np.float32]
    names: Names | None
    unknown: int
    known_user: bool
