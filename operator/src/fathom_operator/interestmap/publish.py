"""Which table shall be served, and which is; pure."""

from __future__ import annotations

from fathom_api import InterestMapSpec, InterestMapStatus
from fathom_api.interestmap import TableRejection, TableVersion
from fathom_api.progress import Verdict
from fathom_operator.interestmap.desired import Course
from fathom_operator.interestmap.status import recorded
from fathom_operator.work import Work

_KEPT = 10


def closed(verdicts: list[Verdict]) -> str | None:
    """Return what the gates say against a table, None if they are open."""
    against = [verdict for verdict in verdicts if verdict.verdict != "Pass"]
    return "; ".join(f"{v.gate}: {v.message}" for v in against) or None


def candidate(course: Course, status: InterestMapStatus) -> TableVersion | None:
    """Return the table of the run if it is judged and may be served."""
    gate = recorded(status, course.works()[-1])
    if gate is None or not status.gates or closed(status.gates):
        return None
    made = course.folders
    return TableVersion(
        name=made.name, uri=made.table, clusters_uri=made.clusters, digest=gate.digest, recall=status.recall
    )


def wanted(
    spec: InterestMapSpec, status: InterestMapStatus, candidate: TableVersion | None
) -> TableVersion | None:
    """Return the table that shall be served: the one that is pinned, the run's, or the one that is.

    Raises:
        ValueError: the spec pins a table that there is not; the message says which there are.
    """
    pinned = spec.serving.table if spec.serving else None
    if pinned is None:
        return candidate or status.table
    there = [*status.tables, *([candidate] if candidate else [])]
    found = next((table for table in there if table.name == pinned), None)
    if found is None:
        names = ", ".join(dict.fromkeys(table.name for table in there)) or "none yet"
        raise ValueError(
            f"spec.serving.table: there is no table {pinned}, only {names}: name one of them, or remove it"
        )
    return found


def served(status: InterestMapStatus, table: TableVersion, publish: Work, now: str) -> InterestMapStatus:
    """Return `status` with `table` served, once `publish` is done."""
    if recorded(status, publish) is None or (status.table and status.table.name == table.name):
        return status
    known = next((each for each in status.tables if each.name == table.name), None)
    table = known or table.model_copy(update={"published_at": now})
    others = [each for each in status.tables if each.name != table.name]
    return status.model_copy(
        update={
            "table": table,
            "tables": [table, *others][:_KEPT],
            "last_refresh": now if known is None else status.last_refresh,
            "rejected": [each for each in status.rejected if each.name != table.name],
        }
    )


def rejected(course: Course, status: InterestMapStatus, why: str, now: str) -> InterestMapStatus:
    """Return `status` with the run's table among those refused, noted once."""
    name, message = course.folders.name, why[:2048]
    if any((each.name, each.message) == (name, message) for each in status.rejected):
        return status
    rejection = TableRejection(name=name, message=message, at=now)
    others = [each for each in status.rejected if each.name != name]
    return status.model_copy(update={"rejected": [rejection, *others][:_KEPT]})
