"""`fathom gate`: plans in, a table with verdicts out, and the report."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

from fathom import manifest, storage
from fathom.interests import reading
from fathom.progress import reporter
from fathom.report import interests as report
from fathom.report.interests import Found
from fathom.serendipity import alignment, bulk, gates, measuring
from fathom.serendipity.bulk import Planned
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.gates import Measured
from fathom.serendipity.planning import Decoding
from fathom.serendipity.spread import spread
from fathom.serendipity.table import Table
from fathom.serendipity.transitions import Lessons
from fathom.storage import appearing
from fathom_api.interest_tasks import GateTask
from fathom_api.progress import Outcome, Progress, Verdict

#: Beside the table: what was measured and what the gates say. Not sealed: other gates judge the same table.
VERDICTS: Final = "gates.json"
#: Pairs that are asked about without constraint.
_FREE: Final = 500


def gate(task: GateTask) -> Outcome:
    """Make the table of what is planned, measure and judge it, write the report.

    Raises:
        InvalidInputError: pairs are not planned yet, or what was planned cannot be used.
    """
    with reporter() as told:
        told.update(Progress(total=4))
        clusters = reading.clusters(task.clusters, task.summaries)
        lessons = Lessons.read(storage.existing(task.transitions), clusters)
        planner = reading.planner(task, clusters, lessons, Decoding(task.samples))
        planned = bulk.collect(storage.existing(task.plans), planner, clusters, task.gates.banned)
        planned, agreement = _best(task, planned, clusters)
        table = planned.table(clusters)
        told.update(Progress(total=4, done=1))
        free = planner.drawing(Decoding(1, constrained=False))
        pairs = bulk.all_pairs(clusters)
        some = [pairs[n] for n in spread(len(pairs), _FREE)]
        said = measuring.freely(free, clusters, some)
        told.update(Progress(total=4, done=2))
        before = Table.read(storage.existing(task.previous)) if task.previous else None
        measured = measuring.measure(table, lessons.validation, said, before)
        verdicts = gates.judge(task.gates, measured)
        folder, made_from = storage.resolve(task.output), _made_from(task)
        # Other gates judge the same table, which may be served: it is not written again.
        if manifest.unchanged(folder, made_from) is None:
            table.write(folder, made_from)
        _write(task, measured, verdicts)
        told.update(Progress(total=4, done=3))
        report.write(task, Found(clusters, lessons, table, planned, measured, verdicts))
    return _outcome(task, clusters, planned, measured, verdicts, agreement=agreement)


def _best(task: GateTask, planned: Planned, clusters: Clusters) -> tuple[Planned, float | None]:
    """Return the answers that are kept, and how well the scorer says what is held out; None without one."""
    if task.best is None or task.interactions is None:
        return planned, None
    events = reading.events(task.interactions)
    cut = reading.cut(events, task.interactions.validation)
    scorer = alignment.learn(alignment.feedback(events.where(events.time <= cut), clusters), clusters)
    later = alignment.feedback(events, clusters).after(cut)
    return alignment.best(planned, scorer, task.best), alignment.agreement(scorer, later)


def _made_from(task: GateTask) -> dict[str, str]:
    satisfaction = task.interactions.satisfaction if task.interactions else None
    return {
        "name": task.name,
        "clusters": reading.digest(task.clusters),
        "transitions": reading.digest(task.transitions),
        "plans": task.plans,
        "banned": json.dumps(sorted(task.gates.banned)),
        **({"best": str(task.best), "satisfaction": str(satisfaction)} if task.best else {}),
    }


def _write(task: GateTask, measured: Measured, verdicts: list[Verdict]) -> None:
    with appearing(storage.resolve(task.output) / VERDICTS) as path:
        told = {"measured": asdict(measured), "verdicts": [verdict.document() for verdict in verdicts]}
        path.write_text(json.dumps(told, indent=1, ensure_ascii=False))


def _outcome(
    task: GateTask,
    clusters: Clusters,
    planned: Planned,
    measured: Measured,
    verdicts: list[Verdict],
    *,
    agreement: float | None,
) -> Outcome:
    numbers = {
        "exact_match": measured.exact_match,
        "recall": measured.recall,
        "novelty": measured.novelty,
        "self_repeat": measured.self_repeat,
        "coverage": measured.coverage,
        "pairs": measured.pairs,
        "churn": measured.churn,
        "satisfaction_agreement": agreement,
        "clusters": float(len(clusters.finest)),
        "answers": float(planned.answers),
        "rejected": float(sum(planned.rejected.values())),
    }
    metrics = {name: float(value) for name, value in numbers.items() if value is not None}
    progress = Progress(total=planned.pairs, done=planned.pairs - planned.missing, metrics=metrics)
    digest = reading.digest(task.output)
    return Outcome(result="Succeeded", uri=task.output, digest=digest, progress=progress, verdicts=verdicts)
