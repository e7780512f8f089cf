"""`fathom train` and `fathom evaluate`."""

from __future__ import annotations

import logging
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

import torch

from fathom import manifest, score_buckets, storage
from fathom.errors import InvalidInputError
from fathom.progress import reporter
from fathom.ranking import (
    assemble,
    bundle,
    cost,
    evaluation,
    findings,
    inputs,
    interactions,
    sharding,
    split,
    tables,
    trials,
)
from fathom.ranking.bundle import BundleInfo
from fathom.ranking.checkpoint import Checkpoints, State
from fathom.ranking.figures import SEARCH, Cost
from fathom.ranking.findings import EVALUATION
from fathom.ranking.inputs import Job
from fathom.ranking.launch import launch
from fathom.ranking.nodes import nodes
from fathom.ranking.prepare import Prepared, prepare
from fathom.ranking.schema import FeatureField
from fathom.storage import digest_bytes, digest_files, existing_local
from fathom_api.progress import CHOSEN, Outcome, Progress
from fathom_api.tasks import EvaluateTask, TrainTask

CHECKPOINTS: Final = ".checkpoints"
#: Parts of a task that change where and how it runs, not what comes out.
INCIDENTAL: Final = {
    "output": True,
    "caption_features": True,
    "data": {"interactions", "items", "users"},
    "training": assemble.PLACE,
}
_log = logging.getLogger("fathom")


def train(task: TrainTask) -> Outcome:
    """Train one arm and leave its bundle, unless it is there already; goes on from the last checkpoint.

    Raises:
        InvalidInputError: the data or the task cannot be used as they are.
        TrainingProcessError: a training process died.
    """
    sharding.check(task.training)
    folder = storage.local(task.output)
    made_from = _made_from(task)
    if (done := _done(task, folder, made_from)) is not None:
        return done
    began = time.monotonic()
    leads = nodes().leads
    prepared = prepare(task)
    _log.info("%s", assemble.summary(prepared))
    if (done := _done(task, folder, made_from)) is not None:
        # Another node has written it while this one, come back, was reading.
        return done
    checkpoints = folder / CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    job = _run(task, prepared, checkpoints, made_from)
    if not leads:
        return Outcome(result="Succeeded", uri=task.output)
    state = Checkpoints(Path(job.checkpoints)).state(job.made_from)
    weights = Checkpoints(Path(job.checkpoints)).best(state)
    trained = task.model_copy(update={"model": job.model, "training": job.training})
    info = assemble.info(trained, prepared, state, weights, made_from)
    found = trials.read(checkpoints)
    if found is not None:
        shutil.copyfile(checkpoints / SEARCH, folder / SEARCH)
    sealed = bundle.save(folder, info, assemble.parts(prepared, weights), made_from=made_from)
    cost.write(folder, _cost(task, state, time.monotonic() - began))
    shutil.rmtree(checkpoints)
    return _outcome(task, info, sealed)


def evaluate(task: EvaluateTask) -> Outcome:
    """Measure each bundle on the test split; write `evaluation.json`, `report.html` and `MODEL_CARD.md`.

    Raises:
        InvalidInputError: there is no candidate, or an arm was trained on another split of the data.
    """
    if "Captions" not in task.bundles:
        raise InvalidInputError(
            "MissingArm", "bundles has no Captions, the candidate itself: name its folder"
        )
    events = interactions.read(task.data, context=_context(task))
    parts = split.assign(events, task.data.split)
    arms: dict[str, evaluation.Arm] = {}
    with reporter() as listener:
        for name, uri in task.bundles.items():
            arms[name] = evaluation.score(existing_local(uri), events, parts)
            _check_split(name, uri, arms[name], split.digest(events, parts))
            listener.update(Progress(total=len(task.bundles), done=len(arms)))
    found = findings.report(task, events, parts, arms)
    path = findings.write(storage.local(task.output), found, task)
    return Outcome(
        result="Succeeded",
        uri=f"{task.output.rstrip('/')}/{EVALUATION}",
        digest=digest_bytes(path.read_bytes()),
        progress=Progress(total=len(arms), done=len(arms)),
        arms={name: result.metrics for name, result in found.arms.items()},
        scores=score_buckets.count(arms["Captions"].scores),
    )


def _context(task: EvaluateTask) -> list[FeatureField]:
    """Return what the bundles are told of interactions, as far as the data have it.

    The model served now may know a column that there is no longer; its values are then unknown.
    """
    there = tables.columns(task.data.interactions.uri)
    infos = [bundle.read_info(existing_local(uri)) for uri in task.bundles.values()]
    return [f for info in infos for f in info.features.of_requests if f.name in there]


def _check_split(name: str, uri: str, arm: evaluation.Arm, digest: str) -> None:
    # The model served now may be from before: it is measured all the same, with a note.
    if name != "Serving" and arm.info.split_digest != digest:
        raise InvalidInputError(
            "OtherSplit",
            f"{uri} was trained on another split than data.split now gives: the interactions or data.split "
            "have changed since; train it again",
        )


def _done(task: TrainTask, folder: Path, made_from: dict[str, str]) -> Outcome | None:
    """Return the outcome of a training that has been done already."""
    sealed = manifest.read(folder)
    if sealed is None or sealed.made_from != made_from:
        return None
    _log.info("%s: already trained from the same data and parameters", folder)
    return _outcome(task, bundle.read_info(folder), manifest.verify(folder))


def _run(task: TrainTask, prepared: Prepared, checkpoints: Path, made_from: dict[str, str]) -> Job:
    """Train in processes of their own, unless that is done, and return the job whose checkpoints count."""
    job = Job(
        features=prepared.features,
        model=task.model,
        training=task.training,
        checkpoints=str(checkpoints.resolve()),
        made_from=digest_bytes(repr(sorted(made_from.items())).encode()),
    )
    trials.check(job)
    if (trained := _trained(job, checkpoints)) is not None:
        # A node that comes back after the others are done would wait for them for good.
        return trained
    with tempfile.TemporaryDirectory(prefix="fathom-train-") as folder:
        inputs.write(Path(folder), job, prepared)
        launch(Path(folder), task.training.processes_per_node)
    return _trained(job, checkpoints) or job


def _trained(job: Job, checkpoints: Path) -> Job | None:
    """Return the job whose checkpoints are those of a finished training; with a search the best trial's."""
    if job.training.search is not None:
        found = trials.read(checkpoints)
        if found is None:
            return None
        job = trials.with_parameters(job, found.best, found.parameters)
    return job if Checkpoints(Path(job.checkpoints)).state(job.made_from).finished else None


def _cost(task: TrainTask, state: State, seconds: float) -> Cost:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})"
    return Cost(
        seconds=round(seconds, 1),
        processes=task.training.processes_per_node,
        device=device,
        epochs=len(state.curve),
    )


def _made_from(task: TrainTask) -> dict[str, str]:
    """Return digests of everything that the weights depend on."""
    data = task.data
    tables = zip(assemble.TABLES, (data.interactions, data.items, data.users), strict=True)
    parameters = task.model_dump_json(by_alias=True, exclude=INCIDENTAL)
    return {
        **{name: _file_digest(existing_local(table.uri)) for name, table in tables if table},
        **{f"captions/{job}": _sealed(uri) for job, uri in sorted(task.caption_features.items())},
        "parameters": digest_bytes(parameters.encode()),
        "program": assemble.program(),
    }


def _file_digest(path: Path) -> str:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return digest_files(path if path.is_dir() else path.parent, files)


def _sealed(uri: str) -> str:
    folder = existing_local(uri)
    sealed = manifest.read(folder)
    if sealed is None:
        raise InvalidInputError("Unfinished", f"{uri}: no {manifest.NAME}; run fathom featurise first")
    return sealed.digest


def _outcome(task: TrainTask, info: BundleInfo, sealed: manifest.Manifest) -> Outcome:
    rows = len(info.curve) * info.sizes["train"]
    return Outcome(
        result="Succeeded",
        uri=task.output,
        digest=sealed.digest,
        progress=Progress(total=rows, done=rows, metrics={**info.metrics, "percent": 100.0, **_chosen(info)}),
    )


def _chosen(info: BundleInfo) -> dict[str, float]:
    """Return the parameters that a search chose."""
    searched = info.training.search
    values = info.model.document() | info.training.document()
    return {f"{CHOSEN}{p.name}": values[p.name] for p in searched.space} if searched else {}
