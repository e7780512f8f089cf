"""Fine-tuning: pairs and a model in, a Hugging Face checkpoint out."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from fathom import manifest, storage
from fathom.captioning import batches, checkpoint, small_llava
from fathom.captioning.batches import Encode
from fathom.captioning.checkpoint import Checkpoint
from fathom.captioning.pairs import Pairs
from fathom.captioning.training import CURVE, Training, best
from fathom.errors import InvalidInputError
from fathom.progress import Reporter, reporter
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import FinetuneTask

_log = logging.getLogger("fathom")
#: Part of a checkpoint's identity: a change of how models are trained makes other ones.
_RECIPE: Final = "1"
_STATE: Final = ".checkpoints"
_NEW: Final = ".new"
_REPORT: Final = "training.json"


def run(task: FinetuneTask) -> Outcome:
    """Fine-tune as `task` says and leave the best epoch's model in its output; a finished one is left alone.

    Raises:
        InvalidInputError: the model or the pairs are wrong, or the output folder holds something else.
    """
    output = storage.resolve(task.output)
    _check_ours(output, task.output)
    pairs = Pairs(task.fine_tune)
    base = None if task.model.uri == small_llava.URI else checkpoint.find(task.model)
    made_from = _identity(task, pairs, base)
    finished = _finished(output, made_from)
    if finished is None:
        progress = _train(task, pairs, base, made_from)
        finished = manifest.write(output, "Model", counts={"pairs": len(pairs.all)}, made_from=made_from)
        shutil.rmtree(output / _STATE)
    else:
        _log.info("%s holds this model already", task.output)
        progress = Progress.model_validate_json((output / _REPORT).read_bytes())
    return Outcome(result="Succeeded", uri=task.output, digest=finished.digest, progress=progress)


class Steps:
    """Counts steps, of the vision part and of the training, and reports them."""

    def __init__(self, total: int, failed: int, report: Reporter) -> None:
        self._report = report
        self.progress = Progress(total=total, failed=failed)

    def tick(self) -> None:
        """Count a step that has no loss."""
        self.skip(1)

    def skip(self, steps: int) -> None:
        """Count `steps` at once, because they were done before."""
        self.progress = self.progress.model_copy(update={"done": self.progress.done + steps})
        self._report.update(self.progress)

    def trained(self, metrics: dict[str, float]) -> None:
        """Count a training step."""
        self.progress = self.progress.model_copy(update={"metrics": metrics})
        self.tick()


def _train(task: FinetuneTask, pairs: Pairs, base: Checkpoint | None, made_from: dict[str, str]) -> Progress:
    """Train, put the checkpoint's files (all but the manifest) in place, and return the final progress."""
    settings = task.fine_tune
    output = storage.resolve(task.output)
    training_pairs, held_out = pairs.split(settings.validation, settings.seed)
    model, processor = _open(task, pairs, base)
    training = Training(model, settings, _state(output, made_from), precision=_precision(task, model))
    each = -(-len(training_pairs) // settings.batch_size)
    vision_steps = batches.tower_steps(pairs) if batches.has_frozen_vision(model) else 0
    with reporter() as report:
        steps = Steps(vision_steps + settings.epochs * each, pairs.unusable, report)
        steps.skip(len(training.curve) * each)
        with _encoder(model, processor, task.model.questions()[0].prompt, pairs, steps) as encode:
            training.run(encode, training_pairs, held_out, steps.trained)
    progress = steps.progress.model_copy(update={"metrics": _metrics(training)})
    _publish(model, processor, output, progress, training)
    return progress


def _open(task: FinetuneTask, pairs: Pairs, base: Checkpoint | None) -> tuple[Any, Any]:
    if base is None:
        captions = [pair.caption for pair in pairs.all]
        built: tuple[Any, Any] = small_llava.build(
            captions, task.model.questions()[0].prompt, task.fine_tune.seed
        )
        model, processor = built[0].to(checkpoint.device()), built[1]
    else:
        # Weights are trained in full precision; products may be taken in less (see `_precision`).
        exact = task.model.model_copy(update={"dtype": "Float32"})
        model, processor = checkpoint.open_model(base, exact, checkpoint.device())
    if batches.has_frozen_vision(model):
        model.model.vision_tower.requires_grad_(False)
    return model, processor


@contextmanager
def _encoder(model: Any, processor: Any, prompt: str, pairs: Pairs, steps: Steps) -> Generator[Encode]:
    if not batches.has_frozen_vision(model):
        yield batches.from_pictures(model, processor, prompt, pairs)
        return
    with batches.remembered_features(model, processor, prompt, pairs, steps.tick) as encode:
        yield encode


def _precision(task: FinetuneTask, model: Any) -> torch.dtype | None:
    """Return what matrix products are done in: BFloat16 on a GPU unless Float32 is asked for."""
    gpu = model.device.type == "cuda"
    return torch.bfloat16 if gpu and task.model.dtype != "Float32" else None


def _metrics(training: Training) -> dict[str, float]:
    """Return the numbers of the epoch that was kept."""
    kept = best(training.curve)
    measured = {} if kept.validation_loss is None else {"validation_loss": kept.validation_loss}
    return {
        "epoch": float(len(training.curve)),
        "best_epoch": float(kept.epoch),
        "loss": kept.loss,
        **measured,
    }


def _identity(task: FinetuneTask, pairs: Pairs, base: Checkpoint | None) -> dict[str, str]:
    """Return all that the result depends on."""
    settings = task.fine_tune.model_dump(mode="json", exclude={"uri", "media_column", "caption_column"})
    return {
        "pairs": pairs.digest,
        "model": base.digest if base else small_llava.URI,
        "prompt": task.model.questions()[0].prompt,
        "settings": json.dumps(settings, sort_keys=True),
        "recipe": _RECIPE,
    }


def _finished(output: Path, made_from: dict[str, str]) -> manifest.Manifest | None:
    """Return the manifest of `output` if it is whole and made from the same."""
    found = manifest.read(output)
    if found is None or found.made_from != made_from:
        return None
    try:
        return manifest.verify(output)
    except InvalidInputError as error:
        _log.warning("%s; training again", error)
        return None


def _check_ours(output: Path, uri: str) -> None:
    """Refuse a folder with files that are not a checkpoint of ours: they would become part of it."""
    ours = (output / manifest.NAME).exists() or (output / _STATE).exists()
    if not ours and (other := next(output.glob("[!.]*"), None)):
        raise InvalidInputError(
            "OutputInUse",
            f"{uri}: holds {other.name!r}, which is not ours; name a folder that is new or empty",
        )


def _remove_old(output: Path) -> None:
    """Remove the files of the checkpoint that was there, its manifest last."""
    old = manifest.read(output)
    for name in old.files if old else []:
        (output / name).unlink(missing_ok=True)
    (output / manifest.NAME).unlink(missing_ok=True)


def _state(output: Path, made_from: dict[str, str]) -> Path:
    """Return the folder for the state of this very training, after removing that of others."""
    name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    for other in (output / _STATE).glob("*"):
        if other.name != name:
            shutil.rmtree(other)
    return output / _STATE / name


def _publish(model: Any, processor: Any, output: Path, progress: Progress, training: Training) -> None:
    """Write the checkpoint aside, then rename its files into place; the manifest is still to come."""
    new = output / _NEW
    shutil.rmtree(new, ignore_errors=True)
    model.save_pretrained(new)
    processor.save_pretrained(new)
    (new / _REPORT).write_text(progress.model_dump_json(by_alias=True, indent=2))
    (new / CURVE).write_text(training.curve_json())
    _remove_old(output)
    for file in new.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    for made in new.iterdir():
        made.replace(output / made.name)
    new.rmdir()
