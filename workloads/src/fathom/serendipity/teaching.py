"""Teaching a planner: transitions and a model in, a version of a Hugging Face checkpoint out.

The loop, its snapshots, adapters and versions are those of fine-tuned captioners: an interrupted teaching
goes on where it was, and a finished one is left alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import torch

from fathom.captioning.models import checkpoint
from fathom.captioning.stopping import on_sigterm
from fathom.captioning.tuning import lora, versions
from fathom.captioning.tuning.training import Training
from fathom.captioning.tuning.versions import Version
from fathom.errors import InvalidInputError
from fathom.serendipity import opening, small_planner
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.planner import lesson
from fathom.serendipity.prompts import Style
from fathom.serendipity.spread import spread
from fathom.serendipity.transitions import Lessons, Transitions
from fathom_api.captioning import CaptionModel, Lora

#: Part of a planner's identity: a change of how planners are taught makes other ones.
_RECIPE: Final = "1"
_STATE: Final = ".checkpoints"
#: Validation transitions whose loss is measured after each epoch.
_MEASURED: Final = 2000

_Example = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Teaching:
    """How a planner is taught.

    Attributes:
        method: Full: all weights. LoRA: adapters, merged in the end.
        lora: the adapters.
        epochs: most passes over the transitions.
        patience: epochs without a lower validation loss after which it ends; never early if None.
        batch_size: transitions a step.
        learning_rate: peak, AdamW with a cosine.
        most_often: a transition is learned as often an epoch as users made it, so often at most.
        seed: of all that is random.
    """

    method: Literal["Full", "LoRA"] = "Full"
    lora: Lora = field(default_factory=Lora)
    epochs: int = 5
    patience: int | None = 1
    batch_size: int = 64
    learning_rate: float = 1e-3
    most_often: int = 5
    seed: int = 0


def teach(  # noqa: PLR0917 (what a planner is made of)
    model: CaptionModel,
    lessons: Lessons,
    clusters: Clusters,
    output: Path,
    teaching: Teaching,
    style: Style,
    told: Callable[[dict[str, float]], None] = lambda _: None,
) -> Version:
    """Teach `model` (`fathom://small-planner`, or any at `hf://…` or a path) and return its version.

    `told` is called after each step with its numbers. The epoch with the lowest loss on the latest
    transitions is kept.

    Raises:
        InvalidInputError: the model cannot be opened or taught, or there is nothing to learn.
    """
    made_from = identity(model, lessons, clusters, teaching, style)
    version = versions.find(output, made_from)
    if version is None:
        version = _teach(model, lessons, clusters, output, teaching, style, told, made_from)
    versions.point(output, version)
    shutil.rmtree(output / _STATE, ignore_errors=True)
    return version


def identity(
    model: CaptionModel, lessons: Lessons, clusters: Clusters, teaching: Teaching, style: Style
) -> dict[str, str]:
    """Return all that a taught planner depends on."""
    small = model.place == small_planner.URI
    settings = {**asdict(teaching), "lora": teaching.lora.document() if teaching.method == "LoRA" else None}
    names = [(c.id, c.name, c.keywords, c.summary) for c in clusters.finest]
    return {
        "model": small_planner.URI if small else checkpoint.find(model).digest,
        "transitions": _digest(
            [column.tolist() for column in (*lessons.train.columns(), *lessons.validation.columns())]
        ),
        "clusters": _digest(names),
        "settings": json.dumps(settings, sort_keys=True),
        "style": json.dumps(style.identity(), sort_keys=True),
        "recipe": _RECIPE,
    }


def _teach(  # noqa: PLR0917 (as above)
    model: CaptionModel,
    lessons: Lessons,
    clusters: Clusters,
    output: Path,
    teaching: Teaching,
    style: Style,
    told: Callable[[dict[str, float]], None],
    made_from: dict[str, str],
) -> Version:
    if not len(lessons.train):
        raise InvalidInputError(
            "NothingToLearn", "there are no transitions to learn from; give more interactions"
        )
    if model.place == small_planner.URI:
        if teaching.method == "LoRA":
            raise InvalidInputError(
                "NotTrained",
                f"{small_planner.URI} starts from nothing, which adapters cannot teach: use method Full",
            )
        opened, tokenizer = small_planner.build(clusters, style, teaching.seed)
        opened = opened.to(checkpoint.device())  # type: ignore[arg-type]  torch's own
    else:
        opened, tokenizer = opening.open_language_model(model, for_teaching=teaching.method == "Full")
    adapted = (
        lora.attach(opened, teaching.lora, base=model.place, seed=teaching.seed)
        if teaching.method == "LoRA"
        else None
    )
    state = output / _STATE / _digest(made_from)[:16]
    precision = torch.bfloat16 if opened.device.type == "cuda" else None
    training = Training(opened, teaching, state, precision=precision)
    train = _Part(_examples(tokenizer, style, clusters, lessons.train, teaching.most_often))
    late = lessons.validation.where(np.array(spread(len(lessons.validation), _MEASURED), np.int64))
    measured = _Part(_examples(tokenizer, style, clusters, late, 1))
    encode = _Batches(tokenizer.pad_token_id, opened.device)
    with on_sigterm() as stop:
        # The loop knows of pairs only that they can be taken, counted and encoded.
        training.run(cast(Any, encode), cast(Any, train), cast(Any, measured), told, stop)
    if adapted is not None:
        lora.merge(adapted)
    with versions.folder(output) as new:
        opened.save_pretrained(new)
        tokenizer.save_pretrained(new)
        curve = [epoch.document() for epoch in training.place.curve]
        opening.describe(new, style, curve)
        counts = {"transitions": len(lessons.train), "clusters": len(clusters.finest)}
        return versions.seal(output, new, counts=counts, made_from=made_from)


class _Part:
    """Examples as the training loop takes them."""

    def __init__(self, examples: Sequence[_Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def take(self, places: Iterable[int]) -> list[_Example]:
        """Return the examples at these places."""
        return [self._examples[place] for place in places]

    def batches(self, size: int) -> Iterator[list[_Example]]:
        """Yield all examples in order."""
        for start in range(0, len(self), size):
            yield self.take(range(start, min(start + size, len(self))))


class _Batches:
    """Makes a model's input of examples: prompts, then answers as labels, padded on the left."""

    def __init__(self, pad: int, where: torch.device) -> None:
        self._pad, self._where = pad, where

    def __call__(self, batch: Sequence[_Example]) -> dict[str, torch.Tensor]:
        longest = max(len(asked) + len(answer) for asked, answer in batch)
        ids, mask, labels = [], [], []
        for asked, answer in batch:
            left = longest - len(asked) - len(answer)
            ids.append([self._pad] * left + asked + answer)
            mask.append([0] * left + [1] * (longest - left))
            labels.append([-100] * (left + len(asked)) + answer)
        columns = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {name: torch.tensor(rows).to(self._where) for name, rows in columns.items()}


def _examples(
    tokenizer: Any, style: Style, clusters: Clusters, found: Transitions, most_often: int
) -> list[_Example]:
    finest = clusters.finest
    made: list[_Example] = []
    for first, second, target, count in zip(
        found.first.tolist(), found.second.tolist(), found.target.tolist(), found.count.tolist(), strict=True
    ):
        one = lesson(tokenizer, style, (finest[first], finest[second]), finest[target])
        made += [one] * min(count, most_often)
    return made


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
