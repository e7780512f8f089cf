"""Several labels are learned together; what is missing counts for nothing."""

import math

import pytest
import torch
from torch import Tensor

from fathom.ranking.losses import total_loss

NAN = float("nan")


def entropy(logit: float, label: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return -math.log(p if label else 1 - p)


def loss(tasks: list[list[float]] | None, importance: list[float], weight: list[float]) -> Tensor:
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.5, -2.0, 3.0]])
    further = None if tasks is None else torch.tensor(tasks, dtype=torch.float32)
    label, rows = torch.tensor([1.0, 0.0]), torch.tensor(weight, dtype=torch.float32)
    return total_loss(logits[:, : 1 + len(importance)], label, further, importance, rows)


MAIN = [entropy(1, 1), entropy(0.5, 0)]


@pytest.mark.parametrize(
    ("tasks", "importance", "weight", "expected"),
    [
        pytest.param(None, [], [1, 1], sum(MAIN), id="the main label alone"),
        pytest.param(
            [[1, 0], [0, 0]],
            [0.5, 2.0],
            [1, 1],
            sum(MAIN) + 0.5 * (entropy(2, 1) + entropy(-2, 0)) + 2 * (entropy(-1, 0) + entropy(3, 0)),
            id="each further label by its importance",
        ),
        pytest.param(
            [[NAN, 0], [0, NAN]],
            [0.5, 2.0],
            [1, 1],
            sum(MAIN) + 0.5 * entropy(-2, 0) + 2 * entropy(-1, 0),
            id="missing labels count for nothing",
        ),
        pytest.param(
            [[1, 0], [0, 0]],
            [0.5, 2.0],
            [1, 0],
            MAIN[0] + 0.5 * entropy(2, 1) + 2 * entropy(-1, 0),
            id="a row that only fills a batch counts for nothing",
        ),
    ],
)
def test_the_loss_is_the_weighted_sum_of_cross_entropies(
    tasks: list[list[float]] | None, importance: list[float], weight: list[float], expected: float
) -> None:
    assert float(loss(tasks, importance, weight)) == pytest.approx(expected, rel=1e-5)


def test_missing_labels_leave_gradients_finite() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    total_loss(logits, torch.ones(1), torch.tensor([[NAN]]), [1.0], torch.ones(1)).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-0.5, 0.0]]
