"""The training loop: AdamW with a cosine, the best epoch kept, interrupted at any step without a trace."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, Protocol

import torch

from fathom.captioning.stopping import Stop
from fathom.captioning.tuning.batches import Encode
from fathom.captioning.tuning.curves import MAX_POINTS, Epoch, Mean, Point, best, is_over
from fathom.captioning.tuning.pairs import Pair, Part
from fathom.captioning.tuning.snapshots import Snapshots
from fathom.errors import InvalidInputError

_WARM_UP: Final = 0.05
_CLIP: Final = 1.0
_WEIGHT_DECAY: Final = 0.01
#: Seconds between two snapshots within an epoch, and the most of the time that may go into them.
_INTERVAL: Final = 300.0
_SAVING: Final = 0.05
#: Takes the numbers of a step by name: epoch, loss, learning_rate, and validation_loss once there is one.
Step = Callable[[dict[str, float]], None]


class Settings(Protocol):
    """What the loop is told of how to train; `FineTune` says it of captioners."""

    @property
    def epochs(self) -> int:
        """Most passes over the examples."""
        ...

    @property
    def patience(self) -> int | None:
        """Epochs without a lower validation loss after which it ends; never early if None."""
        ...

    @property
    def batch_size(self) -> int:
        """Examples a step."""
        ...

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the order and of dropout."""
        ...


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Return the rate of `step` of `steps`: a linear rise over the first 5%, then a cosine down to 0."""
    rise = max(1, round(steps * _WARM_UP))
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class Training:
    """Trains the parameters of a model that want a gradient; goes on where a snapshot was taken.

    The order of an epoch and everything random in a step follow from their numbers, so a training that was
    interrupted ends in the same weights as one that was not.
    """

    def __init__(
        self,
        model: Any,
        settings: Settings,
        folder: Path,
        *,
        precision: torch.dtype | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the model and the folder of its state; matrix products are taken in `precision`.

        How far an earlier life came is in `place`.
        """
        self._model = model
        self._settings = settings
        self._precision = precision
        self._stop = Stop()
        self._clock = clock
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(self._groups(), lr=settings.learning_rate)
        self._snapshots = Snapshots(folder, self._trained, self._optimizer)
        self.place = self._snapshots.restore()
        self._due = clock() + _INTERVAL

    def run(self, encode: Encode, training: Part, validation: Part, step: Step, stop: Stop) -> None:
        """Train the epochs that are left, telling `step` of each step, then take the best epoch's weights.

        Raises:
            SystemExit: `stop` told us to; a snapshot was taken.
            InvalidInputError: the loss is no number any more, or a batch does not fit into memory.
        """
        settings, place, self._stop = self._settings, self.place, stop
        while not is_over(place.curve, settings.epochs, settings.patience):
            rate = self._epoch(encode, training, step)
            measured = self.measure(encode, validation)
            place.curve.append(
                Epoch(
                    epoch=len(place.curve) + 1,
                    loss=place.epoch_loss.value,
                    validation_loss=measured,
                    learning_rate=rate,
                )
            )
            place.steps, place.epoch_loss = 0, Mean()
            if best(place.curve).epoch == len(place.curve):
                self._snapshots.save_best()
            self._save()
        self._snapshots.load_best()

    @torch.inference_mode()
    def measure(self, encode: Encode, pairs: Part) -> float | None:
        """Return the loss on `pairs`, nats a token; None where there are none."""
        self._model.eval()
        mean = Mean()
        for batch in pairs.batches(self._settings.batch_size):
            loss, count = self._loss(encode, batch)
            mean.add(self._number(loss), count)
            self._breathe()
        return mean.value if mean.tokens else None

    def _epoch(self, encode: Encode, pairs: Part, step: Step) -> float:
        """Do the steps of the current epoch that are left; return the last one's learning rate."""
        size, number = self._settings.batch_size, len(self.place.curve)
        each = -(-len(pairs) // size)
        order = _shuffled(len(pairs), self._settings.seed, number)
        self._model.train()
        while self.place.steps < each:
            start = self.place.steps * size
            batch = pairs.take(order[start : start + size].tolist())
            self._step(encode, batch, each)
            step(self._numbers(each))
            self._breathe()
        return self._rate(each, -1)

    def _step(self, encode: Encode, batch: list[Pair], each: int) -> None:
        """Learn from `batch`, the next of the `each` steps of an epoch."""
        place = self.place
        done = len(place.curve) * each + place.steps
        torch.manual_seed(_seed(self._settings.seed, "step", done))
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate(each)
        loss, count = self._loss(encode, batch)
        value = self._number(loss.detach())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained.values(), _CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()
        place.epoch_loss.add(value, count)
        place.point_loss.add(value, count)
        place.steps += 1
        self._mark(done + 1, each)

    def _mark(self, done: int, each: int) -> None:
        """Add a point to the curve if it is time."""
        if done % -(-self._settings.epochs * each // MAX_POINTS) == 0:
            self.place.points.append(
                Point(
                    step=done,
                    epoch=done / each,
                    loss=self.place.point_loss.value,
                    learning_rate=self._rate(each, -1),
                )
            )
            self.place.point_loss = Mean()

    def _numbers(self, each: int) -> dict[str, float]:
        place = self.place
        last = place.curve[-1].validation_loss if place.curve else None
        measured = {} if last is None else {"validation_loss": last}
        return {
            "epoch": len(place.curve) + place.steps / each,
            "loss": place.epoch_loss.value,
            "learning_rate": self._rate(each, -1),
            **measured,
        }

    def _rate(self, each: int, ahead: int = 0) -> float:
        """Return the learning rate of the step that comes, or of one `ahead` of it."""
        step = len(self.place.curve) * each + self.place.steps + ahead
        return learning_rate(step, self._settings.epochs * each, self._settings.learning_rate)

    def _loss(self, encode: Encode, batch: list[Pair]) -> tuple[torch.Tensor, int]:
        """Return the mean loss of a batch and the number of its tokens."""
        inputs = encode(batch)
        count = int((inputs["labels"] != -100).sum())
        try:
            with self._autocast():
                return self._model(**inputs).loss, count
        except torch.OutOfMemoryError as error:
            raise InvalidInputError(
                "OutOfMemory",
                f"a batch of {len(batch)} pairs does not fit into the GPU's memory: "
                "lower fineTune.batchSize, or use method: LoRA",
            ) from error

    def _number(self, loss: torch.Tensor) -> float:
        value = float(loss)
        if not math.isfinite(value):
            raise InvalidInputError(
                "Diverged",
                f"the loss became {value} in epoch {len(self.place.curve) + 1}: lower fineTune.learningRate",
            )
        return value

    def _breathe(self) -> None:
        """Take a snapshot if it is time or we were told to stop, and then do stop."""
        if self._stop.signal is not None or self._clock() >= self._due:
            self._save()
        self._stop.check()

    def _save(self) -> None:
        begun = self._clock()
        self._snapshots.save(self.place)
        now = self._clock()
        # A model of many gigabytes on a slow volume would otherwise be saved more than it is trained.
        self._due = now + max(_INTERVAL, (now - begun) / _SAVING)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._precision is None:
            return nullcontext()
        return torch.autocast(self._model.device.type, self._precision)

    def _groups(self) -> list[dict[str, Any]]:
        matrices = [p for p in self._trained.values() if p.ndim > 1]
        others = [p for p in self._trained.values() if p.ndim <= 1]
        return [{"params": matrices, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]


def _shuffled(count: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the order of an epoch's pairs [count]."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(_seed(seed, "epoch", epoch)))


def _seed(seed: int, what: str, number: int) -> int:
    # torch's generator on a CPU looks at 32 bits only.
    return int.from_bytes(hashlib.blake2b(f"{seed}:{what}:{number}".encode(), digest_size=4).digest())
