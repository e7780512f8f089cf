"""Tables become arrays; each arm sees of the captions what it should, and is otherwise the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.worlds import ITEMS, make_features, make_world, train_task, write

from fathom.errors import InvalidInputError
from fathom.ranking import split
from fathom.ranking.columns import weights_or_ones
from fathom.ranking.model import Ranker
from fathom.ranking.prepare import Prepared, prepare
from fathom.ranking.schema import ID


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


def prepared(world: Path, **changes: Any) -> Prepared:
    return prepare(train_task(world, world / "out", **changes))


def tokens(found: Prepared) -> np.ndarray:
    """Return the items' tokens, [n + 1, L]."""
    return found.items.columns.lists[-1]


def test_features_are_in_the_order_of_the_task(world: Path) -> None:
    found = prepared(world)
    assert [f.name for f in found.features.user] == [ID, "favourite", "age"]
    assert [f.name for f in found.features.item] == [ID, "price", "tags", "captions/catalog"]
    assert found.features.history == 5


def test_interactions_point_at_the_rows_of_their_users_and_items(world: Path) -> None:
    found = prepared(world)
    events = found.interactions
    for i in range(0, len(events), 97):
        assert found.users.names[found.user[i] - 1] == events.users[events.user[i]]
        assert found.items.names[found.item[i] - 1] == events.items[events.item[i]]


def test_items_that_training_has_not_seen_are_unknown_but_keep_their_content(world: Path) -> None:
    found = prepared(world, data={"split": {"strategy": "ItemCold"}})
    trained = np.zeros(ITEMS + 1, bool)
    trained[found.item[found.parts == split.TRAIN]] = True
    ids = found.items.columns.ids[1:, 0]
    assert (ids[trained[1:]] > 1).all()
    assert (ids[~trained[1:]] == 1).all()
    assert (tokens(found)[1:][~trained[1:]] > 0).any(axis=1).all()


class TestArms:
    def test_all_have_the_same_parameters(self, world: Path) -> None:
        counts = set()
        for arm in ("Captions", "WithoutCaptions", "ShuffledCaptions"):
            task = train_task(world, world, arm=arm)
            counts.add(sum(p.numel() for p in Ranker(prepare(task).features, task.model).parameters()))
        assert len(counts) == 1

    def test_without_captions_sees_no_token(self, world: Path) -> None:
        assert not tokens(prepared(world, arm="WithoutCaptions")).any()

    def test_shuffled_captions_sees_the_same_lists_of_tokens_at_other_items(self, world: Path) -> None:
        own, shuffled = tokens(prepared(world)), tokens(prepared(world, arm="ShuffledCaptions"))
        assert sorted(map(tuple, own)) == sorted(map(tuple, shuffled))
        assert (own != shuffled).any(axis=1).mean() > 0.5

    def test_they_differ_in_nothing_else(self, world: Path) -> None:
        one, other = prepared(world), prepared(world, arm="ShuffledCaptions")
        assert (one.items.columns.ids == other.items.columns.ids).all()
        assert (one.parts == other.parts).all()
        assert (one.histories.end == other.histories.end).all()


class TestCaptions:
    def test_an_item_without_a_caption_has_the_missing_token(self, tmp_path: Path) -> None:
        world = make_world(tmp_path)
        make_features(world / "features", {str(i): [3 + i % 3] for i in range(20)})
        found = prepared(world)
        row = found.items.names.index("33") + 1
        assert tokens(found)[row].tolist() == [2]

    def test_tokens_that_no_training_item_has_are_left_out(self, tmp_path: Path) -> None:
        world = make_world(tmp_path)
        make_features(world / "features", {str(i): [3, 4] for i in range(ITEMS)} | {"new": [3, 900]})
        found = prepared(world)
        assert found.items.columns.ids[found.items.names.index("new") + 1, 0] == 1
        assert tokens(found)[found.items.names.index("new") + 1].tolist() == [3, 0]

    def test_a_large_hashed_vocabulary_costs_only_what_it_uses(self, tmp_path: Path) -> None:
        world = make_world(tmp_path)
        make_features(world / "features", {str(i): [10_000_000 + i % 4] for i in range(ITEMS)})
        assert prepared(world).features.item[-1].size == 7

    def test_two_aspects_of_one_job_are_two_features(self, tmp_path: Path) -> None:
        world = make_world(tmp_path)
        make_features(world / "features", {str(i): [3 + i % 2] for i in range(ITEMS)}, aspect="mood")
        both = [{"captionJob": "catalog"}, {"captionJob": "catalog", "aspect": "mood"}]
        found = prepared(world, features={"captions": both})
        assert [field.name for field in found.features.item] == [
            "@id",
            "captions/catalog",
            "captions/catalog/mood",
        ]
        assert found.features.item[-1].size == 5


def weighted(pooling: str = "Weighted", **changes: Any) -> dict[str, Any]:
    return {"features": {"captions": [{"captionJob": "catalog", "pooling": pooling}]}} | changes


class TestWeights:
    @pytest.fixture
    def sure(self, tmp_path: Path) -> Path:
        """Return a world whose item i has token 3 for sure and token 4 by i / 40; item 0 has only 3."""
        world = make_world(tmp_path)
        tokens = {"0": [3]} | {str(i): [3, 4] for i in range(1, ITEMS)}
        weights = {"0": [1.0]} | {str(i): [1.0, i / 40] for i in range(1, ITEMS)}
        make_features(world / "features", tokens, weights=weights)
        return world

    def test_each_token_keeps_its_weight(self, sure: Path) -> None:
        found = prepared(sure, **weighted())
        weights = found.items.columns.weights[-1]
        assert weights is not None
        rows = [found.items.names.index(name) + 1 for name in ("0", "10", "30")]
        assert weights[rows].tolist() == [[1, 0], [1, 0.25], [1, 0.75]]
        assert ((weights > 0) == (tokens(found) > 0)).all()

    def test_shuffling_moves_tokens_and_weights_together(self, sure: Path) -> None:
        own, shuffled = (prepared(sure, **weighted(arm=a)) for a in ("Captions", "ShuffledCaptions"))
        pairs = [np.dstack([tokens(p), weights_or_ones(p.items.columns, -1)]) for p in (own, shuffled)]
        rows = [sorted(map(str, p.tolist())) for p in pairs]
        assert rows[0] == rows[1]
        assert (pairs[0] != pairs[1]).any(axis=(1, 2)).mean() > 0.5

    def test_an_item_without_a_caption_has_the_missing_token_for_sure(self, tmp_path: Path) -> None:
        world = make_world(tmp_path)
        make_features(world / "features", {"1": [3, 4]}, weights={"1": [0.5, 0.25]})
        found = prepared(world, **weighted())
        at = found.items.names.index("7") + 1
        weights = found.items.columns.weights[-1]
        assert weights is not None
        assert (tokens(found)[at].tolist(), weights[at].tolist()) == ([2, 0], [1, 0])

    @pytest.mark.parametrize("pooling", ["Mean", "Sum"])
    def test_poolings_that_take_no_notice_keep_none(self, sure: Path, pooling: str) -> None:
        assert prepared(sure, **weighted(pooling)).items.columns.weights[-1] is None

    def test_weights_that_are_all_1_are_not_kept(self, tmp_path: Path) -> None:
        world = make_world(tmp_path)
        some = {str(i): [3] for i in range(ITEMS)}
        make_features(world / "features", some, weights={item: [1.0] for item in some})
        assert prepared(world, **weighted()).items.columns.weights[-1] is None

    @pytest.mark.parametrize(
        "weights",
        [
            pytest.param([0.5, 0.0], id="of nothing"),
            pytest.param([0.5, 1.5], id="above 1"),
            pytest.param([0.5, float("nan")], id="that are no number"),
            pytest.param([0.5], id="for some tokens only"),
        ],
    )
    def test_weights_that_cannot_be_are_refused(self, tmp_path: Path, weights: list[float]) -> None:
        world = make_world(tmp_path)
        make_features(world / "features", {"1": [3, 4]}, weights={"1": weights})
        with pytest.raises(InvalidInputError, match=r"a number in \(0, 1\] for each token"):
            prepared(world, **weighted())


def unsealed(world: Path) -> None:
    (world / "features" / "_manifest.json").unlink()


def damaged(world: Path) -> None:
    write(world / "features/caption/features.parquet", {"item_id": ["1"], "tokens": [[2]]})


@pytest.mark.parametrize(
    ("changes", "harm", "complaint"),
    [
        pytest.param(
            {"features": {"item": [{"column": "colour"}]}, "captions": False},
            None,
            "no column 'colour'; it has 'item_id', 'price', 'tags'",
            id="a feature that is no column",
        ),
        pytest.param(
            {"data": {"items": None}},
            None,
            "features name items' column 'price', but data.items",
            id="features without a table",
        ),
        pytest.param(
            {"data": {"timeColumn": None}},
            None,
            "userHistory needs data.timeColumn",
            id="histories without times",
        ),
        pytest.param({"captionFeatures": {}}, None, "no folder for catalog", id="captions without a folder"),
        pytest.param(
            {"features": {"captions": [{"captionJob": "catalog", "aspect": "mood"}]}},
            None,
            "catalog has no aspect mood; it has caption",
            id="an aspect that was not asked about",
        ),
        pytest.param({}, unsealed, "never finished", id="features that are not finished"),
        pytest.param({}, damaged, "differs from its manifest", id="features that have changed"),
        pytest.param(
            {"training": {"batchSize": 1, "processesPerNode": 2}},
            None,
            "too few rows",
            id="more processes than rows",
        ),
    ],
)
def test_refusals(changes: dict[str, Any], harm: Any, complaint: str, tmp_path: Path) -> None:
    world = make_world(tmp_path)
    if harm:
        harm(world)
    with pytest.raises(InvalidInputError, match=complaint):
        prepared(world, **changes)
