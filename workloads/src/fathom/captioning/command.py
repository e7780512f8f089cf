"""`fathom plan`, `fathom caption` and `fathom finetune`.

torch is imported where a model is: a shard finds out what there is to do in the second before.
"""

from __future__ import annotations

import hashlib
import json

from fathom import manifest, storage
from fathom.captioning.sources import SourceReader, open_source
from fathom.captioning.stopping import on_sigterm
from fathom.captioning.store import plan as plans
from fathom.captioning.store import planning
from fathom.captioning.store.plan import Deal, Plan
from fathom.captioning.store.shard import Shard
from fathom.captioning.store.views import shard_name
from fathom.captioning.tally import Tally
from fathom.errors import InvalidInputError
from fathom.progress import reporter
from fathom_api.captioning import CaptionModel
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import CaptionTask, FinetuneTask, PlanTask

#: What of a model decides how fast it captions, not what it says.
_PACE = {"batch_size", "cache", "compile", "spread"}


def plan(task: PlanTask) -> Outcome:
    """Deal the items into shards and find what is captioned already, unless that is done.

    Raises:
        InvalidInputError: the source is missing, empty or not readable, or lacks a column.
    """
    output = storage.resolve(task.output)
    reader = open_source(task.source)
    made = planning.make(output, reader, Deal.of(task.source, reader, task.shards, task.run), "plan")
    sealed = manifest.read(made.folder)
    counts = sealed.counts if sealed else {}
    metrics = {name: float(counts.get(name, 0)) for name in ("captions", "errors", "duplicates", "no_id")}
    return Outcome(
        result="Succeeded",
        uri=f"{task.output.rstrip('/')}/{plans.FOLDER}",
        digest=sealed.digest if sealed else None,
        progress=Progress(total=made.total, done=made.total, metrics=metrics),
    )


def caption(task: CaptionTask, shard: int) -> Outcome:
    """Caption the items of `shard` and seal them.

    Raises:
        InvalidInputError: the task, its source or its model are wrong, or the plan is for others.
    """
    with reporter() as report:
        reader, rows = open_shard(task, shard)
        from fathom.captioning import engines
        from fathom.captioning.keys import prompts_digest
        from fathom.captioning.work import Work

        tally = Tally(rows.total, failed=len(rows.skipped_rows))
        report.update(tally.progress(rows.committed_at))
        engine = engines.open_engine(task.model)
        with on_sigterm() as stop:
            Work(task, engine, reader, rows, tally).run(stop, report)
        made_from = {"model": engine.digest, "decoding": engine.decoding}
        sealed = rows.finish(made_from | {"prompt": prompts_digest(task.model)}, tally.counts())
        report.update(tally.progress(rows.committed_at))
    uri = f"{task.output.rstrip('/')}/captions/{sealed.made_from['plan']}/{shard_name(shard)}"
    return Outcome(result="Succeeded", uri=uri, digest=sealed.digest, progress=report.progress)


def open_shard(task: CaptionTask, shard: int) -> tuple[SourceReader, Shard]:
    """Return the source and what is known of `shard`; a plan is made if nobody has made one.

    Raises:
        InvalidInputError: there is no such shard, the source is wrong, or the plan is for others.
    """
    if shard >= task.shards:
        raise InvalidInputError("NoSuchShard", f"shard {shard} of {task.shards}: shards count from 0")
    reader = open_source(task.source)
    output = storage.resolve(task.output)
    made = _planned(output, reader, Deal.of(task.source, reader, task.shards, task.run))
    rows = Shard(output, made, shard, asked=_asked(task.model), retry_failed=task.retry_failed)
    index = made.index()
    return open_source(task.source, index) if index else reader, rows


def finetune(task: FinetuneTask) -> Outcome:
    """Fine-tune the captioner and leave a checkpoint, or find that it is there.

    Raises:
        InvalidInputError: the task, its pairs or its model are wrong.
    """
    from fathom.captioning import computing
    from fathom.captioning.tuning import finetuning

    computing.settle()
    return finetuning.run(task)


def _planned(output: storage.Location, reader: SourceReader, deal: Deal) -> Plan:
    """Return the plan. One that `fathom caption` made for itself is made anew when the source changes."""
    found = plans.read(output)
    if found is None or (found.maker == "caption" and found.deal != deal):
        return planning.make(output, reader, deal, "caption")
    return plans.check(found, deal, output)


def _asked(model: CaptionModel) -> str:
    """Return a digest of all that decides what the model says, as far as the task tells."""
    document = model.model_dump(mode="json", exclude=_PACE)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
