"""`fathom evaluate` judges all arms by the same test interactions, and says where terms are not equal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders.worlds import evaluate_task, make_world, train_task, write
from sklearn.metrics import roc_auc_score

from fathom.errors import InvalidInputError
from fathom.ranking import interactions, scorer, split
from fathom.ranking.command import EVALUATION, evaluate
from fathom.ranking.scorer import ScoreRequest
from fathom.serving.histograms import Histograms
from fathom_api.progress import Outcome
from fathom_api.recmodel import Split
from fathom_api.tasks import TrainTask

from .conftest import Train

ITEM_COLD = {"split": {"strategy": "ItemCold", "test": 0.3, "validation": 0.2}}


def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / EVALUATION).read_text())


@pytest.fixture
def task(world: Path, trained: tuple[Path, Outcome]) -> TrainTask:
    return train_task(world, trained[0])


class TestOfOneArm:
    @pytest.fixture
    def outcome(self, task: TrainTask, trained: tuple[Path, Outcome], tmp_path: Path) -> Outcome:
        return evaluate(evaluate_task(task, {"Captions": trained[0]}, tmp_path))

    def test_the_outcome_says_what_the_report_does(self, outcome: Outcome, tmp_path: Path) -> None:
        assert outcome.arms == {"Captions": found(tmp_path)["arms"]["Captions"]["metrics"]}
        assert set(outcome.arms["Captions"]) == {"auc", "gauc", "logLoss", "normalizedEntropy", "calibration"}
        assert outcome.uri == str(tmp_path / EVALUATION)

    def test_the_auc_is_that_of_the_test_split(self, outcome: Outcome, tmp_path: Path) -> None:
        report = found(tmp_path)
        assert report["rows"] == sum(s["rows"] for s in report["slices"])
        assert report["rows"] == sum(b["rows"] for b in report["arms"]["Captions"]["calibration"])
        assert 0.7 < outcome.arms["Captions"]["auc"] < 1

    def test_scores_are_counted_as_a_ranker_counts_those_it_gives(
        self, outcome: Outcome, tmp_path: Path
    ) -> None:
        assert outcome.scores is not None
        assert sum(outcome.scores.counts) == found(tmp_path)["rows"]
        served = Histograms("test_scores_of_an_evaluation", "Scores.", [])
        served.start()
        [family] = served.collect()
        edges = [float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels]
        assert [*outcome.scores.edges, float("inf")] == edges

    def test_it_measures_what_is_served(
        self, outcome: Outcome, task: TrainTask, trained: tuple[Path, Outcome]
    ) -> None:
        """Scores of the server, given the history of the moment, are those of the evaluation."""
        events = interactions.read(task.data)
        parts, served = split.assign(events, task.data.split), scorer.load(trained[0])
        assert events.time is not None
        scores = []
        for i in np.flatnonzero(parts == split.TEST):
            before = (events.user == events.user[i]) & (events.time < events.time[i])
            liked = np.flatnonzero(before & (parts == split.TRAIN) & (events.label > 0))
            latest = liked[np.argsort(events.time[liked], kind="stable")][::-1]
            history = [events.items[events.item[j]] for j in latest]
            user, item = events.users[events.user[i]], events.items[events.item[i]]
            scores.append(served.score(ScoreRequest(user, history, candidates=[item]))[0])
        expected = roc_auc_score(events.label[parts == split.TEST], scores)
        assert outcome.arms["Captions"]["auc"] == pytest.approx(expected, abs=2e-3)


def test_captions_help_with_new_items_and_controls_do_not(
    world: Path, train_here: Train, tmp_path: Path
) -> None:
    bundles = {arm: tmp_path / arm for arm in ("Captions", "WithoutCaptions", "ShuffledCaptions")}
    for arm, folder in bundles.items():
        task = train_task(world, folder, arm=arm, data=ITEM_COLD)
        train_here(task)
    evaluate(evaluate_task(task, bundles, tmp_path))
    report = found(tmp_path)
    assert {s["name"]: s["rows"] > 0 for s in report["slices"]} == {
        "head": False,
        "torso": False,
        "tail": False,
        "new": True,
    }
    assert len({result["parameters"] for result in report["arms"].values()}) == 1
    assert [d["against"] for d in report["differences"]] == ["WithoutCaptions", "ShuffledCaptions"]
    assert all(d["low"] > 0.05 and d["low"] < d["auc"] < d["high"] for d in report["differences"])
    assert report["notes"] == []


class TestSplits:
    def test_an_arm_of_another_split_is_refused(
        self, world: Path, trained: tuple[Path, Outcome], tmp_path: Path
    ) -> None:
        other = train_task(world, tmp_path, data={"split": {"strategy": "Random", "seed": 1}})
        with pytest.raises(InvalidInputError, match="trained on another split"):
            evaluate(evaluate_task(other, {"Captions": trained[0]}, tmp_path))

    def test_the_model_served_now_is_measured_all_the_same_with_a_note(
        self, world: Path, trained: tuple[Path, Outcome], train_here: Train, tmp_path: Path
    ) -> None:
        other = train_task(world, tmp_path / "new", data={"split": {"strategy": "Random", "seed": 1}})
        train_here(other)
        bundles = {"Captions": tmp_path / "new", "Serving": trained[0]}
        outcome = evaluate(evaluate_task(other, bundles, tmp_path))
        events = interactions.read(other.data)
        before, now = (split.assign(events, Split(strategy="Random", seed=seed)) for seed in (0, 1))
        seen = (before[now == split.TEST] == split.TRAIN).mean()
        expected = f"Serving was trained on {seen:.1%} of the test interactions; its figures flatter it."
        assert found(tmp_path)["notes"] == [expected]
        assert set(outcome.arms) == {"Captions", "Serving"}

    def test_users_and_items_that_the_served_model_does_not_know_are_scored(
        self, trained: tuple[Path, Outcome], train_here: Train, tmp_path: Path
    ) -> None:
        bigger = make_world(tmp_path / "bigger", seed=5)
        events = pq.read_table(bigger / "interactions.parquet").to_pydict()
        write(bigger / "interactions.parquet", events | {"user_id": [f"new-{u}" for u in events["user_id"]]})
        task = train_task(bigger, tmp_path / "new")
        train_here(task)
        bundles = {"Captions": tmp_path / "new", "Serving": trained[0]}
        outcome = evaluate(evaluate_task(task, bundles, tmp_path))
        assert outcome.arms["Serving"]["auc"] < outcome.arms["Captions"]["auc"]
        assert found(tmp_path)["notes"] == [
            "Serving was trained on other interactions, none of them in this test split."
        ]


def test_controls_with_other_parameters_are_pointed_out(
    world: Path, trained: tuple[Path, Outcome], train_here: Train, tmp_path: Path
) -> None:
    control = train_task(world, tmp_path / "control", arm="WithoutCaptions", training={"seed": 3})
    train_here(control)
    bundles = {"Captions": trained[0], "WithoutCaptions": tmp_path / "control"}
    evaluate(evaluate_task(control, bundles, tmp_path))
    assert "WithoutCaptions was trained with other parameters" in found(tmp_path)["notes"][0]


def test_without_a_candidate_there_is_nothing_to_evaluate(task: TrainTask, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="bundles has no Captions"):
        evaluate(evaluate_task(task, {"Serving": tmp_path}, tmp_path))


@pytest.mark.parametrize("architecture", ["DCNv2", "DLRM"])
def test_both_architectures_learn_tastes(
    architecture: str, world: Path, train_here: Train, tmp_path: Path
) -> None:
    outcome = train_here(train_task(world, tmp_path, model={"architecture": architecture}))
    assert outcome.progress.metrics["validation_auc"] > 0.75
