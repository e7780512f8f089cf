"""Which interactions a ranker learns from, is stopped by and is judged by."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking import fingerprints
from fathom.ranking.interactions import Interactions
from fathom.storage import digest_bytes
from fathom_api.recmodel import Split

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2
PARTS: Final = ("train", "validation", "test")
Parts = NDArray[np.int8]


def assign(interactions: Interactions, split: Split) -> Parts:
    """Return the part [n] of each interaction.

    Random and ItemCold draw by a hash of the interaction or item and the seed, so shares are met on average,
    equal rows share a part, and what was held out once stays held out when data are added. Time cuts at
    quantiles; rows of the same instant stay together, in the later part.

    Raises:
        InvalidInputError: Time without a time column, or a part that lacks positives or negatives.
    """
    parts = _by_time(interactions, split) if split.strategy == "Time" else _by_hash(interactions, split)
    for number, name in enumerate(PARTS):
        _check(name, interactions.label[parts == number], split)
    return parts


def digest(interactions: Interactions, parts: Parts) -> str:
    """Return `sha256:` of which interaction, with which label, is in which part, whatever their order."""
    facts = [parts.astype(np.uint64), interactions.label.astype(np.uint64), interactions.hashes]
    rows = np.stack(facts, axis=1)[np.lexsort(facts)]
    return digest_bytes(rows.tobytes())


def _by_hash(interactions: Interactions, split: Split) -> Parts:
    if split.strategy == "ItemCold":
        names = fingerprints.of_names(interactions.items)
        drawn = fingerprints.share(fingerprints.mix(names, split.seed))[interactions.item]
    else:
        drawn = fingerprints.share(fingerprints.mix(interactions.hashes, split.seed))
    later = np.where(drawn < split.test + split.validation, VALIDATION, TRAIN)
    return np.where(drawn < split.test, TEST, later).astype(np.int8)


def _by_time(interactions: Interactions, split: Split) -> Parts:
    time = interactions.time
    if time is None:
        raise InvalidInputError(
            "NoTimeColumn",
            "data.split.strategy Time needs data.timeColumn: name it, or choose Random or ItemCold",
        )
    ordered, n = np.sort(time), len(time)
    cuts = [
        ordered[min(int(n * share), n - 1)] for share in (1 - split.validation - split.test, 1 - split.test)
    ]
    return np.searchsorted(np.array(cuts), time, side="right").astype(np.int8)


def _check(name: str, labels: NDArray[np.float32], split: Split) -> None:
    positives = int(labels.sum())
    if 0 < positives < len(labels):
        return
    raise InvalidInputError(
        "EmptySplit",
        f"the {name} part of the {split.strategy} split has {positives} positives among {len(labels)} rows; "
        "both classes are needed: give more data, or change data.split",
    )
