"""Conditions after kstatus: `Ready`, `Reconciling` (on its way), `Stalled` (somebody must help), or none.

What is made anew stays Ready while that is under way: the old is there and in use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fathom_api import Condition, ConditionType
from fathom_operator.times import text

_MAX_MESSAGE = 4096
Truth = Literal["True", "False", "Unknown"]
State = Literal["Ready", "Reconciling", "Stalled", "Suspended"]


@dataclass(frozen=True)
class Claim:
    """What a condition shall say, without the time it began to."""

    type: str
    status: Truth
    reason: str
    message: str


def summary(state: State, reason: str, message: str, *, usable: bool = False) -> tuple[Claim, ...]:
    """Return the three kstatus conditions; `usable`: there is an earlier result that stays in use."""
    ready = state == "Ready" or (usable and state != "Stalled")
    return (
        Claim(ConditionType.READY, "True" if ready else "False", reason, message),
        Claim(ConditionType.RECONCILING, "True" if state == "Reconciling" else "False", reason, message),
        Claim(ConditionType.STALLED, "True" if state == "Stalled" else "False", reason, message),
    )


def merge(
    previous: Iterable[Condition], claims: Iterable[Claim], generation: int, now: datetime
) -> list[Condition]:
    """Return `claims` as conditions; one whose status is what it was keeps its `lastTransitionTime`."""
    since = {(c.type, c.status): c.last_transition_time for c in previous}
    return [
        Condition(
            type=claim.type,
            status=claim.status,
            reason=claim.reason,
            message=_shortened(claim.message),
            observed_generation=generation,
            last_transition_time=since.get((claim.type, claim.status), text(now)),
        )
        for claim in claims
    ]


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of this type, if there is one."""
    return next((c for c in conditions if c.type == kind), None)


def told(conditions: Iterable[Condition]) -> tuple[str, bool]:
    """Return what the condition Ready says, and whether the resource waits for somebody."""
    conditions = list(conditions)
    ready, stalled = find(conditions, ConditionType.READY), find(conditions, ConditionType.STALLED)
    return ready.message if ready else "", stalled is not None and stalled.status == "True"


def _shortened(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else f"{message[: _MAX_MESSAGE - 1]}…"
