"""A small model bundle, its weights drawn by chance: enough to serve, too little to be good."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from fathom.ranking import bundle
from fathom.ranking.architectures import ARCHITECTURES
from fathom.ranking.bundle import BundleInfo, Parts
from fathom.ranking.columns import Columns, Entities, nobody, stack
from fathom.ranking.encode import Vocabulary, encode
from fathom.ranking.model import Ranker
from fathom.ranking.schema import FIRST, ID, FeatureField, Schema
from fathom.storage import digest_bytes
from fathom_api.learning import ArchitectureName, Pooling
from fathom_api.recmodel import RankerModel, Split, Training

GENRES = ["comedy", "drama", "horror"]
JOBS = ["nurse", "student"]


def numbered(values: list[str]) -> Vocabulary:
    return {value: number for number, value in enumerate(values, start=FIRST)}


def entities(
    names: list[str], fields: list[FeatureField], known: dict[str, Vocabulary], columns: dict[str, Any]
) -> Entities:
    given: Columns = encode(fields, known, {ID: pa.array(names), **columns}, len(names))
    return Entities(names, stack(nobody(fields), given))


def make_bundle(
    folder: Path,
    *,
    items: int = 40,
    users: int = 10,
    seed: int = 0,
    dim: int = 4,
    hidden: tuple[int, ...] = (8,),
    architecture: ArchitectureName = "DCNv2",
    pooling: Pooling = "Mean",
    vocabulary: str = "words",
    tokens_each: tuple[int, int] = (1, 11),
) -> Path:
    """Write a bundle to `folder`: items `i0`…, users `u0`…, user features age, job and likes, captions.

    User u0 has liked i1, then i0; the others nothing. Captions have tokens 3 to 51 of `vocabulary`, at
    least and at most `tokens_each` an item.
    """
    draw = np.random.default_rng(seed)
    item_names, user_names = [f"i{n}" for n in range(items)], [f"u{n}" for n in range(users)]
    known = {
        "user": {ID: numbered(user_names), "job": numbered(JOBS), "likes": numbered(GENRES)},
        "item": {ID: numbered(item_names), "genre": numbered(GENRES)},
    }
    words = np.arange(3, 52, dtype=np.int32)
    known["item"]["captions/catalog"] = {str(token): token for token in words.tolist()}
    captions = FeatureField(
        name="captions/catalog",
        type="Tokens",
        size=52,
        history=5,
        pooling=pooling,
        vocabulary_digest=digest_bytes(vocabulary.encode() + words.tobytes()),
    )
    features = Schema(
        user=[
            FeatureField(name=ID, type="Categorical", size=FIRST + users),
            FeatureField(name="age", type="Numeric", mean=40, deviation=10),
            FeatureField(name="job", type="Categorical", size=FIRST + len(JOBS)),
            FeatureField(name="likes", type="CategoricalList", size=FIRST + len(GENRES)),
        ],
        item=[
            FeatureField(name=ID, type="Categorical", size=FIRST + items),
            FeatureField(name="genre", type="Categorical", size=FIRST + len(GENRES)),
            captions,
        ],
        attended=5 if ARCHITECTURES[architecture].attends else 0,
    )
    lengths = draw.integers(tokens_each[0], tokens_each[1] + 1, size=items)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    tokens = pa.array(draw.integers(FIRST, 52, size=int(lengths.sum()), dtype=np.int32))
    item_columns = {
        "genre": pa.array(draw.choice(GENRES, items)),
        "captions/catalog": pa.ListArray.from_arrays(offsets, tokens),
    }
    user_columns = {
        "age": pa.array(draw.integers(18, 80, users)),
        "job": pa.array(draw.choice(JOBS, users)),
        "likes": pa.array([[GENRES[n % 3]] for n in range(users)]),
    }
    model = RankerModel(architecture=architecture, embedding_dim=dim, hidden_units=list(hidden))
    torch.manual_seed(seed)
    ranker = Ranker(features, model)
    with torch.no_grad():
        for parameter in ranker.parameters():
            # Embeddings start near nothing: wider ones make different inputs give visibly different scores.
            parameter.normal_(0, 0.5)
    parts = Parts(
        weights=ranker.state_dict(),
        items=entities(item_names, features.item, known["item"], item_columns),
        users=entities(user_names, features.user, known["user"], user_columns),
        histories=[["i1", "i0"], *([] for _ in user_names[1:])],
        vocabularies=known,
        training_rows=np.zeros(0, np.uint64),
    )
    info = BundleInfo(
        created_by="tests",
        arm="Captions",
        model=model,
        features=features,
        label="liked",
        user_column="user_id",
        item_column="item_id",
        split=Split(),
        split_digest="sha256:0",
        caption_features={"catalog": "sha256:0"},
        training=Training(),
        sizes={"users": users, "items": items, "train": 0, "validation": 0, "test": 0, "parameters": 0},
        metrics={"epoch": 1.0, "loss": 0.7, "validation_auc": 0.5},
        curve=[],
    )
    bundle.save(folder, info, parts, made_from={})
    return folder
