"""Model bundles: everything a server needs of a ranker, in one folder, known by one digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.ranking import card, retrieval
from fathom.ranking.columns import Entities, from_table, to_table
from fathom.ranking.encode import Vocabulary
from fathom.ranking.model import Ranker
from fathom.ranking.schema import Schema
from fathom.storage import appearing
from fathom_api.meta import StatusModel
from fathom_api.recmodel import Arm, RankerModel, Split, Training

FORMAT: Final = 1
INFO: Final = "bundle.json"
WEIGHTS: Final = "model.safetensors"
ITEMS: Final = "items.parquet"
USERS: Final = "users.parquet"
VOCABULARIES: Final = "vocabularies.parquet"
ROWS: Final = "training_rows.parquet"
VECTORS: Final = "item_vectors.parquet"
CARD: Final = "MODEL_CARD.md"


class BundleInfo(StatusModel):
    """What a bundle is, in `bundle.json`. No times: the same inputs and seed give the same digest."""

    format_version: int = Field(default=FORMAT, description="Of the bundle's layout.")
    created_by: str = Field(description="Program and version.")
    arm: Arm = Field(description="Captions, or which control.")
    model: RankerModel = Field(description="Architecture.")
    features: Schema = Field(description="Features in order, with their vocabularies' digests.")
    label: str = Field(description="Column that is predicted.")
    user_column: str = Field(description="Column of the user's id in the training data.")
    item_column: str = Field(description="Column of the item's id in the training data.")
    split: Split = Field(description="How test interactions were held out.")
    split_digest: str = Field(description="`sha256:` of which interaction is in which part.")
    data: dict[str, str] = Field(
        default_factory=dict[str, str], description="Digest of each table: interactions, items, users."
    )
    caption_features: dict[str, str] = Field(description="Digest of the features of each CaptionJob.")
    training: Training = Field(description="How it was trained.")
    sizes: dict[str, int] = Field(description="Users, items, parameters, interactions of each part.")
    metrics: dict[str, float] = Field(description="Best epoch: epoch, loss, validation AUC.")
    curve: list[dict[str, float]] = Field(description="The same of every epoch.")


@dataclass(frozen=True)
class Parts:
    """What a bundle holds besides its description.

    Attributes:
        weights: of `Ranker`, by name.
        items: features of all items.
        users: features of all users.
        histories: for each of `users.names`, ids of the latest liked items, latest first.
        vocabularies: `user` and `item` to feature name to ids by value.
        training_rows: hashes of (a sample of) the training interactions, sorted; see `fingerprints.sample`.
    """

    weights: dict[str, Tensor]
    items: Entities
    users: Entities
    histories: list[list[str]]
    vocabularies: dict[str, dict[str, Vocabulary]]
    training_rows: NDArray[np.uint64]


def save(folder: Path, info: BundleInfo, parts: Parts, *, made_from: dict[str, str]) -> manifest.Manifest:
    """Write a bundle; it exists once its manifest does."""
    users = to_table("user_id", parts.users, info.features.user)
    histories = pa.array(parts.histories, pa.list_(pa.string()))
    with appearing(folder / WEIGHTS) as path:
        save_file({name: tensor.contiguous() for name, tensor in sorted(parts.weights.items())}, path)
    _write_table(folder / ITEMS, to_table("item_id", parts.items, info.features.item))
    _write_table(folder / USERS, users.append_column("@history", histories))
    _write_table(folder / VOCABULARIES, _vocabulary_table(parts.vocabularies))
    _write_table(folder / ROWS, pa.table({"hash": parts.training_rows}))
    model = ranker(folder, info, parts.weights)
    if (vectors := retrieval.item_vectors(model, parts.items)) is not None:
        _write_table(folder / VECTORS, vectors)
    _write_text(folder / INFO, info.model_dump_json(by_alias=True, indent=2))
    _write_text(folder / CARD, card.render(info))
    return manifest.write(folder, "Bundle", counts=info.sizes, made_from=made_from)


def read_info(folder: Path) -> BundleInfo:
    """Return what the bundle in `folder` is.

    Raises:
        InvalidInputError: there is none, or it is of another format.
    """
    path = folder / INFO
    if not path.is_file():
        raise InvalidInputError("NotABundle", f"{folder}: no {INFO}; give the folder that fathom train wrote")
    try:
        info = BundleInfo.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInputError("NotABundle", f"{path}: cannot be understood: {error}") from error
    if info.format_version != FORMAT:
        raise InvalidInputError(
            "BundleFormat",
            f"{folder}: bundle format {info.format_version}, this version reads {FORMAT}; train it again",
        )
    return info


def read(folder: Path) -> tuple[BundleInfo, Parts, str]:
    """Return the bundle in `folder` and its digest, after checking every file against it.

    Raises:
        InvalidInputError: it is unfinished, damaged, or of another format.
    """
    digest = manifest.verify(folder).digest
    info = read_info(folder)
    users = pq.read_table(folder / USERS)
    parts = Parts(
        weights=load_file(folder / WEIGHTS),
        items=from_table("item_id", pq.read_table(folder / ITEMS), info.features.item),
        users=from_table("user_id", users, info.features.user),
        histories=users["@history"].to_pylist(),
        vocabularies=read_vocabularies(folder),
        training_rows=pq.read_table(folder / ROWS)["hash"].to_numpy(),
    )
    return info, parts, digest


def read_vocabularies(folder: Path) -> dict[str, dict[str, Vocabulary]]:
    """Return ids by value, by feature, of `user` and `item`; values of tokens are the CaptionJob's ids."""
    return _vocabularies(pq.read_table(folder / VOCABULARIES))


def ranker(folder: Path, info: BundleInfo, weights: dict[str, Tensor]) -> Ranker:
    """Return the bundle's model, ready to score.

    Raises:
        InvalidInputError: the weights are not those of the model that `bundle.json` describes.
    """
    model = Ranker(info.features, info.model)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, SafetensorError) as error:
        raise InvalidInputError("Damaged", f"{folder}: {WEIGHTS} does not fit {INFO}: {error}") from error
    return model.eval().requires_grad_(False)


def _write_table(path: Path, table: pa.Table) -> None:
    with appearing(path) as temporary:
        pq.write_table(table, temporary)


def _write_text(path: Path, text: str) -> None:
    with appearing(path) as temporary:
        temporary.write_text(text)


def _vocabulary_table(vocabularies: dict[str, dict[str, Vocabulary]]) -> pa.Table:
    rows = [
        (side, feature, value, number)
        for side, features in vocabularies.items()
        for feature, known in features.items()
        for value, number in known.items()
    ]
    schema = pa.schema({"side": pa.string(), "feature": pa.string(), "value": pa.string(), "id": pa.int32()})
    return pa.table(
        [pa.array(column, t) for column, t in zip(_columns(rows, 4), schema.types, strict=True)], schema
    )


def _columns(rows: list[Any], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _vocabularies(table: pa.Table) -> dict[str, dict[str, Vocabulary]]:
    found: dict[str, dict[str, Vocabulary]] = {"user": {}, "item": {}}
    for side, feature, value, number in zip(*(c.to_pylist() for c in table.columns), strict=True):
        found[side].setdefault(feature, {})[value] = number
    return found
