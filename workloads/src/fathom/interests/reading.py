"""What several steps read: users' engagements, clusters as they were described, planners."""

from __future__ import annotations

import hashlib
import json
from typing import Final

import numpy as np

from fathom import manifest, storage
from fathom.errors import InvalidInputError
from fathom.interests import summaries
from fathom.ranking import interactions
from fathom.serendipity import opening, small_planner
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.events import Events
from fathom.serendipity.planner import LanguagePlanner
from fathom.serendipity.planning import Decoding
from fathom.serendipity.prompts import Style
from fathom.serendipity.transitions import Lessons, recent_moves
from fathom_api.interest_tasks import AnyInteractions, AnyPlanner, GateTask, PlanBulkTask
from fathom_api.meta import ApiModel
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import AnyData, AnyModel, AnyTable

#: Share of the transitions to learn from, the latest, that the prompt tells of.
_LATELY: Final = 0.5


def events(given: AnyInteractions) -> Events:
    """Return what users liked, in order.

    Raises:
        InvalidInputError: the table cannot be read, a column is missing, or too many rows are unusable.
    """
    data = AnyData(
        interactions=AnyTable(uri=given.uri),
        label=given.label,
        user_column=given.user_column,
        item_column=given.item_column,
        time_column=given.time_column,
        max_bad_rows=given.max_bad_rows,
    )
    found = Events.of(interactions.read(data, [given.satisfaction] if given.satisfaction else ()))
    if not len(found):
        raise InvalidInputError(
            "NothingLiked", f"{given.uri}: no row has a {given.label} of 1; name another column as label"
        )
    return found


def cut(found: Events, validation: float) -> float:
    """Return the time after which the latest share `validation` of the events lie; none learns from them."""
    return float(np.quantile(found.time, 1 - validation))


def clusters(folder: str, described: str | None) -> Clusters:
    """Return the clusters in `folder`, with what was said of them in the folder `described`.

    Raises:
        InvalidInputError: either is unfinished or damaged.
    """
    found = Clusters.read(storage.existing(folder))
    return found.worded({}, summaries.read(storage.existing(described))) if described else found


def asked(given: AnyPlanner) -> Style:
    """Return how the planner is asked; the small one without sentences that it would have to learn."""
    return Style(
        chain_of_thought=given.prompt.chain_of_thought,
        keywords=given.prompt.keywords,
        brief=given.model == small_planner.URI,
    )


def planner(
    task: PlanBulkTask | GateTask, known: Clusters, lessons: Lessons, decoding: Decoding
) -> LanguagePlanner:
    """Return the planner that was taught, or the one that is given, told where users went lately.

    All who read plans must open it the same way: pairs are kept under its digest. What is held out to
    measure on is not told.

    Raises:
        InvalidInputError: it cannot be opened.
    """
    style = asked(task.planner)
    # The small planner was never taught to read where users went lately.
    recent = None if style.brief else recent_moves(lessons.train, known, _LATELY)
    model = AnyModel(uri=task.trained or task.planner.model)
    return opening.open_planner(model, known, style=style, decoding=decoding, recent=recent)


def digest(folder: str) -> str:
    """Return the digest of the sealed folder at `folder`.

    Raises:
        InvalidInputError: it is not there, or unfinished.
    """
    found = manifest.read(storage.existing(folder))
    if found is None:
        raise InvalidInputError("Unfinished", f"{folder}: was never finished; run the step before again")
    return found.digest


def identity(task: ApiModel, **digests: str) -> dict[str, str]:
    """Return what a folder is made from: the task but for where it writes, and `digests` of its inputs."""
    document = {key: value for key, value in task.document().items() if key != "output"}
    told = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return {"task": told, **digests}


def outcome(uri: str, made: str, *, done: int = 1, **metrics: float) -> Outcome:
    """Return the last words of a step that went well."""
    progress = Progress(total=done, done=done, metrics=metrics)
    return Outcome(result="Succeeded", uri=uri, digest=made, progress=progress)
