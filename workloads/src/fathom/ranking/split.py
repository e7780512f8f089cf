"""Which interactions a ranker learns from, is stopped by and is judged by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking import fingerprints
from fathom.ranking.interactions import PARTS, Interactions
from fathom.ranking.stream.scratch import chunks, computed
from fathom.storage import digest_bytes
from fathom_api.recmodel import Split

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2
Parts = NDArray[np.int8]


def assign(interactions: Interactions, split: Split) -> Parts:
    """Return the part [n] of each interaction.

    Random and ItemCold draw by a hash of the interaction or item and the seed, so shares are met on average,
    equal rows share a part, and what was held out once stays held out when data are added. Time cuts at
    quantiles; rows of the same instant stay together, in the later part. Given is what the data say; where
    they name no validation, it is drawn from training as Random does.

    Raises:
        InvalidInputError: Time without a time column, or a part that lacks positives or negatives.
    """
    parts = _ASSIGN[split.strategy](interactions, split)
    for number, name in enumerate(PARTS):
        _check(name, parts, number, interactions.label, split)
    return parts


def digest(interactions: Interactions, parts: Parts) -> str:
    """Return `sha256:` of which interaction, with which label, is in which part, whatever their order.

    Each is a 128-bit fingerprint; their sum does not depend on the order, and needs no sorting.
    """
    total = np.zeros(2, np.uint64)
    for part in chunks(len(parts)):
        one = fingerprints.mix(parts[part], interactions.label[part], interactions.hashes[part])
        total += np.array([one.sum(dtype=np.uint64), fingerprints.mix(one, 1).sum(dtype=np.uint64)])
    return digest_bytes(f"{len(parts)} {total[0]} {total[1]}".encode())


def _by_hash(interactions: Interactions, split: Split) -> Parts:
    names = fingerprints.of_names(interactions.items) if split.strategy == "ItemCold" else None

    def drawn(part: slice) -> Parts:
        keys = interactions.hashes[part] if names is None else names[interactions.item[part]]
        share = fingerprints.share(fingerprints.mix(keys, split.seed))
        later = np.where(share < split.test + split.validation, VALIDATION, TRAIN)
        return np.where(share < split.test, TEST, later).astype(np.int8)

    return computed(len(interactions), np.int8, drawn)


def _by_time(interactions: Interactions, split: Split) -> Parts:
    time = interactions.time
    if time is None:
        raise InvalidInputError(
            "NoTimeColumn",
            "data.split.strategy Time needs data.timeColumn: name it, or choose Random or ItemCold",
        )
    n = len(time)
    ordered = computed(n, np.float64, lambda part: time[part])
    ordered.sort()  # in place, on disk
    shares = (1 - split.validation - split.test, 1 - split.test)
    cuts = np.array([ordered[min(int(n * share), n - 1)] for share in shares])
    return computed(n, np.int8, lambda part: np.searchsorted(cuts, time[part], side="right"))


def _as_given(interactions: Interactions, split: Split) -> Parts:
    given = interactions.given
    if given is None:
        raise InvalidInputError("NoSplitColumn", "data.split.strategy Given needs data.split.splitColumn")
    if any((given[part] == VALIDATION).any() for part in chunks(len(given))):
        return given

    def drawn(part: slice) -> Parts:
        share = fingerprints.share(fingerprints.mix(interactions.hashes[part], split.seed))
        held = (given[part] == TRAIN) & (share < split.validation)
        return np.where(held, VALIDATION, given[part]).astype(np.int8)

    return computed(len(given), np.int8, drawn)


_ASSIGN: Final[dict[str, Callable[[Interactions, Split], Parts]]] = {
    "Time": _by_time,
    "Random": _by_hash,
    "ItemCold": _by_hash,
    "Given": _as_given,
}


def describe(split: Split) -> str:
    """Return in words how a split was made."""
    shares = f"validation {split.validation:g}, test {split.test:g}, seed {split.seed}"
    return (
        f"{split.strategy} by {split.split_column}" if split.split_column else f"{split.strategy}, {shares}"
    )


def _check(name: str, parts: Parts, number: int, label: NDArray[np.float32], split: Split) -> None:
    rows = positives = 0
    for chunk in chunks(len(parts)):
        labels = label[chunk][parts[chunk] == number]
        rows, positives = rows + len(labels), positives + int(labels.sum())
    if 0 < positives < rows:
        return
    raise InvalidInputError(
        "EmptySplit",
        f"the {name} part of the {split.strategy} split has {positives} positives among {rows} rows; "
        "both classes are needed: give more data, or change data.split",
    )
