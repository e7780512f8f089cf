"""`fathom transitions`: what users went on to, from what they liked and the clusters."""

from __future__ import annotations

import numpy as np

from fathom import manifest, storage
from fathom.interests import reading
from fathom.interests.reading import identity, outcome
from fathom.progress import reporter
from fathom.serendipity import transitions as library
from fathom.serendipity.transitions import Lessons
from fathom_api.interest_tasks import TransitionsTask
from fathom_api.progress import Outcome, Progress


def transitions(task: TransitionsTask) -> Outcome:
    """Write the transitions to learn from and those to measure on, unless they are there.

    The cut between the two is that of the interactions the clusters were made from.

    Raises:
        InvalidInputError: clusters or interactions cannot be used, or users have too few clusters each.
    """
    folder = storage.resolve(task.output)
    clusters = reading.clusters(task.clusters, None)
    found = reading.events(task.interactions)
    made_from = identity(task, clusters=reading.digest(task.clusters), events=str(len(found)))
    if manifest.unchanged(folder, made_from) is None:
        with reporter() as report:
            report.update(Progress(total=len(found)))
            every = library.consecutive(library.journeys(found, clusters))
            late = np.asarray(every.time) > reading.cut(found, task.interactions.validation)
            lessons = library.learn_from(every, clusters, validation=_share(late), per_target=task.per_target)
            lessons.write(folder, clusters, made_from)
            report.update(Progress(total=len(found), done=len(found)))
    told = Lessons.read(folder, clusters)
    metrics = {
        "train": float(len(told.train)),
        "validation": float(len(told.validation)),
        "users": float(told.report.users),
        "gini": told.report.gini_after,
    }
    return outcome(task.output, reading.digest(task.output), done=len(found), **metrics)


def _share(late: np.ndarray) -> float:
    """Return the share to hold out; never none or all, which would leave nothing to measure on or learn."""
    return float(np.clip(late.mean() if len(late) else 0.0, 0.01, 0.9))
