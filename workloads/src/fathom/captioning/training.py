"""The training loop: AdamW with a cosine, a checkpoint after each epoch, the best epoch kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fathom.captioning.batches import Encode
from fathom.captioning.pairs import Pair
from fathom.storage import appearing
from fathom_api.captioning import FineTune

CURVE: Final = "curve.json"
_WARM_UP: Final = 0.05
_CLIP: Final = 1.0
_WEIGHT_DECAY: Final = 0.01
#: Takes the numbers of a step by name: epoch, loss, and validation_loss once there is one.
Step = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Epoch:
    """What an epoch ended with, in nats a token."""

    epoch: int
    loss: float
    validation_loss: float | None


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Return the rate of `step` of `steps`: a linear rise over the first 5%, then a cosine down to 0."""
    rise = max(1, round(steps * _WARM_UP))
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def best(curve: list[Epoch]) -> Epoch:
    """Return the epoch with the lowest loss on held-out pairs; without any, the last one."""
    measured = [epoch for epoch in curve if epoch.validation_loss is not None]
    return min(measured, key=lambda e: e.validation_loss or 0.0) if measured else curve[-1]


def read_curve(folder: Path) -> list[Epoch]:
    """Return the curve that a finished training left beside its model."""
    return [Epoch(**epoch) for epoch in json.loads((folder / CURVE).read_text())]


class Training:
    """Trains the parameters of a model that want a gradient; goes on after the last epoch saved."""

    def __init__(
        self, model: Any, settings: FineTune, folder: Path, *, precision: torch.dtype | None
    ) -> None:
        """Take the model and the folder of its state; matrix products are taken in `precision`.

        Epochs already trained are in `curve`.
        """
        self._model = model
        self._settings = settings
        self._folder = folder
        self._precision = precision
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(self._groups(), lr=settings.learning_rate)
        self.curve: list[Epoch] = []
        self._resume()

    def run(self, encode: Encode, training: list[Pair], validation: list[Pair], step: Step) -> None:
        """Train the epochs that are left, telling `step` of each step, then take the best epoch's weights."""
        for number in range(len(self.curve), self._settings.epochs):
            loss = self._epoch(number, encode, training, step)
            self.curve.append(Epoch(number + 1, loss, self.measure(encode, validation)))
            if best(self.curve).epoch == number + 1:
                self._save("best.safetensors", self._weights())
            self._save("last.safetensors", self._weights() | self._moments())
        self._load_weights("best.safetensors")

    @torch.inference_mode()
    def measure(self, encode: Encode, pairs: list[Pair]) -> float | None:
        """Return the loss on `pairs`, nats a token."""
        self._model.eval()
        total = tokens = 0.0
        for batch in _batches(pairs, self._settings.batch_size):
            loss, count = self._loss(encode(batch))
            total, tokens = total + float(loss) * count, tokens + count
        return total / tokens if tokens else None

    def _epoch(self, number: int, encode: Encode, pairs: list[Pair], step: Step) -> float:
        # Everything random in an epoch follows from its number, so that an epoch trained again is the same.
        torch.manual_seed(self._settings.seed * 10_007 + number)
        order = torch.randperm(len(pairs)).tolist()
        batches = list(_batches([pairs[i] for i in order], self._settings.batch_size))
        self._model.train()
        total = tokens = 0.0
        for place, batch in enumerate(batches):
            self._set_rate(number * len(batches) + place, self._settings.epochs * len(batches))
            loss, count = self._loss(encode(batch))
            self._update(loss)
            total, tokens = total + float(loss.detach()) * count, tokens + count
            step({"epoch": number + (place + 1) / len(batches), "loss": total / tokens, **self._measured()})
        return total / tokens

    def _measured(self) -> dict[str, float]:
        last = self.curve[-1].validation_loss if self.curve else None
        return {} if last is None else {"validation_loss": last}

    def _loss(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, int]:
        count = int((inputs["labels"] != -100).sum())
        with self._autocast():
            return self._model(**inputs).loss, count

    def _update(self, loss: torch.Tensor) -> None:
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained.values(), _CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def _set_rate(self, step: int, steps: int) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, self._settings.learning_rate)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._precision is None:
            return nullcontext()
        return torch.autocast(self._model.device.type, self._precision)

    def _groups(self) -> list[dict[str, Any]]:
        matrices = [p for p in self._trained.values() if p.ndim > 1]
        others = [p for p in self._trained.values() if p.ndim <= 1]
        return [{"params": matrices, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]

    def _weights(self) -> dict[str, torch.Tensor]:
        return {f"weights/{name}": p.detach() for name, p in self._trained.items()}

    def _moments(self) -> dict[str, torch.Tensor]:
        state = self._optimizer.state
        return {
            f"{key}/{name}": state[p][key].reshape(state[p][key].shape)
            for name, p in self._trained.items()
            if p in state
            for key in ("exp_avg", "exp_avg_sq", "step")
        }

    def curve_json(self) -> str:
        """Return the curve as JSON, one object an epoch."""
        return json.dumps([asdict(epoch) for epoch in self.curve])

    def _save(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        with appearing(self._folder / name) as path:
            save_file(
                {k: v.contiguous() for k, v in tensors.items()}, path, metadata={"curve": self.curve_json()}
            )

    def _resume(self) -> None:
        file = self._folder / "last.safetensors"
        if not file.is_file():
            return
        with safe_open(file, framework="pt") as saved:
            self.curve = [Epoch(**epoch) for epoch in json.loads(saved.metadata()["curve"])]
            for name, parameter in self._trained.items():
                if f"step/{name}" in saved.keys():  # noqa: SIM118  not a mapping
                    keys = ("exp_avg", "exp_avg_sq", "step")
                    # AdamW counts steps on the CPU.
                    self._optimizer.state[parameter] = {
                        k: saved.get_tensor(f"{k}/{name}").to("cpu" if k == "step" else parameter.device)
                        for k in keys
                    }
        self._load_weights(file.name)

    @torch.no_grad()
    def _load_weights(self, name: str) -> None:
        with safe_open(self._folder / name, framework="pt") as saved:
            for parameter_name, parameter in self._trained.items():
                parameter.copy_(saved.get_tensor(f"weights/{parameter_name}"))


def _batches(pairs: list[Pair], size: int) -> Iterator[list[Pair]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
