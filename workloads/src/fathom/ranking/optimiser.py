"""Adam for rankers: every weight of the networks, but only the rows of the tables that a batch has touched.

A step then costs what its batch does, not what the tables do: 26 tables of 100,000 rows make Adam read and
write a gigabyte, a batch of a thousand interactions touches one row in a hundred of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

#: Rows of a table for each embedding looked up, up to which its gradient is added up as a whole.
FEW: Final = 4


class LazyAdam(Optimizer):
    """Adam (arXiv 1412.6980) over tables with sparse gradients: rows without a gradient wait.

    What dense Adam would have done to a row since it was last touched is made up for when it is touched
    again: its second moment v has decayed with every step, touched or not; and L2 of weight w has drawn it to
    zero, by exp(-lr w Δ / √v) after Δ steps. The first moment is left out: what momentum would add up to in
    the steps after is done at once, lr g / √v. So the row of something rare moves as far as with dense Adam,
    which is further than with `torch.optim.SparseAdam`. A dense gradient touches all rows.
    """

    def __init__(
        self, tables: Iterable[Tensor], lr: float, weight_decay: float, beta: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(tables, {"lr": lr, "weight_decay": weight_decay, "beta": beta, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do one step with the gradients there are."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, table.grad, group)

    def _update(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self._state(table)
        state["step"] += 1
        rows, values = touched(gradient)
        beta, lr, decay = group["beta"], group["lr"], group["weight_decay"]
        waited = (state["step"] - state["touched"].index_select(0, rows)).unsqueeze(1)
        state["touched"][rows] = state["step"]
        held = table.index_select(0, rows)
        moment = state["moment"].index_select(0, rows).mul_(beta**waited)
        moment.addcmul_(values, values, value=1 - beta)
        state["moment"].index_copy_(0, rows, moment)
        root = moment.div_(1 - beta ** float(state["step"])).sqrt_().add_(group["eps"])
        if decay:
            held.mul_(torch.exp(waited * (-lr * decay) / root))
        table.index_copy_(0, rows, held.addcdiv_(values, root, value=-lr))

    def _state(self, table: Tensor) -> dict[str, Any]:
        state = cast(dict[str, Any], self.state[table])
        if not state:
            state["step"] = torch.zeros(())
            state["moment"] = torch.zeros_like(table)
            state["touched"] = table.new_zeros(len(table))
        return state


def touched(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows [r] that `gradient` touches, each once, and their gradients [r, D]."""
    if not gradient.is_sparse:
        return torch.arange(len(gradient), device=gradient.device), gradient
    small = gradient.is_cpu and len(gradient) <= FEW * gradient._nnz()
    if gradient.is_coalesced() or not small:
        summed = gradient.coalesce()
        return summed.indices()[0], summed.values()
    # A small table: to add up all of its rows takes a third of the time that sorting the touched does.
    places, values = gradient._indices()[0], gradient._values()
    met = torch.zeros(len(gradient), dtype=torch.bool, device=values.device)
    met[places] = True
    rows = met.nonzero().squeeze(1)
    return rows, values.new_zeros(gradient.shape).index_add_(0, places, values).index_select(0, rows)


class Optimisers:
    """What trains a ranker: `LazyAdam` for its tables of embeddings, Adam for all else."""

    def __init__(self, model: nn.Module, lr: float, weight_decay: float, *, tables_decay: float) -> None:
        self.tables = sparse_tables(model)
        lazy = {id(table) for table in self.tables}
        self.dense = [p for p in model.parameters() if id(p) not in lazy]
        self.each: list[Optimizer] = [Adam(self.dense, lr=lr, weight_decay=weight_decay, fused=True)]
        if self.tables:
            self.each.append(LazyAdam(self.tables, lr, tables_decay))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimiser in self.each:
            optimiser.zero_grad()

    def sum_over_processes(self) -> None:
        """Replace each gradient by the sum of all processes'."""
        if dist.is_initialized() and dist.get_world_size() > 1:
            sum_dense([p.grad for p in self.dense if p.grad is not None])
            for table in self.tables:
                if table.grad is not None:
                    table.grad = sum_table(table.grad)

    def step(self) -> None:
        """Do one step with the gradients there are."""
        for optimiser in self.each:
            optimiser.step()

    def state(self) -> dict[Tensor, dict[str, Any]]:
        """Return what is kept of each parameter."""
        return dict(chain.from_iterable(o.state.items() for o in self.each))

    def restore(self, state: dict[Tensor, dict[str, Tensor]]) -> None:
        """Put back what `state` returned, wherever it is now."""
        for optimiser in self.each:
            for group in optimiser.param_groups:
                for parameter in group["params"]:
                    kept = state[parameter].items()
                    optimiser.state[parameter] = {name: value.to(parameter.device) for name, value in kept}


def sparse_tables(model: nn.Module) -> list[Tensor]:
    """Return the embedding tables of `model`, and make their gradients sparse."""
    tables: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = True
            tables.append(module.weight)
    return tables


def sum_dense(gradients: list[Tensor]) -> None:
    """Replace each gradient by the sum over processes, in one message."""
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def sum_table(gradient: Tensor) -> Tensor:
    """Return the sum over processes of a table's gradient: rows touched are sent, not the table."""
    if not gradient.is_sparse:
        dist.all_reduce(gradient)
        return gradient
    rows, values = touched(gradient)
    size = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.zeros_like(size) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, size)
    counts = [int(s) for s in sizes]
    every_row, every_value = _gather(rows, counts), _gather(values, counts)
    return torch.sparse_coo_tensor(every_row.unsqueeze(0), every_value, gradient.shape)


def _gather(mine: Tensor, counts: list[int]) -> Tensor:
    """Return the rows of all processes, one after the other; process p has `counts[p]`."""
    padded = mine.new_zeros(max(counts), *mine.shape[1:])
    padded[: len(mine)] = mine
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
