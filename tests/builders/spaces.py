"""Two embedding spaces of the same items: the new one sees classes more sharply than the old one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FROM: Final = "sha256:" + "a" * 64
TO: Final = "sha256:" + "b" * 64


@dataclass(frozen=True)
class Spaces:
    """Items' vectors, [n, 24] and [n, 48], and their classes, [n]."""

    old: NDArray[np.float32]
    new: NDArray[np.float32]
    labels: NDArray[np.int64]

    def only(self, rows: Any) -> Spaces:
        """Return the items `rows`."""
        return Spaces(self.old[rows], self.new[rows], self.labels[rows])


def make(*, classes: int = 20, each: int = 8, blur: float = 1.2, seed: int = 0) -> Spaces:
    """Return `classes` × `each` items; `blur` is what the old model adds to what the new one sees."""
    chance = np.random.default_rng(seed)
    mixing = np.random.default_rng(99)
    to_old, to_new = mixing.normal(size=(16, 24)), mixing.normal(size=(16, 48))
    labels = np.tile(np.arange(classes), each)
    seen = chance.normal(size=(classes, 16))[labels] + 0.6 * chance.normal(size=(len(labels), 16))
    blurred = seen + blur * chance.normal(size=seen.shape)
    return Spaces((blurred @ to_old).astype(np.float32), (seen @ to_new).astype(np.float32), labels)
