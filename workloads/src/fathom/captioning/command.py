"""`fathom caption` and `fathom finetune`."""

from __future__ import annotations

import logging

import torch

from fathom import storage
from fathom.captioning import captioner, finetuning
from fathom.captioning.items import count
from fathom.captioning.shard import Shard
from fathom.captioning.stopping import on_sigterm
from fathom.captioning.work import Tally, Work
from fathom.errors import InvalidInputError
from fathom.progress import reporter
from fathom_api.progress import Outcome
from fathom_api.tasks import CaptionTask, FinetuneTask

_log = logging.getLogger("fathom")


def caption(task: CaptionTask, shard: int) -> Outcome:
    """Caption the items of `shard` and seal them.

    Raises:
        InvalidInputError: the task, its source or its model are wrong.
    """
    if shard >= task.shards:
        raise InvalidInputError("NoSuchShard", f"shard {shard} of {task.shards}: shards count from 0")
    total = count(task.source, shard, task.shards)
    torch.manual_seed(0)
    model, found = captioner.load(task.model)
    keys = captioner.Keys.of(task.model, found.digest)
    tally = Tally(total)
    rows = Shard(storage.resolve(task.output), shard, task.shards)
    with on_sigterm() as stop, reporter() as report:
        report.update(tally.progress())
        work = Work(task, model, keys, rows, tally)
        work.run(shard, stop, report)
        counts = {"total": total, "done": tally.done, "failed": tally.failed, "reused": tally.reused}
        made_from = {"model": keys.model_digest, "prompt": keys.prompt_digest, "decoding": keys.decoding}
        sealed = rows.finish({**made_from, "shards": str(task.shards), "source": task.source.uri}, counts)
        report.update(tally.progress())
    uri = f"{task.output.rstrip('/')}/captions/shard-{shard:05d}"
    return Outcome(result="Succeeded", uri=uri, digest=sealed.digest, progress=report.progress)


def finetune(task: FinetuneTask) -> Outcome:
    """Fine-tune the captioner and leave a checkpoint, or find that it is there.

    Raises:
        InvalidInputError: the task, its pairs or its model are wrong.
    """
    return finetuning.run(task)
