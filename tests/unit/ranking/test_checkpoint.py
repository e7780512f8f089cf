"""From a checkpoint, training goes on exactly where it was; one that is not whole does not count."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fathom.ranking.checkpoint import Checkpoints, Learned, State, advance
from fathom.ranking.optimiser import Optimisers


def after(aucs: list[float], *, epochs: int = 10, patience: int = 2) -> State:
    state = State(made_from="sha256:a")
    for auc in aucs:
        state = advance(state, 0.5, auc, epochs=epochs, patience=patience)
    return state


@pytest.mark.parametrize(
    ("aucs", "best", "finished"),
    [
        pytest.param([0.6], 1, False, id="the first epoch is the best so far"),
        pytest.param([0.6, 0.7, 0.65], 2, False, id="one worse epoch is borne"),
        pytest.param(
            [0.6, 0.7, 0.65, 0.69], 2, True, id="training stops after two epochs that are no better"
        ),
        pytest.param([0.6, 0.6], 1, False, id="an equal epoch is no better"),
        pytest.param([0.6, 0.5, 0.7], 3, False, id="a better epoch in time starts the count anew"),
        pytest.param([0.1 * i for i in range(1, 11)], 10, True, id="training ends with its last epoch"),
        pytest.param([0.4], 1, False, id="a bad first epoch is still the best"),
    ],
)
def test_when_training_stops(aucs: list[float], best: int, finished: bool) -> None:
    state = after(aucs)
    assert (state.best, state.finished) == (best, finished)


def learner(seed: int) -> tuple[nn.Module, Optimisers]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 1))
    return model, Optimisers(model, lr=0.1, weight_decay=1e-4, tables_decay=1e-4)


def step(model: nn.Module, optimiser: Optimisers, times: int) -> None:
    for i in range(times):
        optimiser.zero_grad()
        model(torch.tensor([i % 4, 2])).square().sum().backward()
        optimiser.step()


def test_steps_after_restoring_are_bit_identical(tmp_path: Path) -> None:
    straight, optimiser = learner(0)
    step(straight, optimiser, 3)
    kept = Checkpoints(tmp_path)
    kept.save(after([0.6]), Learned.by(straight, optimiser))
    step(straight, optimiser, 3)

    resumed, other = learner(1)
    kept.restore(kept.state("sha256:a"), resumed, other)
    step(resumed, other, 3)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters(), strict=True))


def test_checkpoints_of_other_data_do_not_count(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(after([0.6]), Learned.by(*learner(0)))
    assert kept.state("sha256:a").epoch == 1
    assert kept.state("sha256:b") == State(made_from="sha256:b")


def test_the_best_weights_are_kept_and_older_files_dropped(tmp_path: Path) -> None:
    kept, (model, optimiser) = Checkpoints(tmp_path), learner(0)
    best = {}
    for aucs in ([0.6], [0.6, 0.9], [0.6, 0.9, 0.7]):
        step(model, optimiser, 1)
        kept.save(after(aucs), Learned.by(model, optimiser))
        if len(aucs) == 2:
            best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = kept.best(kept.state("sha256:a"))
    assert all(torch.equal(best[name], found[name]) for name in best)
    assert {p.name for p in tmp_path.iterdir()} == {
        "state.json",
        "epoch-00003.safetensors",
        "best-00002.safetensors",
    }
