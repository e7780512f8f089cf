"""What public data sets look like on disk, and what a ranker may know of them.

Formats as published by reczoo (`train.csv`, `test.csv`), the MMCTR challenge (`train.parquet`,
`item_info.parquet`) and RecBole (`ml-100k.inter`, `.item`, `.user`). Histories that come with the rows
(`pos_items`, `item_seq`, …) are left out: ours are joined by time, so that nobody has to trust that they
hold no future.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Format:
    """One data set.

    Attributes:
        title: its name where it is published.
        parts: file of each part as published; without `test`, a split is made.
        columns: column of the interactions by what it becomes: user_id, item_id, label, timestamp or more.
        item: columns of the interactions that describe the item, to go to the items table, by new name.
        tables: file of the items or users, and its columns by new name.
        like: lowest value of the label column that counts as 1, if it is no 0 or 1.
        typed: whether columns carry RecBole's types (`user_id:token`).
        features: what the ranker is told, as in `RecModel.spec.features`.
    """

    title: str
    parts: Mapping[str, str]
    columns: Mapping[str, str]
    item: Mapping[str, str] = field(default_factory=dict[str, str])
    tables: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict[str, Any])
    like: float | None = None
    typed: bool = False
    features: Mapping[str, Any] = field(default_factory=dict[str, Any])


_TRAIN_TEST: Final = {"train": "train.csv", "test": "test.csv"}

FORMATS: Final[dict[str, Format]] = {
    "movielens-100k": Format(
        title="MovieLens-100K",
        parts={"all": "ml-100k.inter"},
        columns={"user_id": "user_id", "item_id": "item_id", "label": "rating", "timestamp": "timestamp"},
        tables={
            "users": (
                "ml-100k.user",
                {"user_id": "user_id", "age": "age", "gender": "gender", "occupation": "occupation"},
            ),
            "items": (
                "ml-100k.item",
                {"item_id": "item_id", "title": "movie_title", "year": "release_year", "genres": "class"},
            ),
        },
        like=4,
        typed=True,
        features={
            "user": [{"column": "age"}, {"column": "gender"}, {"column": "occupation"}],
            "item": [{"column": "year"}, {"column": "genres", "type": "CategoricalList"}],
        },
    ),
    "microlens-1m-mmctr": Format(
        title="MicroLens_1M_MMCTR",
        # Its test rows have no labels; figures are published for what it calls validation.
        parts={"train": "train.parquet", "test": "valid.parquet"},
        columns={"user_id": "user_id", "item_id": "item_id", "label": "label"},
        item={"likes_level": "likes_level", "views_level": "views_level"},
        tables={"items": ("item_info.parquet", {"item_id": "item_id", "tags": "item_tags"})},
        features={
            "item": [
                {"column": "likes_level"},
                {"column": "views_level"},
                {"column": "tags", "type": "CategoricalList"},
            ]
        },
    ),
    "kuaivideo": Format(
        title="KuaiVideo_x1",
        parts=_TRAIN_TEST,
        columns={"user_id": "user_id", "item_id": "item_id", "label": "is_click", "timestamp": "timestamp"},
    ),
    "microvideo": Format(
        title="MicroVideo1.7M_x1",
        parts=_TRAIN_TEST,
        columns={"user_id": "user_id", "item_id": "item_id", "label": "is_click", "timestamp": "timestamp"},
        item={"category": "cate_id"},
        features={"item": [{"column": "category"}]},
    ),
    "amazon-electronics": Format(
        title="AmazonElectronics_x1",
        parts=_TRAIN_TEST,
        columns={"user_id": "user_id", "item_id": "item_id", "label": "label"},
        item={"category": "cate_id"},
        features={"item": [{"column": "category"}]},
    ),
}
