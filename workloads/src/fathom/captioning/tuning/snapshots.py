"""The state of a training on disk: weights, the optimiser's moments, the place; each file appears whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import save_file

from fathom.captioning.tuning.curves import Place
from fathom.storage import appearing

_LAST: Final = "last.safetensors"
_BEST: Final = "best.safetensors"
_MOMENTS: Final = ("exp_avg", "exp_avg_sq", "step")
_PLACE: Final = TypeAdapter(Place)


class Snapshots:
    """Saves and restores the parameters that are trained, by name, and AdamW's state of them."""

    def __init__(
        self, folder: Path, trained: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.AdamW
    ) -> None:
        self._folder = folder
        self._trained = trained
        self._optimizer = optimizer

    def save(self, place: Place) -> None:
        """Save all that going on needs."""
        self._write(_LAST, self._weights() | self._moments(), {"place": _PLACE.dump_json(place).decode()})

    def restore(self) -> Place:
        """Take up what was saved last and return its place; a new one where nothing was."""
        file = self._folder / _LAST
        if not file.is_file():
            return Place()
        with safe_open(file, framework="pt") as saved:
            place = _PLACE.validate_json(saved.metadata()["place"])
            names = set(saved.keys())
            for name, parameter in self._trained.items():
                if f"step/{name}" in names:
                    # AdamW counts steps on the CPU.
                    self._optimizer.state[parameter] = {
                        key: saved.get_tensor(f"{key}/{name}").to(
                            "cpu" if key == "step" else parameter.device
                        )
                        for key in _MOMENTS
                    }
        self._load_weights(_LAST)
        return place

    def save_best(self) -> None:
        """Save the weights as those of the best epoch."""
        self._write(_BEST, self._weights(), {})

    def load_best(self) -> None:
        """Take the best epoch's weights."""
        self._load_weights(_BEST)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {f"weights/{name}": p.detach() for name, p in self._trained.items()}

    def _moments(self) -> dict[str, torch.Tensor]:
        state = self._optimizer.state
        return {
            f"{key}/{name}": state[p][key]
            for name, p in self._trained.items()
            if p in state
            for key in _MOMENTS
        }

    def _write(self, name: str, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        with appearing(self._folder / name) as path:
            save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata=metadata)

    @torch.no_grad()
    def _load_weights(self, name: str) -> None:
        with safe_open(self._folder / name, framework="pt") as saved:
            for parameter_name, parameter in self._trained.items():
                parameter.copy_(saved.get_tensor(f"weights/{parameter_name}"))
