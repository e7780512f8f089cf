"""The end of every decision about an InterestMap: its conditions and Events; pure."""

from __future__ import annotations

from fathom_api import ConditionType, InterestMapStatus, Reason
from fathom_api.interestmap import Stage
from fathom_operator.conditions import Claim, State, merge, summary
from fathom_operator.failures import Failure
from fathom_operator.interestmap.observe import InterestMapSeen
from fathom_operator.interestmap.publish import closed
from fathom_operator.notes import changed
from fathom_operator.plan import Plan


def finished(
    seen: InterestMapSeen, status: InterestMapStatus, stage: Stage, state: State, why: Failure
) -> Plan:
    """Return the plan with its status written out; a table that is served keeps the resource usable."""
    status = status.model_copy(update={"stage": stage, "observed_generation": seen.generation})
    table, message = status.table, why.message
    if table is not None and stage != "Published" and table.name not in message:
        message = f"{message}; {table.name} is served meanwhile"
    claims = (
        *summary(state, why.reason, message, usable=table is not None),
        _gate_passed(status),
        _published(status),
    )
    conditions = merge(seen.status.conditions, claims, seen.generation, seen.now)
    document = status.model_copy(update={"conditions": conditions}).document()
    return Plan(document, events=changed(seen.status.conditions, conditions))


def _gate_passed(status: InterestMapStatus) -> Claim:
    if not status.gates:
        return Claim(ConditionType.GATE_PASSED, "Unknown", status.stage, "not judged yet")
    against = closed(status.gates)
    if against is not None:
        return Claim(ConditionType.GATE_PASSED, "False", Reason.GATE_FAILED, against)
    message = "; ".join(f"{v.gate}: {v.message}" for v in status.gates)
    return Claim(ConditionType.GATE_PASSED, "True", Reason.COMPLETE, message)


def _published(status: InterestMapStatus) -> Claim:
    if status.table is None:
        return Claim(ConditionType.PUBLISHED, "False", status.stage, "no table is served yet")
    return Claim(ConditionType.PUBLISHED, "True", Reason.PUBLISHED, f"{status.table.name} is served")
