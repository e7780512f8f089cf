"""What public data sets look like on disk, and what a ranker may know of them.

Formats as published by reczoo (`train.csv`, `valid.csv`, `test.csv`), the MMCTR challenge (`train.parquet`,
`item_info.parquet`) and RecBole (`ml-100k.inter`, `.item`, `.user`), and by the authors of sets that
exploration is judged on: KuaiRec (arXiv 2202.10842), KuaiRand (2208.08696), MicroLens (2309.15379) and
SerenLens (Fu et al., SIGIR 2023). Histories that come with the rows (`pos_items`, `item_seq`, …) are left
out: ours are joined by time, so that nobody has to trust that they hold no future.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        all_positive: whether every row is an engagement, so that there is no label column: all labels are 1.
            Interests can be learned from such a set, a ranker needs negatives.
        anonymous: whether rows have neither user nor item, only columns of an impression: all are of one user
            and one item then.
        multiline: whether a quoted value of a CSV file may hold line breaks, as people's texts do.
        features: what the ranker is told, as in `RecModel.spec.features`.
    """

    title: str
    parts: Mapping[str, str]
    columns: Mapping[str, str]
    item: Mapping[str, str] = field(default_factory=dict[str, str])
    tables: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict[str, Any])
    like: float | None = None
    typed: bool = False
    all_positive: bool = False
    anonymous: bool = False
    multiline: bool = False
    features: Mapping[str, Any] = field(default_factory=dict[str, Any])


_TRAIN_TEST: Final = {"train": "train.csv", "test": "test.csv"}
_TRAIN_VALID_TEST: Final = {"train": "train.csv", "validation": "valid.csv", "test": "test.csv"}
_CRITEO_NUMBERS: Final = [f"I{n}" for n in range(1, 14)]
_CRITEO_IDS: Final = [f"C{n}" for n in range(1, 27)]
_AVAZU_IDS: Final = [f"feat_{n}" for n in range(1, 23)]


def _same(columns: Iterable[str]) -> dict[str, str]:
    return {column: column for column in columns}


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
    "criteo": Format(
        title="Criteo_x1",
        parts=_TRAIN_VALID_TEST,
        columns=_same(["label", *_CRITEO_NUMBERS, *_CRITEO_IDS]),
        anonymous=True,
        features={
            "context": [
                *({"column": column, "type": "Numeric"} for column in _CRITEO_NUMBERS),
                *({"column": column} for column in _CRITEO_IDS),
            ]
        },
    ),
    "avazu": Format(
        title="Avazu_x1",
        parts=_TRAIN_VALID_TEST,
        columns=_same(["label", *_AVAZU_IDS]),
        anonymous=True,
        features={"context": [{"column": column} for column in _AVAZU_IDS]},
    ),
    "kuairec": Format(
        # Almost everybody saw almost everything: what a user makes of a cluster never met can be judged.
        title="KuaiRec 2.0, small matrix",
        parts={"all": "small_matrix.csv"},
        columns={
            "user_id": "user_id",
            "item_id": "video_id",
            "label": "watch_ratio",
            "timestamp": "timestamp",
        },
        tables={
            "items": (
                "kuairec_caption_category.csv",
                {
                    "item_id": "video_id",
                    "caption": "caption",
                    "category": "first_level_category_name",
                    "subcategory": "second_level_category_name",
                },
            )
        },
        # Watched twice over: its authors' own threshold for interest.
        like=2.0,
        multiline=True,
        features={"item": [{"column": "category"}, {"column": "subcategory"}]},
    ),
    "kuairand-1k": Format(
        title="KuaiRand-1K, randomly exposed videos",
        parts={"all": "log_random_4_22_to_5_08_1k.csv"},
        columns={
            "user_id": "user_id",
            "item_id": "video_id",
            "label": "is_click",
            "timestamp": "time_ms",
        },
        tables={
            "items": (
                "video_features_basic_1k.csv",
                {"item_id": "video_id", "tags": "tag", "kind": "video_type"},
            )
        },
        features={"item": [{"column": "tags", "type": "CategoricalList"}, {"column": "kind"}]},
    ),
    "microlens-100k": Format(
        title="MicroLens-100K",
        # Every pair is a comment, hence an engagement.
        parts={"all": "MicroLens-100k_pairs.csv"},
        columns={"user_id": "user", "item_id": "item", "timestamp": "timestamp"},
        all_positive=True,
    ),
    "serenlens-books": Format(
        title="SerenLens, books",
        # `serendipity` is 1 where the user's review says that the book was a serendipitous find.
        parts={"all": "SerenLens_Books.csv"},
        columns={
            "user_id": "user_id",
            "item_id": "item_id",
            "label": "rating",
            "timestamp": "timestamp",
            "serendipity": "label",
        },
        like=4.0,
        multiline=True,
    ),
}
