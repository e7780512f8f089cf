"""Checkpoints at the end of each epoch: from one, training goes on as if it had never stopped.

Nothing random is stored: every epoch seeds its own generators from the training's seed and its number.
Tensors go to safetensors files with new names; `state.json`, renamed into place last, says which ones count.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fathom.ranking import sharding
from fathom.ranking.optimiser import Optimisers
from fathom.storage import appearing
from fathom_api.meta import StatusModel

STATE: Final = "state.json"
_log = logging.getLogger("fathom")


class State(StatusModel):
    """How far training is."""

    made_from: str = Field(description="Digest of everything the weights depend on.")
    curve: list[dict[str, float]] = Field(
        default_factory=list[dict[str, float]],
        description="epoch, loss, validation_auc of each epoch.",
    )
    best: int = Field(
        default=0, description="Epoch with the best validation AUC, from 1; the earlier of two."
    )
    finished: bool = Field(default=False, description="No more epochs.")

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.curve)


def advance(state: State, loss: float, validation_auc: float, *, epochs: int, patience: int) -> State:
    """Return the state after one more epoch: finished after `epochs`, or `patience` without a better AUC."""
    epoch = state.epoch + 1
    point = {"epoch": float(epoch), "loss": loss, "validation_auc": validation_auc}
    record = state.curve[state.best - 1]["validation_auc"] if state.best else float("-inf")
    best = epoch if validation_auc > record or not state.best else state.best
    finished = epoch >= epochs or epoch - best >= patience
    return state.model_copy(update={"curve": [*state.curve, point], "best": best, "finished": finished})


class Learned(NamedTuple):
    """What a checkpoint holds: the model's weights and the optimiser's moments, by name."""

    weights: dict[str, Tensor]
    moments: dict[str, Tensor]

    @classmethod
    def by(cls, model: nn.Module, optimiser: Optimisers) -> Learned:
        """Return what was learned. Every process calls it: process 0 gets all rows of divided tables."""
        return cls(model.state_dict(), _moments(model, optimiser))


class Checkpoints:
    """The checkpoints in one folder: the last epoch's, and the best epoch's weights."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def state(self, made_from: str) -> State:
        """Return how far training from `made_from` is; a checkpoint of anything else does not count."""
        path = self._folder / STATE
        if not path.is_file():
            return State(made_from=made_from)
        state = State.model_validate_json(path.read_bytes())
        if state.made_from == made_from:
            return state
        _log.warning("%s: checkpoints of other data or parameters; training begins anew", self._folder)
        return State(made_from=made_from)

    def save(self, state: State, learned: Learned) -> None:
        """Keep what was learned until `state`, and drop what is not needed any more."""
        self._write(self._last(state), {**_prefixed("model", learned.weights), **learned.moments})
        if state.best == state.epoch:
            self._write(self._best(state), learned.weights)
        with appearing(self._folder / STATE) as path:
            path.write_text(state.model_dump_json(by_alias=True, indent=2))
        for file in self._folder.glob("*.safetensors"):
            if file not in {self._last(state), self._best(state)}:
                file.unlink()

    def restore(self, state: State, model: nn.Module, optimiser: Optimisers) -> None:
        """Put model and optimiser back to where they were at `state`."""
        tensors = load_file(self._last(state))
        model.load_state_dict(_without("model", tensors))
        optimiser.restore({p: _without(f"optimiser.{name}", tensors) for name, p in model.named_parameters()})
        for name, table in sharding.tables_of(model).items():
            table.put_back_sums(tensors[_sums_of(name)])

    def best(self, state: State) -> dict[str, Tensor]:
        """Return the weights of the best epoch."""
        return load_file(self._best(state))

    def _last(self, state: State) -> Path:
        return self._folder / f"epoch-{state.epoch:05d}.safetensors"

    def _best(self, state: State) -> Path:
        return self._folder / f"best-{state.best:05d}.safetensors"

    def _write(self, path: Path, tensors: dict[str, Tensor]) -> None:
        with appearing(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _without(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(f"{prefix}."): t for n, t in tensors.items() if n.startswith(f"{prefix}.")}


def _moments(model: nn.Module, optimiser: Optimisers) -> dict[str, Tensor]:
    """Return the optimiser's tensors by the name of their parameter."""
    found: dict[str, Tensor] = {}
    kept = optimiser.state()
    for name, parameter in model.named_parameters():
        state: dict[str, Any] = kept.get(parameter, {})
        found |= _prefixed(f"optimiser.{name}", {k: torch.as_tensor(v) for k, v in state.items()})
    return found | {_sums_of(name): table.sums() for name, table in sharding.tables_of(model).items()}


def _sums_of(table: str) -> str:
    return f"optimiser.{table}.sums"
