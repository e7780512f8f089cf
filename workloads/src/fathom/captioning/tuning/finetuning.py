"""Fine-tuning: pairs and a model in, a version of a Hugging Face checkpoint out."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft import PeftModel

from fathom import storage
from fathom.captioning.models import checkpoint, small_llava
from fathom.captioning.models.checkpoint import Checkpoint
from fathom.captioning.stopping import on_sigterm
from fathom.captioning.tuning import batches, examination, lora, tuning_report, versions
from fathom.captioning.tuning.batches import Encode
from fathom.captioning.tuning.examination import Examination
from fathom.captioning.tuning.pairs import Pairs, Part
from fathom.captioning.tuning.training import Training
from fathom.captioning.tuning.versions import Version
from fathom.captioning.tuning.views import Views
from fathom.errors import InvalidInputError
from fathom.progress import Reporter, reporter
from fathom_api.captioning import FineTune
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import FinetuneTask

_log = logging.getLogger("fathom")
#: Part of a checkpoint's identity: a change of how models are trained makes other ones.
_RECIPE: Final = "2"
_STATE: Final = ".checkpoints"


def run(task: FinetuneTask) -> Outcome:
    """Fine-tune as `task` says and leave the best epoch's model as a version; a finished one is left alone.

    Raises:
        InvalidInputError: the model or the pairs are wrong, or the output folder holds something else.
    """
    output = storage.local(task.output)
    _check_ours(output, task.output)
    _check_method(task)
    pairs = Pairs(task.fine_tune)
    base = None if task.model.uri == small_llava.URI else checkpoint.find(task.model)
    made_from = _identity(task, pairs, base)
    version = versions.find(output, made_from)
    if version is None:
        version = _Tuning(task, pairs, base, made_from).run()
    else:
        _log.info("%s holds this model already", version.uri(task.output))
    versions.point(output, version)
    shutil.rmtree(output / _STATE, ignore_errors=True)
    return Outcome(
        result="Succeeded",
        uri=version.uri(task.output),
        digest=version.manifest.digest,
        progress=tuning_report.read(version.path).progress,
    )


class Steps:
    """Counts steps, of the vision part, of the training and of the examination, and reports them."""

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

    def spare(self, steps: int) -> None:
        """Take `steps` off the total, because they are not needed."""
        self.progress = self.progress.model_copy(update={"total": self.progress.total - steps})


@dataclass
class _Tuning:
    """One fine-tuning, from its pairs to its version."""

    task: FinetuneTask
    pairs: Pairs
    base: Checkpoint | None
    made_from: dict[str, str]

    @property
    def _views(self) -> Views:
        return Views(self.pairs, self.task.fine_tune.augment)

    def run(self) -> Version:
        settings = self.task.fine_tune
        kept, held_out = self.pairs.split(settings.validation, settings.seed)
        _check_held_out(settings, held_out)
        model, processor = self._open()
        adapted = self._adapt(model)
        output = storage.local(self.task.output)
        training = Training(
            model, settings, _state(output, self.made_from), precision=_precision(self.task, model)
        )
        with reporter() as report:
            steps = Steps(self._steps(model, kept, held_out), self.pairs.unusable.total(), report)
            self._train(training, (model, processor), (kept, held_out), steps)
            # The merged model is what will be opened again, so that is what is examined.
            adapter = lora.merge(adapted) if adapted else None
            examined = self._examine(model, processor, held_out, steps)
        counted = tuning_report.Counts.of(self.pairs, kept, held_out)
        told = tuning_report.made(self.task, counted, training.place, examined, steps.progress)
        with versions.folder(output) as new:
            model.save_pretrained(new)
            processor.save_pretrained(new)
            if adapter:
                adapter.save(new / lora.FOLDER)
            tuning_report.write(new, told)
            return versions.seal(output, new, counts={"pairs": len(self.pairs)}, made_from=self.made_from)

    def _open(self) -> tuple[Any, Any]:
        task = self.task
        if self.base is None:
            prompt = task.model.questions()[0].prompt
            built = small_llava.build(self.pairs.captions(), prompt, task.fine_tune.seed)
            model, processor = built[0].to(checkpoint.device()), built[1]  # type: ignore[arg-type]
        else:
            # All weights are trained in full precision (products may be taken in less, see `_precision`); of
            # those that adapters leave alone, any precision will do.
            full = task.fine_tune.method == "Full"
            asked = task.model.model_copy(update={"dtype": "Float32"}) if full else task.model
            model, processor = checkpoint.open_model(self.base, asked, checkpoint.device())
        if batches.has_frozen_vision(model):
            model.model.vision_tower.requires_grad_(False)
        return model, processor

    def _adapt(self, model: Any) -> PeftModel | None:
        settings = self.task.fine_tune
        if settings.method == "Full":
            return None
        return lora.attach(model, settings.lora, base=self.task.model.place, seed=settings.seed)

    def _steps(self, model: Any, kept: Part, held_out: Part) -> int:
        settings = self.task.fine_tune
        vision = batches.tower_steps(self._views) if batches.has_frozen_vision(model) else 0
        examined = examination.steps(held_out, settings.evaluated_pairs)
        return vision + settings.epochs * _each(settings, kept) + examined

    def _train(
        self, training: Training, model: tuple[Any, Any], parts: tuple[Part, Part], steps: Steps
    ) -> None:
        settings, place = self.task.fine_tune, training.place
        each = _each(settings, parts[0])
        steps.skip(len(place.curve) * each + place.steps)
        with self._encoder(*model, steps) as encode, on_sigterm() as stop:
            training.run(encode, *parts, steps.trained, stop)
        steps.spare((settings.epochs - len(place.curve)) * each)

    @contextmanager
    def _encoder(self, model: Any, processor: Any, steps: Steps) -> Generator[Encode]:
        prompt = self.task.model.questions()[0].prompt
        if not batches.has_frozen_vision(model):
            yield batches.from_pictures(model, processor, prompt, self._views)
            return
        with batches.remembered_features(model, processor, prompt, self._views, steps.tick) as encode:
            yield encode

    def _examine(self, model: Any, processor: Any, held_out: Part, steps: Steps) -> Examination | None:
        settings = self.task.fine_tune
        return examination.examine(
            examination.writer(model, processor, self.task.model),
            self.pairs,
            held_out,
            most=settings.evaluated_pairs,
            seed=settings.seed,
            tick=steps.tick,
        )


def _each(settings: FineTune, kept: Part) -> int:
    """Return the steps of an epoch."""
    return -(-len(kept) // settings.batch_size)


def _precision(task: FinetuneTask, model: Any) -> torch.dtype | None:
    """Return what matrix products are done in: BFloat16 on a GPU unless Float32 is asked for."""
    gpu = model.device.type == "cuda"
    return torch.bfloat16 if gpu and task.model.dtype != "Float32" else None


def _identity(task: FinetuneTask, pairs: Pairs, base: Checkpoint | None) -> dict[str, str]:
    """Return all that the result depends on."""
    unimportant = {"uri", "media_column", "caption_column"}
    if task.fine_tune.method == "Full":
        unimportant.add("lora")
    if not task.fine_tune.augment:
        # What was trained before there were views remains what it was.
        unimportant.add("augment")
    settings = task.fine_tune.model_dump(mode="json", exclude=unimportant)
    question = task.model.questions()[0]
    return {
        "pairs": pairs.digest,
        "model": base.digest if base else small_llava.DESIGN,
        "dtype": task.model.dtype,
        "prompt": question.prompt,
        "longest": str(question.max_new_tokens),
        "settings": json.dumps(settings, sort_keys=True),
        "recipe": _RECIPE,
    }


def _check_ours(output: Path, uri: str) -> None:
    """Refuse a folder that holds something else: it is somebody's, or the task names the wrong one."""
    ours = {versions.FOLDER, versions.LATEST}
    other = next((path.name for path in output.glob("[!.]*") if path.name not in ours), None)
    if other:
        raise InvalidInputError(
            "OutputInUse", f"{uri}: holds {other!r}, which is not ours; name a folder that is new or empty"
        )


def _check_method(task: FinetuneTask) -> None:
    if task.model.uri == small_llava.URI and task.fine_tune.method == "LoRA":
        raise InvalidInputError(
            "NotTrained",
            f"{small_llava.URI} starts from nothing, which adapters cannot teach: set fineTune.method "
            "to Full, or name a trained model",
        )


def _check_held_out(settings: FineTune, held_out: Part) -> None:
    if settings.patience is not None and not len(held_out):
        raise InvalidInputError(
            "NothingHeldOut",
            "patience stops by the loss on held-out pairs, and none fell to "
            f"validation: {settings.validation}; raise it, or remove patience",
        )


def _state(output: Path, made_from: dict[str, str]) -> Path:
    """Return the folder for the state of this very training, after removing that of others."""
    name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    for other in (output / _STATE).glob("*"):
        if other.name != name:
            shutil.rmtree(other)
    return output / _STATE / name
