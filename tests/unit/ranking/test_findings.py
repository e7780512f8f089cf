"""What an evaluation says besides its metrics: reach and effects of tokens, items, data, cost, model card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.worlds import ITEMS, evaluate_task, make_features, train_task, write

from fathom.features.vocabulary import FIRST
from fathom.ranking import attribution, coverage, evaluation, interactions, split, words
from fathom.ranking.batches import predict
from fathom.ranking.command import EVALUATION, evaluate
from fathom.ranking.cost import SEARCH
from fathom.ranking.evaluation import Loaded
from fathom.ranking.findings import REPORT
from fathom.ranking.words import Words
from fathom_api.progress import Outcome
from fathom_api.tasks import EvaluateTask, TrainTask

from .conftest import Train

TOKENS = {3: "red", 4: "green", 5: "blue", 6: "hat", 7: "shoe", 8: "coat", 9: "scarf"}


@pytest.fixture
def task(world: Path, trained: tuple[Path, Outcome]) -> TrainTask:
    return train_task(world, trained[0])


@pytest.fixture
def loaded(task: TrainTask, trained: tuple[Path, Outcome]) -> Loaded:
    events = interactions.read(task.data)
    return evaluation.load(trained[0], events, split.assign(events, task.data.split))


@pytest.fixture(scope="module")
def both(
    world: Path, trained: tuple[Path, Outcome], train_here: Train, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Evaluate captions against none, with all that the report can be told."""
    folder = tmp_path_factory.mktemp("both")
    control = train_task(world, folder / "without", arm="WithoutCaptions")
    train_here(control)
    named_features(folder / "features")
    search = {"metric": "AUC", "best": 0, "parameters": {}, "trials": []}
    (folder / "without" / SEARCH).write_text(json.dumps(search))
    task = evaluate_task(control, {"Captions": trained[0], "WithoutCaptions": folder / "without"}, folder)
    evaluate(task.model_copy(update={"caption_features": {"catalog": str(folder / "features")}}))
    return folder


def named_features(folder: Path, ids: dict[int, str] = TOKENS) -> Path:
    """Write the world's features once more, with a vocabulary."""
    write(folder / "caption" / "vocabulary.parquet", {"id": list(ids), "token": list(ids.values())})
    make_features(folder, {str(i): [3 + i % 3, 6 + i % 4] for i in range(ITEMS)})
    return folder


def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / EVALUATION).read_text())


class TestOcclusion:
    def test_an_effect_is_that_of_scoring_with_and_without_the_token(self, loaded: Loaded) -> None:
        explained = attribution.explain(loaded, [Words(TOKENS)])
        assert explained
        at, history, token = 1, loaded.info.features.history, FIRST
        values = loaded.tables.items.lists
        without = [v.masked_fill(v == token, 0) if n == at else v for n, v in enumerate(values)]
        occluded = loaded.tables._replace(items=loaded.tables.items._replace(lists=without))
        has = (values[at] == token).any(dim=1).numpy()[loaded.pairs.item.numpy()]
        odds = [
            np.log(p / (1 - p))
            for p in (
                predict(loaded.model, tables, loaded.pairs, history) for tables in (loaded.tables, occluded)
            )
        ]
        effect = next(t for t in explained.tested if t.token == "red")
        assert effect.rows == has.sum()
        assert effect.effect == pytest.approx((odds[0] - odds[1])[has].mean(), abs=1e-4)

    def test_a_token_of_too_few_items_is_not_judged(self, loaded: Loaded) -> None:
        explained = attribution.explain(loaded, [Words({})])
        assert explained
        assert {t.token for t in explained.tested} == {f"#{n}" for n in TOKENS}
        assert all(t.items >= 3 for t in explained.tested)

    def test_examples_have_the_token(self, loaded: Loaded) -> None:
        explained = attribution.explain(loaded, [Words(TOKENS)])
        assert explained
        examples = next(t.examples for t in explained.tested if t.token == "green")
        assert examples
        assert {int(name) % 3 for name in examples} == {1}


class TestWords:
    def test_tokens_are_called_what_the_features_say(self, loaded: Loaded, tmp_path: Path) -> None:
        folders = {"catalog": str(named_features(tmp_path))}
        assert dict(words.read(coverage.caption_fields(loaded)[0][1], folders).known) == TOKENS

    @pytest.mark.parametrize("case", ["not given", "unfinished", "other tokens"])
    def test_of_features_that_are_not_those_of_the_bundle_nothing_is_taken(
        self, case: str, loaded: Loaded, tmp_path: Path
    ) -> None:
        field = coverage.caption_fields(loaded)[0][1]
        if case == "other tokens":
            named_features(tmp_path)
            make_features(tmp_path, {"1": [3, 4, 20]})
        folders = {} if case == "not given" else {"catalog": str(tmp_path)}
        assert words.read(field, folders) == Words({})

    @pytest.mark.parametrize("suffix", ["parquet", "csv"])
    def test_items_are_described_by_the_texts_of_their_table(
        self, suffix: str, task: TrainTask, tmp_path: Path
    ) -> None:
        table = {"item_id": [1, 2], "price": [1.0, 2.0], "title": ["A hat", "A shoe"], "kind": ["hats", None]}
        path = tmp_path / f"items.{suffix}"
        if suffix == "csv":
            path.write_text("item_id,price,title,kind\n1,1.0,A hat,hats\n2,2.0,A shoe,\n")
        else:
            write(path, table)
        data = task.data.model_copy(update={"items": task.data.items.model_copy(update={"uri": str(path)})})  # type: ignore[union-attr]
        assert words.about(data, ["1", "2", "3"]) == {"1": ["A hat", "hats"], "2": ["A shoe"]}


class TestReport:
    def test_page_and_model_card_lie_beside_the_figures(self, both: Path) -> None:
        assert "<h1" in (both / REPORT).read_text()
        card = (both / "MODEL_CARD.md").read_text()
        assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == [
            *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
            *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations"),
        ]
        assert "against WithoutCaptions" in card

    def test_the_bundle_s_own_card_has_no_figures_of_the_test(self, trained: tuple[Path, Outcome]) -> None:
        assert "Not measured yet" in (trained[0] / "MODEL_CARD.md").read_text()

    def test_tokens_are_named(self, both: Path) -> None:
        assert {t["token"] for t in found(both)["tokens"]["tested"]} == set(TOKENS.values())

    def test_every_test_row_of_a_captioned_world_has_tokens(self, both: Path) -> None:
        (reach,) = found(both)["coverage"]
        assert (reach["rowsWithTokens"], reach["rowsWithoutCaption"]) == (1.0, 0.0)
        assert reach["tokensPerItem"] == 2
        assert reach["vocabulary"] == len(TOKENS)

    def test_parts_are_those_of_the_split(self, both: Path) -> None:
        report = found(both)
        assert sum(report["data"]["parts"].values()) == 3000
        assert report["data"]["parts"]["test"] == report["rows"]
        assert report["data"]["rates"]["test"] == pytest.approx(report["baseRate"])

    def test_items_are_told_from_the_one_most_helped_to_the_one_most_harmed(self, both: Path) -> None:
        gains = [item["gain"] for item in found(both)["lifted"]]
        helped = [g for g in gains if g > 0]
        harmed = [g for g in gains if g < 0]
        assert gains == sorted(helped, reverse=True) + sorted(harmed)
        assert helped

    def test_differences_of_all_metrics_have_intervals(self, both: Path) -> None:
        (difference,) = found(both)["differences"]
        assert {"relativeAuc", "gauc", "logLoss", "normalizedEntropy"} <= set(difference["more"])
        assert all(d["low"] <= d["value"] <= d["high"] for d in difference["more"].values())
        ours, other = (found(both)["arms"][a]["metrics"] for a in ("Captions", "WithoutCaptions"))
        assert difference["more"]["gauc"]["value"] == pytest.approx(ours["gauc"] - other["gauc"])
        assert difference["more"]["relativeAuc"]["value"] == pytest.approx(ours["auc"] / other["auc"] - 1)

    def test_what_training_took_is_known_and_no_part_of_the_digest(
        self, both: Path, trained: tuple[Path, Outcome]
    ) -> None:
        arm = found(both)["arms"]["Captions"]
        assert arm["cost"]["seconds"] > 0
        assert arm["cost"]["epochs"] == len(arm["curve"]) == 3
        assert arm["digest"] == trained[1].digest

    def test_a_search_is_told_of_the_arm_it_was_for(self, both: Path) -> None:
        arms = found(both)["arms"]
        assert arms["WithoutCaptions"]["search"]["best"] == 0
        assert arms["Captions"].get("search") is None


def test_a_source_that_cannot_be_read_costs_the_pictures_only(
    task: TrainTask, trained: tuple[Path, Outcome], tmp_path: Path
) -> None:
    document = evaluate_task(task, {"Captions": trained[0]}, tmp_path).document()
    evaluate(EvaluateTask.model_validate(document | {"source": {"uri": str(tmp_path / "lost.parquet")}}))
    assert (tmp_path / REPORT).is_file()


def test_a_ranker_without_captions_has_a_report_too(world: Path, train_here: Train, tmp_path: Path) -> None:
    task = train_task(world, tmp_path / "plain", captions=False)
    train_here(task)
    evaluate(evaluate_task(task, {"Captions": tmp_path / "plain"}, tmp_path))
    assert found(tmp_path).get("tokens") is None
    assert "What tokens do" not in (tmp_path / REPORT).read_text()
