"""Training a ranker: epochs of steps, each on one batch that all processes share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from fathom.ranking import metrics, sharding
from fathom.ranking.batches import Pairs, batch, predict
from fathom.ranking.checkpoint import Checkpoints, Learned, State, advance
from fathom.ranking.initialisation import shrink_rare
from fathom.ranking.inputs import Inputs, Job
from fathom.ranking.losses import total_loss
from fathom.ranking.model import Ranker
from fathom.ranking.occurrences import of_both_sides
from fathom.ranking.optimiser import Optimisers
from fathom.ranking.regularisation import FrequencyPenalty
from fathom.ranking.stream.shuffle import shuffled
from fathom_api.progress import Progress


class DivergedError(Exception):
    """The loss is not a number any more; nothing can be learned from there."""


@dataclass
class Trainer:
    """One of the processes that train a ranker together; the group of processes must exist.

    Attributes:
        job: what to train.
        inputs: on what.
        device: where this process computes.
        report: told how far training is, in process 0.
        give_up: asked after each epoch, in process 0, whether to leave it at that.
    """

    job: Job
    inputs: Inputs
    device: torch.device
    report: Callable[[Progress], None]
    give_up: Callable[[State], bool] = lambda state: False

    def __post_init__(self) -> None:
        training = self.job.training
        torch.manual_seed(training.seed)
        self.model = Ranker(self.job.features, self.job.model, sharding.tables(training, self.device))
        self.model.start_at(*_rates(self.inputs.train))
        self.model.to(self.device)
        used = of_both_sides(self.model, self.inputs.tables, self.inputs.train)
        shrink_rare(used)
        strength = training.frequency_regularisation
        self.penalty = FrequencyPenalty(used, strength) if strength else None
        # The penalty is the tables' own, in place of decay.
        tables_decay = 0.0 if self.penalty else training.weight_decay
        self.optimiser = Optimisers(
            self.model, training.learning_rate, training.weight_decay, tables_decay=tables_decay
        )
        self.rows = len(self.inputs.train.label)

    def run(self, checkpoints: Checkpoints) -> State:
        """Train until there are no more epochs to do; goes on from the last checkpoint.

        Raises:
            DivergedError: the loss is not finite.
        """
        state = checkpoints.state(self.job.made_from)
        if state.epoch:
            checkpoints.restore(state, self.model, self.optimiser)
        training = self.job.training
        while not state.finished:
            loss = self._epoch(state)
            if not math.isfinite(loss):
                raise DivergedError
            auc = self._validation_auc()
            state = advance(state, loss, auc, epochs=training.epochs, patience=training.patience)
            learned = Learned.by(self.model, self.optimiser)
            if dist.get_rank() == 0:
                checkpoints.save(state, learned)
                self._tell(state, 0, loss)
            if self._gives_up(state):
                break
        return state

    def _gives_up(self, state: State) -> bool:
        """Return what process 0 says, the same in every process."""
        said = torch.zeros((), device=self.device)
        if dist.get_rank() == 0:
            said.fill_(float(self.give_up(state)))
        dist.broadcast(said, 0)
        return bool(said)

    def _epoch(self, state: State) -> float:
        """Do one epoch and return its mean loss."""
        self.model.train()
        torch.manual_seed(_seed(self.job.training.seed, state.epoch, dist.get_rank()))
        total, done = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for at, weight, hidden, size in self._batches(state.epoch):
            loss = self._step(at, weight, hidden, size)
            total += loss.detach() * size
            done += size
            if dist.get_rank() == 0:
                self._tell(state, done, None)
        dist.all_reduce(total)
        return float(total) / self.rows

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Yield for each batch this process's rows, their weights, what is hidden, and the batch's size.

        Order and hiding do not depend on the number of processes.
        """
        generator = np.random.default_rng([self.job.training.seed, epoch])
        for order in shuffled(self.rows, generator):
            hidden = generator.random(len(order)) < self.job.training.id_dropout
            pieces = math.ceil(len(order) / self.job.training.batch_size)
            for places in np.array_split(np.arange(len(order)), pieces):
                mine, weight = part(places, dist.get_rank(), dist.get_world_size())
                at, hide, weigh = (
                    torch.from_numpy(values).to(self.device) for values in (order[mine], hidden[mine], weight)
                )
                yield at, weigh, hide, len(places)

    def _step(self, at: Tensor, weight: Tensor, hidden: Tensor, size: int) -> Tensor:
        """Do one step and return this process's part of the batch's mean loss."""
        pairs = self.inputs.train
        inputs = batch(self.inputs.tables, pairs, at, self.job.features.history, hidden)
        tasks = None if pairs.tasks is None else pairs.tasks[at]
        importance = [task.weight for task in self.job.training.tasks]
        losses = total_loss(self.model.all_tasks(inputs), pairs.label[at], tasks, importance, weight)
        self.optimiser.zero_grad()
        # Gradients are summed over processes: each gives its part of the batch's mean loss.
        mine = losses / size
        mine.backward()
        self.optimiser.sum_over_processes()
        if self.penalty:
            self.penalty.add_gradients()
        self.optimiser.step()
        return mine

    def _validation_auc(self) -> float:
        """Return the AUC on the validation split, the same number in every process."""
        pairs, rank, processes = self.inputs.validation, dist.get_rank(), dist.get_world_size()
        mine, _ = part(np.arange(len(pairs.label)), rank, processes)
        rows = torch.from_numpy(mine).to(self.device)
        own = predict(self.model, self.inputs.tables, pairs, self.job.features.history, rows)
        scored = torch.from_numpy(own).to(self.device)
        parts = [torch.empty_like(scored) for _ in range(processes)]
        dist.all_gather(parts, scored)
        # Row r is of process r % processes; what fills up the parts comes last.
        scores = torch.stack(parts, dim=1).flatten()[: len(pairs.label)]
        auc = torch.zeros((), dtype=torch.float64, device=self.device)
        if rank == 0:
            auc.fill_(metrics.auc(pairs.label.cpu().numpy(), scores.cpu().numpy()))
        dist.broadcast(auc, 0)
        return float(auc)

    def _tell(self, state: State, done: int, loss: float | None) -> None:
        rows = state.epoch * self.rows + done
        total = (state.epoch if state.finished else self.job.training.epochs) * self.rows
        numbers = {"epoch": round(rows / self.rows, 2), "percent": round(100 * rows / total, 1)}
        if state.curve:
            numbers |= {name: state.curve[-1][name] for name in ("loss", "validation_auc")}
        if loss is not None:
            numbers["loss"] = loss
        self.report(Progress(total=total, done=rows, metrics=numbers))


def _rates(pairs: Pairs) -> list[float]:
    """Return the share of positives of each task, short of 0 and 1, which no model should begin with."""
    further = [] if pairs.tasks is None else list(pairs.tasks.nanmean(dim=0, dtype=torch.float64))
    means = torch.stack([pairs.label.mean(dtype=torch.float64), *further]).nan_to_num(0.5)
    return means.clamp(1e-4, 1 - 1e-4).tolist()


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def part(rows: NDArray[np.int64], rank: int, processes: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return one process's part of a batch's `rows` and their weights.

    All parts are of one length, so that every process takes part in every step; filling weighs nothing.
    """
    mine = rows[rank::processes]
    missing = math.ceil(len(rows) / processes) - len(mine)
    weight = np.concatenate([np.ones(len(mine)), np.zeros(missing)]).astype(np.float32)
    return np.concatenate([mine, rows[:missing]]), weight
