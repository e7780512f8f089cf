"""Caption tokens of items, and what each arm of the evaluation sees of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.ranking import tables
from fathom.ranking.schema import FIRST, UNKNOWN, FeatureField
from fathom.storage import digest_bytes, existing
from fathom_api.recmodel import Arm, CaptionsFeature

pc: Any = pyarrow.compute


@dataclass(frozen=True)
class Captions:
    """Tokens of captioned items, as a CaptionJob left them.

    Attributes:
        feature: how they are used.
        digest: of the features.
        rows: item_id: string, tokens: list<int32>.
    """

    feature: CaptionsFeature
    digest: str
    rows: pa.Table

    @property
    def name(self) -> str:
        """Name of the feature."""
        return f"captions/{self.feature.caption_job}"


def read(features: list[CaptionsFeature], folders: Mapping[str, str]) -> list[Captions]:
    """Return the tokens of each of `features`.

    Raises:
        InvalidInputError: a folder is not given, unfinished or damaged.
    """
    return [_read(feature, folders) for feature in features]


def _read(feature: CaptionsFeature, folders: Mapping[str, str]) -> Captions:
    job = feature.caption_job
    if job not in folders:
        raise InvalidInputError(
            "MissingFeatures",
            f"captionFeatures has no folder for {job}; it has {', '.join(folders) or 'none'}",
        )
    folder = existing(folders[job])
    sealed = manifest.verify(folder)
    rows = tables.read(str(folder / "features.parquet"), ["item_id", "tokens"])
    return Captions(feature, sealed.digest, rows)


def tokens_of(captions: Captions, items: list[str], arm: Arm, seed: int) -> pa.Array:
    """Return the tokens [n] (list<int32>) that `arm` sees of `items`; without a caption, the unknown one.

    Captions: its own. WithoutCaptions: none. ShuffledCaptions: those of another item, drawn by `seed`, so
    that the ranker gets tokens of the same frequencies that say nothing of the item.
    """
    tokens = tables.array(captions.rows, "tokens").cast(pa.list_(pa.int32()))
    if arm == "WithoutCaptions":
        return pa.array([[]] * len(items), tokens.type)
    ids = tables.array(captions.rows, "item_id").cast(pa.string())
    own = tokens.take(pc.index_in(pa.array(items, pa.string()), value_set=ids))
    own = pc.if_else(pc.is_null(own), pa.scalar([UNKNOWN], tokens.type), own)
    if arm == "ShuffledCaptions":
        return own.take(pa.array(np.random.default_rng(seed).permutation(len(items))))
    return own


@dataclass(frozen=True)
class TokenIds:
    """Ids 2, 3, … for the tokens that occur, so that a hashed vocabulary costs only what it uses."""

    tokens: np.ndarray[Any, np.dtype[np.int32]]

    @classmethod
    def of(cls, captions: Captions) -> TokenIds:
        """Take all tokens of all captions: every arm then has as many parameters."""
        flat = tables.array(captions.rows, "tokens").flatten().to_numpy(zero_copy_only=False)
        return cls(np.unique(flat[flat > UNKNOWN]).astype(np.int32))

    def field(self, captions: Captions) -> FeatureField:
        """Return the feature."""
        feature = captions.feature
        return FeatureField(
            name=captions.name,
            type="Tokens",
            size=FIRST + len(self.tokens),
            pooling=feature.pooling,
            vocabulary_digest=digest_bytes(self.tokens.tobytes()),
            history=feature.user_history.max_items if feature.user_history else 0,
        )

    def encode(self, tokens: pa.Array, trained: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.Array:
        """Return `tokens` [n] as ids; tokens of no item that is `trained` [n] on are left out.

        An embedding that was never trained would add noise to just the items captions should help: new ones.
        """
        flat = tokens.flatten().to_numpy(zero_copy_only=False)
        ids = np.where(flat > UNKNOWN, FIRST + np.searchsorted(self.tokens, flat), flat)
        parent = pc.list_parent_indices(tokens).to_numpy(zero_copy_only=False)
        known = np.zeros(FIRST + len(self.tokens), np.bool_)
        known[ids[trained[parent]]] = True
        kept = known[ids] & (ids > 0)
        lengths = np.bincount(parent[kept], minlength=len(tokens))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids[kept].astype(np.int32)))
