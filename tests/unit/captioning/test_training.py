from __future__ import annotations

import pytest
import torch

from fathom.captioning.tuning import training
from fathom.captioning.tuning.curves import Epoch, Mean, best, is_over


def curve(*validation: float | None) -> list[Epoch]:
    return [
        Epoch(epoch=n, loss=1 / n, validation_loss=loss, learning_rate=0.1)
        for n, loss in enumerate(validation, start=1)
    ]


def test_the_epoch_with_the_lowest_validation_loss_is_kept() -> None:
    assert best(curve(2.0, 1.0, 1.5)).epoch == 2
    assert best(curve(2.0, 1.0, 1.0)).epoch == 2
    assert best(curve(None, None)).epoch == 2


@pytest.mark.parametrize(
    ("validation", "patience", "over"),
    [
        pytest.param([], 1, False, id="nothing is done yet"),
        pytest.param([3.0, 2.0], 1, False, id="it gets better"),
        pytest.param([3.0, 2.0, 2.5], 1, True, id="one epoch was worse"),
        pytest.param([3.0, 2.0, 2.0], 1, True, id="as low is not lower"),
        pytest.param([3.0, 2.0, 2.5], 2, False, id="patience is left"),
        pytest.param([3.0, 2.0, 2.5, 2.1], 2, True, id="better than the last is not lower than the best"),
        pytest.param([3.0, 2.0, 2.5, 1.9], 2, False, id="a new best begins anew"),
        pytest.param([3.0, 4.0, 5.0, 6.0], None, False, id="without patience all epochs are done"),
        pytest.param([3.0, 2.9, 2.8, 2.7, 2.6], None, True, id="all epochs are done"),
    ],
)
def test_when_training_is_over(validation: list[float], patience: int | None, over: bool) -> None:
    assert is_over(curve(*validation), 5, patience) is over


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [training.learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 <= rates[-1] < 0.001


def test_a_loss_counts_by_its_tokens() -> None:
    mean = Mean()
    mean.add(1.0, 1)
    mean.add(4.0, 2)
    assert mean.value == 3


def test_the_order_of_an_epoch_follows_from_its_number() -> None:
    first = training._shuffled(50, 0, 0)
    torch.rand(3)
    assert torch.equal(training._shuffled(50, 0, 0), first)
    assert not torch.equal(training._shuffled(50, 0, 1), first)
    assert not torch.equal(training._shuffled(50, 1, 0), first)
    assert sorted(first.tolist()) == list(range(50))
