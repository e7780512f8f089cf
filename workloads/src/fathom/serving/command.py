"""`fathom serve`."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from fathom import cpus, memory, storage
from fathom.errors import InvalidInputError
from fathom_api.tasks import ServeTask

if TYPE_CHECKING:
    from fathom.serving.predictor import Predictor

_log = logging.getLogger("fathom")


def predictor(task: ServeTask) -> Predictor:
    """Return the task's model, loaded and tried.

    Raises:
        InvalidInputError: there is no bundle, it is damaged, or it does not answer.
    """
    if not task.bundle:
        raise InvalidInputError("NoBundle", "no bundle to serve; give --bundle FOLDER, or --task FILE")
    folder = storage.existing_local(task.bundle)
    # torch takes seconds to import and KServe more: a wrong bundle should be told before.
    from fathom.ranking import scorer

    bundle = scorer.load(folder)
    from fathom.serving.feedback import ENV_KEY
    from fathom.serving.predictor import Predictor
    from fathom.serving.scoring import Scorer

    version = task.model_version or bundle.digest.removeprefix("sha256:")[:8]
    key = os.environ.get(ENV_KEY, "").encode() if task.feedback else None
    model = Predictor(task.model_name, version, Scorer(bundle, cpus.available()), key)
    model.load()
    _log.info("%s %s: %d items, bundle %s", task.model_name, version, len(bundle.items.names), bundle.digest)
    return model


def serve(task: ServeTask) -> None:
    """Serve until told to stop.

    Raises:
        InvalidInputError: there is nothing to serve.
    """
    model = predictor(task)
    # From here on each request frees what the next one takes.
    memory.give_back()
    memory.keep_freed()
    from fathom.serving.server import Server

    if task.items:
        _watch(task, model)
    if task.guide:
        _watch_guide(task, model)
    Server(model, task.port, task.grpc_port).run()


def _watch(task: ServeTask, model: Predictor) -> None:
    """Rank the new items that are there already, and those that come."""
    from fathom.serving.reload import Reload, Watch

    reload = Reload(model.scorer.bundle, task.items)

    def tell(seen: Reload) -> None:
        model.metrics.reloads(seen.results)
        model.metrics.items(len(model.scorer.bundle.items.names))

    reload.look()
    tell(reload)
    Watch(reload, tell, task.items_poll_seconds).start()


def _watch_guide(task: ServeTask, model: Predictor) -> None:
    """Guide by the table that is served already, and by those that come."""
    from fathom.serving.guides import Guides
    from fathom.serving.reload import Watch

    guides = Guides(model.scorer, task.guide)

    def tell(seen: Guides) -> None:
        model.metrics.guides(seen.results)

    guides.look()
    tell(guides)
    Watch(guides, tell, task.guide_poll_seconds, "guide").start()
