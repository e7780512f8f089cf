"""How good a model is while it serves, of the outcomes posted back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Bins over the logit, from −15 to 15; two scores in one count as equal.
_BINS: Final = 4096
_EDGE: Final = 15.0


@dataclass
class Online:
    """Sums over outcomes, which add up over pods and times.

    Attributes:
        count: [2] outcomes of label 0 and 1.
        score: sum of the scores.
        log_loss: sum of −log P(label).
        bins: [2, B] outcomes of each label by score.
    """

    count: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    score: float = 0.0
    log_loss: float = 0.0
    bins: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, _BINS)))

    def add(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> None:
        """Add outcomes: scores [n] in [0, 1] and labels [n]."""
        p = np.clip(scores, 1e-7, 1 - 1e-7)
        logits = np.log(p / (1 - p))
        place = np.clip((logits + _EDGE) * (_BINS / (2 * _EDGE)), 0, _BINS - 1).astype(np.int64)
        np.add.at(self.bins, (labels.astype(np.int64), place), 1)
        self.count += [float((labels == 0).sum()), float((labels == 1).sum())]
        self.score += float(scores.sum())
        self.log_loss -= float(np.log(np.where(labels == 1, p, 1 - p)).sum())

    def auc(self) -> float:
        """Return P(score of a 1 > score of a 0), ties counting half; NaN without both."""
        zeros, ones = self.bins
        below = np.cumsum(zeros) - zeros
        pairs = self.count.prod()
        return float((ones * (below + zeros / 2)).sum() / pairs) if pairs else float("nan")

    def normalized_entropy(self) -> float:
        """Return log loss over that of the mean label (He et al., ADKDD 2014); NaN without both labels."""
        if not self.count.prod():
            return float("nan")
        share = self.count / self.count.sum()
        return float(self.log_loss / self.count.sum() / -(share * np.log(share)).sum())

    def calibration(self) -> float:
        """Return the sum of the scores over that of the labels; NaN without a 1."""
        return self.score / float(self.count[1]) if self.count[1] else float("nan")
