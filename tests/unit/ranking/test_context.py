"""What is known of an interaction itself is learned from and told with each request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from builders.worlds import evaluate_task, train_task, write

from fathom.errors import InvalidInputError
from fathom.ranking import bundle, context, scorer
from fathom.ranking.batches import Pairs, Tables
from fathom.ranking.command import evaluate
from fathom.ranking.context import Reading
from fathom.ranking.items import tensors
from fathom.ranking.model import Ranker
from fathom.ranking.occurrences import of_both_sides
from fathom.ranking.prepare import prepare
from fathom.ranking.schema import FIRST, UNKNOWN
from fathom.ranking.scorer import Bundle, ScoreRequest
from fathom_api.learning import Feature
from fathom_api.tasks import TrainTask

from .conftest import Train

ROWS = 3000
HOUR = Feature(column="hour", type="Numeric")
DEVICE = Feature(column="device")


def make_world(folder: Path) -> Path:
    """Write interactions: on phones the even items are liked, on desktops the odd ones, and fewer later."""
    chance = np.random.default_rng(0)
    item = chance.integers(20, size=ROWS)
    phone = chance.random(ROWS) < 0.5
    hour = chance.integers(24, size=ROWS)
    likely = np.where((item % 2 == 0) == phone, 0.9, 0.1) * np.where(hour < 12, 1.0, 0.5)
    write(
        folder / "interactions.parquet",
        {
            "user_id": chance.integers(10, size=ROWS),
            "item_id": item,
            "liked": (chance.random(ROWS) < likely).astype(int),
            "timestamp": np.arange(ROWS),
            "device": np.where(phone, "phone", "desktop"),
            "hour": hour,
        },
    )
    return folder


def task(world: Path, output: Path, *told: Feature) -> TrainTask:
    """Return a task of a ranker that is told what is `told` of each interaction, and nothing of anybody."""
    features = {"context": [feature.document() for feature in told]}
    data = {"users": None, "items": None}
    return train_task(world, output, captions=False, data=data, features=features)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def told(world: Path, train_here: Train) -> Path:
    """A bundle of a ranker that is told the device and the hour."""
    train_here(task(world, world / "told", DEVICE, HOUR))
    return world / "told"


@pytest.fixture(scope="module")
def served(told: Path) -> Bundle:
    return scorer.load(told)


def score(served: Bundle, **features: Any) -> np.ndarray:
    """Return the scores of an even and an odd item."""
    return served.score(ScoreRequest(user_id="1", features=features, candidates=["2", "3"]))


class TestServed:
    def test_the_same_user_is_answered_by_what_the_request_tells(self, served: Bundle) -> None:
        on_phone, on_desktop = score(served, device="phone", hour=6), score(served, device="desktop", hour=6)
        assert on_phone[0] > on_phone[1] + 0.3
        assert on_desktop[1] > on_desktop[0] + 0.3

    def test_a_number_is_standardised_as_in_training(self, served: Bundle) -> None:
        early, late = score(served, device="phone", hour=3)[0], score(served, device="phone", hour=21)[0]
        assert early > late + 0.1

    def test_what_is_not_told_is_unknown_as_a_value_never_met(self, served: Bundle) -> None:
        assert score(served).tolist() == pytest.approx(score(served, device="toaster", hour=None).tolist())

    def test_a_strange_name_is_refused(self, served: Bundle) -> None:
        with pytest.raises(InvalidInputError, match="no user feature weather; it has device, hour"):
            score(served, weather="rain")


class TestEvaluated:
    def test_it_is_better_for_what_it_is_told(self, world: Path, told: Path, train_here: Train) -> None:
        train_here(task(world, world / "untold"))
        judged = evaluate(
            evaluate_task(
                task(world, told), {"Captions": told, "Serving": world / "untold"}, world / "judged"
            )
        )
        assert judged.arms["Captions"]["auc"] > judged.arms["Serving"]["auc"] + 0.2

    def test_a_served_model_may_know_a_column_that_is_gone(
        self, world: Path, told: Path, train_here: Train, tmp_path: Path
    ) -> None:
        table = pq.read_table(world / "interactions.parquet").drop_columns(["device"])
        pq.write_table(table, tmp_path / "interactions.parquet")
        train_here(task(tmp_path, tmp_path / "new", HOUR))
        asked = evaluate_task(
            task(tmp_path, tmp_path), {"Captions": tmp_path / "new", "Serving": told}, tmp_path / "judged"
        )
        assert evaluate(asked).arms["Serving"]["auc"] < 0.7

    def test_the_card_says_what_is_told(self, told: Path) -> None:
        card = (told / bundle.CARD).read_text()
        assert "Request `device`: Categorical" in card
        assert "Request `hour`: Numeric, mean 11" in card


class TestLearned:
    def test_values_come_from_training_rows_alone(self, tmp_path: Path) -> None:
        given = table(device=["a", "b", None, "c"])
        fields, known = context.learn(read(given, DEVICE), [DEVICE], mask([True, True, True, False]))
        assert (known, fields[0].size) == ({"device": {"a": FIRST, "b": FIRST + 1}}, FIRST + 2)

    def test_what_is_missing_or_new_is_unknown(self) -> None:
        found = read(table(device=["a", "b", None, "c"]), DEVICE)
        fields, known = context.learn(found, [DEVICE], mask([True, True, True, False]))
        ids = context.encoded(found, fields, known, 4).ids[:, 0].tolist()
        assert ids == [FIRST, FIRST + 1, UNKNOWN, UNKNOWN]

    def test_numbers_have_mean_0_and_deviation_1_over_training_rows(self) -> None:
        found = read(table(hour=[1.0, 3.0, None, 5.0]), HOUR)
        fields, known = context.learn(found, [HOUR], mask([True, True, True, False]))
        numbers = context.encoded(found, fields, known, 4).numeric[:, 0].tolist()
        assert numbers == pytest.approx([-1, 1, 0, 3])

    @pytest.mark.parametrize("hours", [[7.1, 7.1, 7.1], [None, None, None]], ids=["one number", "none"])
    def test_numbers_without_spread_are_not_blown_up(self, hours: list[float | None]) -> None:
        found = read(table(hour=hours), HOUR)
        fields, known = context.learn(found, [HOUR], mask([True] * 3))
        assert fields[0].deviation == 1.0
        assert np.abs(context.encoded(found, fields, known, 3).numeric).max() < 1e-5

    def test_rows_are_encoded_in_the_order_asked(self) -> None:
        found = read(table(device=["a", "b", "c"]), DEVICE)
        fields, known = context.learn(found, [DEVICE], mask([True] * 3))
        assert context.encoded(found, fields, known, 3, np.array([2, 0])).ids.tolist() == [[4], [2]]

    def test_bad_rows_are_left_out_of_it_too(self, tmp_path: Path) -> None:
        write(
            tmp_path / "interactions.parquet",
            {
                "user_id": ["1", None, "2"] * 40,
                "item_id": ["5"] * 120,
                "liked": [0, 1, 1] * 40,
                "timestamp": range(120),
                "device": ["phone", "none", "desktop"] * 40,
            },
        )
        own = train_task(
            tmp_path,
            tmp_path,
            captions=False,
            data={"users": None, "items": None, "maxBadRows": "50%"},
            features={"context": [DEVICE.document()]},
        )
        found = prepare(own)
        assert len(found.context.ids) == len(found.interactions) == 80
        assert set(found.vocabularies["user"]["device"]) == {"phone", "desktop"}

    def test_a_column_that_is_not_there_is_named(self, world: Path) -> None:
        with pytest.raises(InvalidInputError, match="no column 'weather'; it has 'user_id'"):
            prepare(task(world, world, Feature(column="weather")))


def test_embeddings_are_met_as_often_as_interactions_have_the_value(world: Path) -> None:
    asked = task(world, world, DEVICE)
    ready = prepare(asked)
    tables = Tables(
        tensors(ready.users.columns), tensors(ready.items.columns), torch.zeros(0, dtype=torch.long)
    )
    user, item, ids = map(torch.from_numpy, (ready.user, ready.item, ready.context.ids))
    pairs = Pairs(user, item, user, user, user, context_ids=ids)
    met = of_both_sides(Ranker(ready.features, asked.model), tables, pairs)[0].met
    own = ready.context.ids[:, 0]
    users = ready.features.user[0].size
    assert met[users + FIRST :].tolist() == [float((own == FIRST).sum()), float((own == FIRST + 1).sum())]
    assert met[users + UNKNOWN] == 0


def table(**columns: list[Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def read(batch: pa.RecordBatch, *features: Feature) -> context.Context:
    reading = Reading(features)
    reading.append(batch, np.ones(len(batch), bool))
    return reading.done()


def mask(train: list[bool]) -> Callable[[slice], np.ndarray]:
    return np.array(train).__getitem__
