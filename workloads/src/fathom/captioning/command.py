"""`fathom caption` and `fathom finetune`."""

from __future__ import annotations

import torch

from fathom import cpus, storage
from fathom.captioning import captioner, finetuning
from fathom.captioning.shard import Shard
from fathom.captioning.stopping import on_sigterm
from fathom.captioning.work import Tally, Work, dealt
from fathom.errors import InvalidInputError
from fathom.progress import reporter
from fathom_api.progress import Outcome
from fathom_api.tasks import CaptionTask, FinetuneTask


def caption(task: CaptionTask, shard: int) -> Outcome:
    """Caption the items of `shard` and seal them.

    Raises:
        InvalidInputError: the task, its source or its model are wrong.
    """
    if shard >= task.shards:
        raise InvalidInputError("NoSuchShard", f"shard {shard} of {task.shards}: shards count from 0")
    _prepare()
    tally = Tally(sum(1 for _ in dealt(task.source, shard, task.shards)))
    with reporter() as report:
        report.update(tally.progress())
        model, found = captioner.load(task.model)
        keys = captioner.Keys.of(task.model, found.digest)
        rows = Shard(storage.resolve(task.output), shard, task.shards)
        with on_sigterm() as stop:
            Work(task, model, keys, rows, tally).run(shard, stop, report)
        made_from = {"model": keys.model_digest, "prompt": keys.prompt_digest, "decoding": keys.decoding}
        made_from |= {"shards": str(task.shards), "source": task.source.uri}
        sealed = rows.finish(made_from, tally.counts())
    uri = f"{task.output.rstrip('/')}/captions/shard-{shard:05d}"
    return Outcome(result="Succeeded", uri=uri, digest=sealed.digest, progress=report.progress)


def finetune(task: FinetuneTask) -> Outcome:
    """Fine-tune the captioner and leave a checkpoint, or find that it is there.

    Raises:
        InvalidInputError: the task, its pairs or its model are wrong.
    """
    _prepare()
    return finetuning.run(task)


def _prepare() -> None:
    torch.manual_seed(0)
    # torch counts the node's cores; threads beyond the container's share only wait for each other.
    torch.set_num_threads(min(torch.get_num_threads(), cpus.available()))
