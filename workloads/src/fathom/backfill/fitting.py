"""Learning what merging two spaces needs, from items that both models have embedded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.backfill import arrays
from fathom.backfill.belonging import Belonging, belonging
from fathom.backfill.compatibility import Compatibility, Info
from fathom.backfill.examination import examined
from fathom.backfill.methods import METHODS, Method, Pairs, Parts, Tell
from fathom.errors import InvalidInputError

#: Fewer cannot say what a space is like.
_LEAST: Final = 32


def fit(
    method: str,
    old: NDArray[np.floating],
    new: NDArray[np.floating],
    labels: NDArray[Any] | None = None,
    *,
    from_digest: str,
    to_digest: str,
    seed: int = 0,
    validation: float = 0.2,
    progress: Tell | None = None,
) -> Compatibility:
    """Learn how the new model's queries and items live beside the old model's items.

    Args:
        method: a key of `METHODS`.
        old: the sample's vectors by the old model, [n, d_old]; of any length, cosine is what counts.
        new: the same items' by the new model, [n, d_new].
        labels: which items belong together: a class each, [n], or pairs of rows, [m, 2] (co-engagement);
            None: clusters of the new vectors, where the method needs any.
        from_digest: digest of the old model, `sha256:…`.
        to_digest: digest of the new model.
        seed: of all that is random.
        validation: share of the pairs that is kept from learning; `info.held_out` has its figures, of finding
            what has the same label, or without labels what the new model finds nearest.
        progress: called with epochs done, epochs in all, and figures.

    Raises:
        InvalidInputError: the method is unknown, or vectors or labels cannot be used.
    """
    chosen = _method(method)
    old, new = arrays.pairs(old, new)
    if not 0 <= validation < 1:
        raise InvalidInputError(
            "InvalidValidation", f"validation {validation}: must be at least 0 and below 1"
        )
    if chosen.fit is not None and len(old) < _LEAST:
        raise InvalidInputError(
            "TooFewPairs",
            f"{len(old)} pairs, but {method} needs {_LEAST} at least: raise compatibility.pairs",
        )
    learns = labels is not None or chosen.needs_belonging
    known = belonging(labels, new, seed=seed) if learns else Belonging.alone(len(new))
    training, held = parted(len(old), validation, seed)
    parts = Parts()
    if chosen.fit is not None:
        pairs = Pairs(old[training], new[training], known.only(training))
        parts = chosen.fit(pairs, seed, progress or _quiet)
    info = Info(
        method=chosen.name,
        from_digest=from_digest,
        to_digest=to_digest,
        old_width=old.shape[1],
        new_width=new.shape[1],
        old_query=chosen.old_query,
        merge=chosen.merge,
        labels=known.kind if chosen.needs_belonging else "None",
        seed=seed,
        pairs=len(training) if chosen.fit else 0,
    )
    compatibility = Compatibility(info, parts.query, parts.gallery, parts.old_gallery, parts.steps)
    if len(held) < 2:
        return compatibility
    judged_by = known.only(held) if labels is not None else None
    figures = examined(compatibility, old[held], new[held], judged_by, seed=seed).figures()
    return _with_figures(compatibility, figures)


def parted(count: int, validation: float, seed: int) -> tuple[arrays.Ints, arrays.Ints]:
    """Return the rows to learn from and the rows kept from it, both ascending."""
    order = np.random.default_rng([seed, 11]).permutation(count)
    held = round(count * validation)
    return np.sort(order[held:]).astype(np.int64), np.sort(order[:held]).astype(np.int64)


def _method(name: str) -> Method:
    if name not in METHODS:
        raise InvalidInputError("UnknownMethod", f"{name}: no such method; there are {', '.join(METHODS)}")
    return METHODS[name]


def _with_figures(compatibility: Compatibility, figures: dict[str, float]) -> Compatibility:
    return replace(compatibility, info=compatibility.info.model_copy(update={"held_out": figures}))


def _quiet(done: int, total: int, figures: dict[str, float]) -> None:
    """Tell nobody."""
