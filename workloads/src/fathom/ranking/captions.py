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
from fathom.features.coverage import NAME as COVERAGE
from fathom.features.coverage import Coverage
from fathom.features.tables import NAME as TABLE
from fathom.features.vocabulary import FIRST, MISSING
from fathom.ranking import tables
from fathom.ranking.schema import FeatureField
from fathom.storage import digest_bytes, existing_local
from fathom_api.captioning import ASPECT
from fathom_api.recmodel import Arm, CaptionsFeature

pc: Any = pyarrow.compute


@dataclass(frozen=True)
class Captions:
    """Tokens of captioned items, as a CaptionJob left them.

    Attributes:
        feature: how they are used.
        digest: of the features.
        vocabulary: id of the vocabulary that says what the tokens mean.
        rows: item_id: string, tokens: list<int32>.
    """

    feature: CaptionsFeature
    digest: str
    vocabulary: str
    rows: pa.Table

    @property
    def name(self) -> str:
        """Name of the feature: of the aspect of a single prompt, that of its CaptionJob."""
        job, aspect = self.feature.caption_job, self.feature.aspect
        return f"captions/{job}" if aspect == ASPECT else f"captions/{job}/{aspect}"


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
    folder = existing_local(folders[job])
    sealed = manifest.verify(folder)
    aspect = folder / feature.aspect
    if not (aspect / TABLE).is_file():
        asked = sorted({name.split("/")[0] for name in sealed.files if name.endswith(f"/{TABLE}")})
        raise InvalidInputError(
            "MissingAspect",
            f"{folders[job]}: {job} has no aspect {feature.aspect}; it has {', '.join(asked) or 'none'}. "
            "Correct features.captions[].aspect",
        )
    known = Coverage.model_validate_json((aspect / COVERAGE).read_bytes())
    rows = tables.read(str(aspect / TABLE), ["item_id", "tokens"])
    return Captions(feature, sealed.digest, known.vocabulary, rows)


def tokens_of(captions: Captions, items: list[str], arm: Arm, seed: int) -> pa.Array:
    """Return the tokens [n] (list<int32>) that `arm` sees of `items`; without a caption, the missing one.

    Captions: its own. WithoutCaptions: none. ShuffledCaptions: those of another item, drawn by `seed`, so
    that the ranker gets tokens of the same frequencies that say nothing of the item.
    """
    tokens = tables.array(captions.rows, "tokens").cast(pa.list_(pa.int32()))
    if arm == "WithoutCaptions":
        return pa.array([[]] * len(items), tokens.type)
    ids = tables.array(captions.rows, "item_id").cast(pa.string())
    own = tokens.take(pc.index_in(pa.array(items, pa.string()), value_set=ids))
    own = pc.if_else(pc.is_null(own), pa.scalar([MISSING], tokens.type), own)
    if arm == "ShuffledCaptions":
        return own.take(pa.array(np.random.default_rng(seed).permutation(len(items))))
    return own


@dataclass(frozen=True)
class TokenIds:
    """Ids from FIRST on for the tokens that occur, so that a hashed vocabulary costs only what it uses."""

    tokens: np.ndarray[Any, np.dtype[np.int32]]

    @classmethod
    def of(cls, captions: Captions) -> TokenIds:
        """Take all tokens of all captions: every arm then has as many parameters."""
        flat = tables.array(captions.rows, "tokens").flatten().to_numpy(zero_copy_only=False)
        return cls(np.unique(flat[flat >= FIRST]).astype(np.int32))

    def field(self, captions: Captions) -> FeatureField:
        """Return the feature."""
        feature = captions.feature
        return FeatureField(
            name=captions.name,
            type="Tokens",
            size=FIRST + len(self.tokens),
            pooling=feature.pooling,
            vocabulary_digest=digest_bytes(captions.vocabulary.encode() + self.tokens.tobytes()),
            history=feature.user_history.max_items if feature.user_history else 0,
        )

    def vocabulary(self) -> dict[str, int]:
        """Return our id of each token, by the CaptionJob's id as text: a server meets new items."""
        return {str(token): number for number, token in enumerate(self.tokens.tolist(), start=FIRST)}

    def encode(self, tokens: pa.Array, trained: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.Array:
        """Return `tokens` [n] as ids; tokens of no item that is `trained` [n] on are left out.

        An embedding that was never trained would add noise to just the items captions should help: new ones.
        """
        flat = tokens.flatten().to_numpy(zero_copy_only=False)
        ids = np.where(flat >= FIRST, FIRST + np.searchsorted(self.tokens, flat), flat)
        parent = pc.list_parent_indices(tokens).to_numpy(zero_copy_only=False)
        known = np.zeros(FIRST + len(self.tokens), np.bool_)
        known[ids[trained[parent]]] = True
        kept = known[ids] & (ids > 0)
        lengths = np.bincount(parent[kept], minlength=len(tokens))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids[kept].astype(np.int32)))
