"""`fathom featurise`: captions in, token ids out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from fathom import manifest, memory, storage
from fathom.captioning.store.captions import Captions
from fathom.errors import InvalidInputError
from fathom.features import aspect, coverage, drift
from fathom.features.coverage import Coverage
from fathom.features.tokenisers import Tokeniser, open_tokeniser
from fathom.features.tokenisers.base import Batch
from fathom.progress import Reporter, reporter
from fathom.storage import Location
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import FeaturiseTask

FOLDER: Final = "features"
KIND: Final = "Features"
#: Raised whenever the same captions and parameters come to give other features.
_FORMAT: Final = "2"


class Run(Protocol):
    """The captions of a run."""

    @property
    def count(self) -> int:
        """Items with a caption."""
        ...

    @property
    def aspects(self) -> list[str]:
        """What was asked about each."""
        ...

    def digest(self) -> str:
        """Return a digest of all captions."""
        ...

    def batches(self, name: str, /) -> Iterator[Batch]:
        """Yield the captions of an aspect."""
        ...

    def samples(self, name: str, /) -> Iterator[Batch]:
        """Yield what was sampled of an aspect, an item's samples one after the other."""
        ...

    def previous(self) -> Iterator[Any]:
        """Yield item_id, aspect and caption of the run before."""
        ...


def featurise(task: FeaturiseTask) -> Outcome:
    """Write the features of all captions below the task's folder, unless they are there, and the report.

    Raises:
        InvalidInputError: a shard is unfinished, its captions are damaged, or the tokenizer cannot be had.
    """
    from fathom.report import captions as report

    memory.keep_freed()
    root = storage.existing(task.output)
    captions = Captions(root, task.shards)
    outcome = write(task, root, captions)
    report.write(root, task, captions)
    return outcome


def write(task: FeaturiseTask, root: Location, captions: Run) -> Outcome:
    """Write the features of `captions` below `root`, unless they are there already."""
    folder = root / FOLDER
    made_from = _made_from(task, captions)
    strategies = {name: _strategy(task, root, name) for name in captions.aspects}
    for name, strategy in strategies.items():
        made_from |= {f"{name}/{key}": value for key, value in strategy.identity().items()}
    done = manifest.unchanged(folder, made_from)
    if done is None:
        done = _make(folder, task, captions, strategies, made_from)
    reports = {
        name: Coverage.model_validate_json((folder / name / coverage.NAME).read_bytes())
        for name in strategies
    }
    return _outcome(f"{task.output.rstrip('/')}/{FOLDER}", done, reports)


def _made_from(task: FeaturiseTask, captions: Run) -> dict[str, str]:
    samples = task.model.samples
    return {
        "captions": captions.digest(),
        "format": _FORMAT,
        "max_tokens_per_item": str(task.features.max_tokens_per_item),
        **({"samples": str(samples)} if samples else {}),
    }


def _strategy(task: FeaturiseTask, root: Location, name: str) -> Tokeniser:
    structured = any(prompt.name == name and prompt.json_schema for prompt in task.model.questions())
    # A term is frequent enough if that many captions are expected to hold it.
    samples = max(task.model.samples, 1)
    features = task.features.model_copy(update={"min_count": task.features.min_count * samples})
    return open_tokeniser(features, task.model, _checkpoint(task, root), structured=structured)


def _checkpoint(task: FeaturiseTask, root: Location) -> str:
    """Return where the tokenizer of the model that captioned is; nowhere behind an endpoint."""
    if task.model.uri is None:
        return ""
    scheme, _, name = task.model.uri.partition("://")
    if scheme == "fathom":
        # The small model exists only as what fine-tuning made of it.
        return str(root / "model")
    return name if scheme == "hf" else str(storage.resolve(task.model.uri))


def _make(
    folder: Location,
    task: FeaturiseTask,
    captions: Run,
    strategies: dict[str, Tokeniser],
    made_from: dict[str, str],
) -> manifest.Manifest:
    before, samples = _before(folder), task.model.samples
    # From here on nobody may take what is in the folder for finished.
    (folder / manifest.NAME).unlink(missing_ok=True)
    for stale in sorted(drift.aspects(folder) - strategies.keys()):
        _remove(folder / stale)
    with reporter() as report:
        for number, (name, strategy) in enumerate(strategies.items()):
            aspect.make(
                folder / name,
                partial(captions.samples if samples else captions.batches, name),
                captions.count,
                strategy,
                task.features,
                samples=samples,
                encoded=_Telling(
                    report, total=captions.count * len(strategies), done=captions.count * number
                ),
            )
    drift.write(folder, before, captions)
    counts = {"items": captions.count, "aspects": len(strategies)}
    return manifest.write(folder, KIND, counts=counts, made_from=made_from)


def _before(folder: Location) -> drift.Before | None:
    """Return what there is to compare with; nothing if the features before are unfinished or damaged."""
    try:
        return drift.snapshots(folder)
    except InvalidInputError:
        return None


@dataclass(frozen=True)
class _Telling:
    """Reports captions of one aspect as part of those of all."""

    report: Reporter
    total: int
    done: int

    def __call__(self, encoded: int) -> None:
        """Report that so many are encoded."""
        self.report.update(Progress(total=self.total, done=self.done + encoded))


def _remove(folder: Location) -> None:
    for file in folder.iterdir():
        file.unlink()
    # Object stores have no empty folders.
    if folder.exists():
        folder.rmdir()


def _outcome(uri: str, done: manifest.Manifest, reports: dict[str, Coverage]) -> Outcome:
    items = done.counts["items"]
    captions = sum(report.items for report in reports.values())
    tokens = sum(report.tokens_per_item * report.items for report in reports.values())
    metrics = {
        "vocabulary_size": float(sum(report.vocabulary_size for report in reports.values())),
        "coverage": sum(report.items_with_tokens for report in reports.values()) / max(captions, 1),
        "tokens_per_item": tokens / items,
    }
    for name, report in reports.items():
        metrics[f"aspect/{name}/vocabulary_size"] = float(report.vocabulary_size)
        metrics[f"aspect/{name}/coverage"] = report.coverage
        metrics[f"aspect/{name}/tokens_per_item"] = report.tokens_per_item
    progress = Progress(total=items, done=items, metrics=metrics)
    return Outcome(result="Succeeded", uri=uri, digest=done.digest, progress=progress)
