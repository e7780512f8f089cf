"""`fathom train` leaves the same bundle whatever happens on the way."""

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from builders.worlds import ITEMS, make_features, make_world, train_task
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.ranking import bundle, launch, scorer
from fathom.ranking.architectures import ARCHITECTURES
from fathom.ranking.batches import Pairs, Tables, batch, predict
from fathom.ranking.checkpoint import STATE
from fathom.ranking.command import CHECKPOINTS, train
from fathom.ranking.items import tensors
from fathom.ranking.launch import TrainingProcessError
from fathom.ranking.prepare import prepare
from fathom.ranking.scorer import ScoreRequest
from fathom_api.learning import ArchitectureName
from fathom_api.progress import Outcome

from .conftest import Train

TESTS = Path(__file__).parents[2]


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / bundle.WEIGHTS)


class TestTheBundle:
    def test_is_sealed_and_said_to_be_done(self, trained: tuple[Path, Outcome]) -> None:
        folder, outcome = trained
        assert manifest.verify(folder).digest == outcome.digest
        assert outcome.progress.done == outcome.progress.total
        assert set(outcome.progress.metrics) == {"epoch", "loss", "validation_auc", "percent"}
        assert not (folder / CHECKPOINTS).exists()

    def test_has_learned_tastes_from_captions(self, trained: tuple[Path, Outcome]) -> None:
        folder, outcome = trained
        assert outcome.progress.metrics["validation_auc"] > 0.7
        scores = scorer.load(folder).score(ScoreRequest(user_id="0", candidates=["0", "3", "1", "2"]))
        assert scores[:2].min() > scores[2:].max()

    def test_holds_the_latest_likes_of_each_user(self, trained: tuple[Path, Outcome]) -> None:
        _, parts, _ = bundle.read(trained[0])
        assert len(parts.histories) == len(parts.users.names)
        assert {len(h) for h in parts.histories} == {5}

    def test_has_a_card_that_says_from_what_and_how(self, trained: tuple[Path, Outcome]) -> None:
        card = (trained[0] / bundle.CARD).read_text()
        info = bundle.read_info(trained[0])
        assert all(field.name in card for field in info.features.user + info.features.item)
        assert f"{info.sizes['train']:,} interactions" in card
        assert info.split_digest in card

    def test_damage_is_refused(self, trained: tuple[Path, Outcome], tmp_path: Path) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(trained[0], folder)
        (folder / bundle.INFO).write_text((folder / bundle.INFO).read_text().replace("DCNv2", "DLRM"))
        with pytest.raises(InvalidInputError, match="differs from its manifest"):
            scorer.load(folder)


@pytest.fixture(scope="module")
def served(trained: tuple[Path, Outcome]) -> scorer.Bundle:
    return scorer.load(trained[0])


class TestScoring:
    def test_all_items_are_scored_unless_candidates_are_named(self, served: scorer.Bundle) -> None:
        every = served.score(ScoreRequest(user_id="4"))
        some = served.score(ScoreRequest(user_id="4", candidates=served.item_ids[5:8]))
        assert every[5:8] == pytest.approx(some, abs=1e-6)
        assert ((every > 0) & (every < 1)).all()

    @pytest.mark.parametrize(
        "request_",
        [
            pytest.param(ScoreRequest(user_id="nobody", candidates=["1"]), id="an unknown user"),
            pytest.param(ScoreRequest(candidates=["1"]), id="no user"),
            pytest.param(ScoreRequest(user_id="1", candidates=["nothing"]), id="an unknown item"),
            pytest.param(
                ScoreRequest(user_id="1", history=["nothing"], candidates=["1"]), id="an unknown like"
            ),
            pytest.param(
                ScoreRequest(features={"favourite": "pink"}, candidates=["1"]), id="an unknown value"
            ),
            pytest.param(ScoreRequest(features={"age": None}, candidates=["1"]), id="a missing value"),
        ],
    )
    def test_the_unknown_is_scored(self, request_: ScoreRequest, served: scorer.Bundle) -> None:
        assert 0 < served.score(request_)[0] < 1

    def test_no_candidates_give_no_scores(self, served: scorer.Bundle) -> None:
        assert served.score(ScoreRequest(user_id="1", candidates=[])).shape == (0,)

    def test_the_request_may_say_what_the_bundle_knows(
        self, served: scorer.Bundle, trained: tuple[Path, Outcome]
    ) -> None:
        _, parts, _ = bundle.read(trained[0])
        same = ScoreRequest(
            user_id="4",
            history=parts.histories[parts.users.names.index("4")],
            features={"favourite": "green", "age": 24},
        )
        assert served.score(same) == pytest.approx(served.score(ScoreRequest(user_id="4")), abs=1e-6)

    def test_a_newcomer_s_history_and_features_matter(self, served: scorer.Bundle) -> None:
        plain = served.score(ScoreRequest())
        assert not np.allclose(served.score(ScoreRequest(history=["1", "4", "7"])), plain, atol=1e-4)
        assert not np.allclose(served.score(ScoreRequest(features={"favourite": "red"})), plain, atol=1e-4)

    def test_a_feature_that_the_model_lacks_is_refused(self, served: scorer.Bundle) -> None:
        with pytest.raises(InvalidInputError, match="no user feature height; it has age, favourite"):
            served.score(ScoreRequest(features={"height": 180}))


def test_weights_of_tokens_reach_the_server(tmp_path: Path, train_here: Train) -> None:
    world = make_world(tmp_path)
    tokens = {str(i): [3 + i % 3, 6 + i % 4] for i in range(ITEMS)}
    make_features(world / "features", tokens, weights={item: [1.0, 0.5] for item in tokens})
    captions = {"captionJob": "catalog", "pooling": "Weighted", "userHistory": {"halfLife": 3}}
    train_here(train_task(world, world / "out", features={"captions": [captions]}, training={"epochs": 1}))
    heavier, stored = world / "heavier", bundle.read(world / "out")[1].items.columns
    assert stored.weights[0] is not None
    assert set(stored.weights[0].flatten().tolist()) == {0.0, 0.5, 1.0}
    info, parts, _ = bundle.read(world / "out")
    ones = dataclasses.replace(parts.items.columns, weights=())
    items = dataclasses.replace(parts.items, columns=ones)
    bundle.save(heavier, info, dataclasses.replace(parts, items=items), made_from={})
    own, other = (scorer.load(folder).score(ScoreRequest()) for folder in (world / "out", heavier))
    assert not np.allclose(own, other)


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_the_server_scores_as_training_did(
    architecture: ArchitectureName, world: Path, tmp_path: Path, train_here: Train
) -> None:
    task = train_task(world, tmp_path, model={"architecture": architecture}, training={"epochs": 1})
    train_here(task)
    served = scorer.load(tmp_path)
    prepared = prepare(task)
    user, liked = prepared.users.names[3], bundle.read(tmp_path)[1].histories[3]
    at = torch.arange(len(served.item_ids))
    tables = Tables(
        tensors(prepared.users.columns),
        tensors(prepared.items.columns),
        torch.tensor([prepared.items.rows()[name] for name in reversed(liked)]),
    )
    everything = Pairs(torch.full_like(at, 4), at + 1, at * 0, at * 0 + len(liked), at * 0.0)
    model = bundle.ranker(tmp_path, served.info, load_torch(tmp_path / bundle.WEIGHTS))
    expected = predict(model, tables, everything, served.info.features.history)
    assert served.score(ScoreRequest(user_id=user)) == pytest.approx(expected, abs=1e-5)
    assert served.info.features.history == (50 if architecture == "DIN" else 5)


def test_two_towers_leave_vectors_that_order_items_as_they_are_served(
    world: Path, tmp_path: Path, train_here: Train
) -> None:
    train_here(train_task(world, tmp_path, model={"architecture": "TwoTower"}, training={"epochs": 1}))
    table = pq.read_table(tmp_path / bundle.VECTORS)
    served = scorer.load(tmp_path)
    assert table["item_id"].to_pylist() == served.item_ids
    vectors = np.stack(table["vector"].to_numpy())
    scores = served.score(ScoreRequest(user_id="1"))
    logits = np.log(scores / (1 - scores))
    # As logits are ⟨user, item⟩ + b, some user vector and constant explain them all.
    system = np.hstack([vectors, np.ones((len(vectors), 1))])
    solved, *_ = np.linalg.lstsq(system, logits, rcond=None)
    assert system @ solved == pytest.approx(logits, abs=1e-4)


class TestFurtherLabels:
    @pytest.fixture
    def two_labels(self, tmp_path: Path) -> Path:
        """Return a world with `finished`, the opposite of `liked`, missing in every third row."""
        world = make_world(tmp_path)
        file = world / "interactions.parquet"
        rows = pq.read_table(file)
        opposite = [None if i % 3 == 0 else 1 - v for i, v in enumerate(rows["liked"].to_pylist())]
        pq.write_table(rows.append_column("finished", pa.array(opposite)), file)
        return world

    def test_each_is_learned_by_a_head_of_its_own(self, two_labels: Path, train_here: Train) -> None:
        further = {"tasks": [{"label": "finished", "weight": 1.0}]}
        train_here(train_task(two_labels, two_labels / "out", training=further))
        info, parts, _ = bundle.read(two_labels / "out")
        assert info.features.tasks == ["finished"]
        model = bundle.ranker(two_labels / "out", info, parts.weights)
        tables = Tables(
            tensors(parts.users.columns),
            tensors(parts.items.columns),
            torch.zeros(0).long(),
        )
        at, zero = torch.arange(1, 31), torch.zeros(30).long()
        given = batch(tables, Pairs(at, at, zero, zero, zero.float()), torch.arange(30), 5)
        main, other = model.all_tasks(given).T.detach().numpy()
        assert np.corrcoef(main, other)[0, 1] < -0.9
        assert model(given).detach().numpy() == pytest.approx(main)

    def test_a_label_that_is_no_label_is_refused(self, two_labels: Path) -> None:
        further = {"tasks": [{"label": "timestamp"}]}
        with pytest.raises(InvalidInputError, match="neither 0 nor 1 nor missing"):
            prepare(train_task(two_labels, two_labels / "out", training=further))


def test_what_is_done_is_not_done_again(
    world: Path, trained: tuple[Path, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fathom.ranking.command.launch", lambda *_: pytest.fail("trained again"))
    assert train(train_task(world, trained[0])) == trained[1]


def test_two_processes_learn_what_one_does(
    world: Path, trained: tuple[Path, Outcome], tmp_path: Path
) -> None:
    outcome = train(train_task(world, tmp_path, training={"processesPerNode": 2}))
    assert outcome.progress.metrics == pytest.approx(trained[1].progress.metrics, abs=1e-3)
    one, two = weights(trained[0]), weights(tmp_path)
    assert all(two[name] == pytest.approx(one[name], abs=1e-2) for name in one)


def test_after_a_kill_training_goes_on_and_makes_the_same_bundle(
    world: Path,
    trained: tuple[Path, Outcome],
    train_here: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = train_task(world, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(launch, "WORKER", "builders.dying_worker")
        patched.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *sys.path]))
        with pytest.raises(TrainingProcessError, match="another try goes on from the last checkpoint"):
            train(task)
    assert manifest.read(tmp_path) is None
    assert len(json.loads((tmp_path / CHECKPOINTS / STATE).read_text())["curve"]) == 1
    assert train_here(task).digest == trained[1].digest
    ours, theirs = weights(tmp_path), weights(trained[0])
    assert all((ours[name] == theirs[name]).all() for name in theirs)
