"""Caption tokens of items, and what each arm of the evaluation sees of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.features.coverage import NAME as COVERAGE
from fathom.features.coverage import Coverage
from fathom.features.tables import NAME as TABLE
from fathom.features.vocabulary import FIRST, MISSING
from fathom.ranking import tables
from fathom.ranking.schema import WEIGHING, FeatureField, weights_name
from fathom.storage import digest_bytes, existing_local
from fathom_api.captioning import ASPECT
from fathom_api.recmodel import Arm, CaptionsFeature

pc: Any = pyarrow.compute
#: Column of the features with how sure the captions are of each token.
WEIGHTS: Final = "weights"


@dataclass(frozen=True)
class Captions:
    """Tokens of captioned items, as a CaptionJob left them.

    Attributes:
        feature: how they are used.
        digest: of the features.
        vocabulary: id of the vocabulary that says what the tokens mean.
        rows: item_id: string, tokens: list<int32>, and weights: list<float> if there are any that matter.
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
    return Captions(feature, sealed.digest, known.vocabulary, _rows(aspect / TABLE, feature))


def _rows(path: Path, feature: CaptionsFeature) -> pa.Table:
    weighed = feature.pooling in WEIGHING and WEIGHTS in pq.read_schema(path).names
    rows = tables.read(str(path), ["item_id", "tokens", *([WEIGHTS] if weighed else [])])
    if weighed:
        _check_weights(path, tables.array(rows, "tokens"), tables.array(rows, WEIGHTS))
    return rows


def _check_weights(path: Path, tokens: pa.Array, weights: pa.Array) -> None:
    values = weights.flatten().to_numpy(zero_copy_only=False)
    fitting = pc.all(pc.equal(pc.list_value_length(tokens), pc.list_value_length(weights))).as_py()
    if fitting is False or not ((values > 0) & (values <= 1)).all():
        raise InvalidInputError(
            "InvalidWeights",
            f"{path}: {WEIGHTS} must hold a number in (0, 1] for each token; make the features again",
        )


@dataclass(frozen=True)
class Tokens:
    """Tokens of n items.

    Attributes:
        ids: [n] list<int32>.
        weights: [n] list<float> parallel to `ids`; None: all are 1.
    """

    ids: pa.Array
    weights: pa.Array | None

    def take(self, places: pa.Array) -> Tokens:
        """Return those of the items at `places`."""
        weights = None if self.weights is None else self.weights.take(places)
        return Tokens(self.ids.take(places), weights)

    def columns(self, name: str) -> dict[str, pa.Array]:
        """Return the columns of the feature `name`, as `encode.encode` takes them."""
        return {name: self.ids} | ({weights_name(name): self.weights} if self.weights is not None else {})


def tokens_of(captions: Captions, items: list[str], arm: Arm, seed: int) -> Tokens:
    """Return the tokens that `arm` sees of `items` [n]; without a caption, the missing one.

    Captions: its own. WithoutCaptions: none. ShuffledCaptions: those of another item, drawn by `seed`, so
    that the ranker gets tokens of the same frequencies that say nothing of the item; their weights go along.
    """
    if arm == "WithoutCaptions":
        return Tokens(pa.array([[]] * len(items), pa.list_(pa.int32())), None)
    names = tables.array(captions.rows, "item_id").cast(pa.string())
    places = pc.index_in(pa.array(items, pa.string()), value_set=names)
    ids = _at(captions.rows, "tokens", pa.int32(), places, MISSING)
    weighed = WEIGHTS in captions.rows.column_names
    own = Tokens(ids, _at(captions.rows, WEIGHTS, pa.float32(), places, 1) if weighed else None)
    if arm == "ShuffledCaptions":
        return own.take(pa.array(np.random.default_rng(seed).permutation(len(items))))
    return own


def _at(rows: pa.Table, name: str, kind: pa.DataType, places: pa.Array, missing: int) -> pa.Array:
    """Return the lists at `places` [n] of the column `name`; `[missing]` where there is none."""
    found = tables.array(rows, name).cast(pa.list_(kind)).take(places)
    return pc.if_else(pc.is_null(found), pa.scalar([missing], found.type), found)


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
            half_life=feature.user_history.half_life if feature.user_history else None,
        )

    def encode(self, tokens: Tokens, trained: np.ndarray[Any, np.dtype[np.bool_]]) -> Tokens:
        """Return `tokens` [n] as ids; tokens of no item that is `trained` [n] on are left out.

        An embedding that was never trained would add noise to just the items captions should help: new ones.
        """
        flat = tokens.ids.flatten().to_numpy(zero_copy_only=False)
        ids = np.where(flat >= FIRST, FIRST + np.searchsorted(self.tokens, flat), flat)
        parent = pc.list_parent_indices(tokens.ids).to_numpy(zero_copy_only=False)
        known = np.zeros(FIRST + len(self.tokens), np.bool_)
        known[ids[trained[parent]]] = True
        kept = known[ids] & (ids > 0)
        lengths = np.bincount(parent[kept], minlength=len(tokens.ids))
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        known_ids = pa.ListArray.from_arrays(offsets, pa.array(ids[kept].astype(np.int32)))
        if tokens.weights is None:
            return Tokens(known_ids, None)
        weights = tokens.weights.flatten().filter(pa.array(kept))
        return Tokens(known_ids, pa.ListArray.from_arrays(offsets, weights))
