"""`fathom serve`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fathom import cpus, storage
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
    from fathom.serving.predictor import Predictor
    from fathom.serving.scoring import Scorer

    version = task.model_version or bundle.digest.removeprefix("sha256:")[:8]
    model = Predictor(task.model_name, version, Scorer(bundle, cpus.available()))
    model.load()
    _log.info("%s %s: %d items, bundle %s", task.model_name, version, len(bundle.items.names), bundle.digest)
    return model


def serve(task: ServeTask) -> None:
    """Serve until told to stop.

    Raises:
        InvalidInputError: there is nothing to serve.
    """
    model = predictor(task)
    from fathom.serving.server import Server

    Server(model, task.port).run()
