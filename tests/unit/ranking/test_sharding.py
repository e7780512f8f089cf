"""Tables of embeddings that are divided among processes, by TorchRec as it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from builders.worlds import train_task
from safetensors.torch import load_file
from torch import nn

from fathom.errors import InvalidInputError
from fathom.ranking.bundle import WEIGHTS
from fathom.ranking.checkpoint import Checkpoints, Learned, State
from fathom.ranking.command import train
from fathom.ranking.layers import held
from fathom.ranking.model import Ranker
from fathom.ranking.optimiser import Optimisers
from fathom.ranking.schema import FeatureField, Schema
from fathom.ranking.sharding import ShardedTable, tables, tables_of
from fathom_api.learning import ShardedTables, Training
from fathom_api.progress import Outcome
from fathom_api.recmodel import RankerModel

from .conftest import Train

HERE = torch.device("cpu")


def table(rows: int = 10, dim: int = 4, decay: float = 0.0, seed: int = 0) -> ShardedTable:
    torch.manual_seed(seed)
    return ShardedTable(rows, dim, ShardedTables(learning_rate=0.1), decay, HERE)


@pytest.fixture
def alone() -> Any:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
class TestOneTable:
    """A table of which one process has all rows."""

    def test_looks_up_what_it_holds_in_any_shape(self) -> None:
        found = table()
        ids = torch.tensor([[3, 0, 3], [9, 1, 2]])
        assert torch.equal(found(ids), found.weight[ids])
        assert held(found) == range(10)

    def test_is_as_wide_as_it_is_asked_to_be(self) -> None:
        found = table(dim=6)
        ids = torch.tensor([[3, 0], [9, 1]])
        assert torch.equal(found(ids), found.weight[ids])
        assert found.state_dict()["weight"].shape == (10, 6)
        found(ids).sum().backward()
        assert torch.equal(found(ids), found.weight[ids])

    def test_looks_up_where_nothing_is_learned(self) -> None:
        found = table()
        with torch.inference_mode():
            assert torch.equal(found(torch.tensor([4])), found.weight[[4]])

    def test_begins_with_the_same_numbers_wherever_pieces_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert torch.equal(table().weight, table().weight)
        assert not torch.equal(table(seed=1).weight, table().weight)
        whole = table(1000, 8).weight
        assert whole.std() == pytest.approx(0.1, rel=0.1)
        monkeypatch.setattr("fathom.ranking.sharding.CHUNK", 7)
        assert len(table(1000, 8).weight.unique(dim=0)) == 1000

    def test_learns_by_row_wise_adagrad(self) -> None:
        found = table()
        before = found.weight.clone()
        for _ in range(2):
            # The row at 2 is met twice in a step, its gradient is their sum.
            found(torch.tensor([2, 2, 5])).sum().backward()
        moved = before - found.weight
        # Each component's gradient is 2 in both steps; the sum of mean squares is 4, then 8.
        assert moved[2] == pytest.approx(torch.full((4,), 0.1 * (2 / 4**0.5 + 2 / 8**0.5)), rel=1e-4)
        assert moved[5] == pytest.approx(torch.full((4,), 0.1 * (1 + 1 / 2**0.5)), rel=1e-4)
        assert moved[[0, 1, 3, 4, 6, 7, 8, 9]].count_nonzero() == 0
        assert found.sums().tolist() == pytest.approx([0, 0, 8, 0, 0, 2, 0, 0, 0, 0])

    def test_is_no_parameter_and_yet_in_the_state(self) -> None:
        found = table()
        assert not list(found.parameters())
        assert torch.equal(found.state_dict()["weight"], found.weight)

    def test_a_checkpoint_goes_on_as_if_it_had_not_stopped(self, tmp_path: Path) -> None:
        def ranker(seed: int) -> tuple[Ranker, Optimisers]:
            torch.manual_seed(seed)
            ids = [FeatureField(name="@id", type="Categorical", size=8)]
            make = tables(Training(sharded_tables=ShardedTables(), weight_decay=0.0), HERE)
            model = Ranker(Schema(user=ids, item=ids), RankerModel(embedding_dim=4, hidden_units=[4]), make)
            return model, Optimisers(model, lr=0.1, weight_decay=0.0, tables_decay=0.0)

        def steps(model: Ranker, optimiser: Optimisers) -> None:
            for at in range(2, 5):
                optimiser.zero_grad()
                user = model.user_sparse.embed(torch.tensor([[at]]))
                item = model.item_sparse.embed(torch.tensor([[7 - at]]))
                model.interact(user, item, torch.zeros(1, 0)).sum().backward()
                optimiser.step()

        straight, resumed, kept = ranker(0), ranker(1), Checkpoints(tmp_path)
        steps(*straight)
        point = {"epoch": 1.0, "loss": 0.5, "validation_auc": 0.6}
        kept.save(State(made_from="a", curve=[point], best=1), Learned.by(*straight))
        kept.restore(kept.state("a"), *resumed)
        steps(*straight)
        steps(*resumed)
        ours, theirs = straight[0].state_dict(), resumed[0].state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert sorted(tables_of(straight[0])) == ["item_sparse.table", "user_sparse.table"]

    @pytest.mark.parametrize(
        "rows", [pytest.param(3, id="fewer than processes"), pytest.param(5, id="two, two, one, none")]
    )
    def test_a_table_of_which_a_process_would_have_nothing_is_not_divided(
        self, rows: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = tables(Training(sharded_tables=ShardedTables()), HERE)
        assert isinstance(make(rows, 2), ShardedTable)
        monkeypatch.setattr(dist, "get_world_size", lambda: 4)
        assert isinstance(make(rows, 2), nn.Embedding)


def test_without_torchrec_it_says_what_to_install(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchrec", None)
    with pytest.raises(InvalidInputError, match=r"install fathom-workloads\[shard\]"):
        train(train_task(world, tmp_path, training={"shardedTables": {}}))


@pytest.fixture(scope="module")
def sharded(world: Path, train_here: Train) -> tuple[Path, Outcome]:
    """A bundle made by one process, which has all rows."""
    folder = world / "sharded"
    return folder, train_here(train_task(world, folder, training={"shardedTables": {}}))


def test_two_processes_with_half_of_the_rows_learn_what_one_with_all_does(
    world: Path, sharded: tuple[Path, Outcome], tmp_path: Path
) -> None:
    outcome = train(train_task(world, tmp_path, training={"shardedTables": {}, "processesPerNode": 2}))
    assert outcome.progress.metrics == pytest.approx(sharded[1].progress.metrics, abs=1e-3)
    one, two = load_file(sharded[0] / WEIGHTS), load_file(tmp_path / WEIGHTS)
    assert {n: t.shape for n, t in one.items()} == {n: t.shape for n, t in two.items()}
    assert all(two[name] == pytest.approx(one[name], abs=1e-2) for name in one)


def test_the_bundle_has_the_layout_of_any_other(
    sharded: tuple[Path, Outcome], trained: tuple[Path, Outcome]
) -> None:
    ours, theirs = load_file(sharded[0] / WEIGHTS), load_file(trained[0] / WEIGHTS)
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}
    assert sharded[1].progress.metrics["validation_auc"] == pytest.approx(
        trained[1].progress.metrics["validation_auc"], abs=0.05
    )
