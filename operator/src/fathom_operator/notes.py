"""Which change of conditions is worth an Event."""

from __future__ import annotations

from collections.abc import Iterable

from fathom_api import Condition, ConditionType
from fathom_operator.conditions import find
from fathom_operator.plan import Note


def changed(before: Iterable[Condition], now: Iterable[Condition]) -> tuple[Note, ...]:
    """Return an Event if the reason of `Ready` is another than before; a warning where somebody must act."""
    now = list(now)
    old, new = find(before, ConditionType.READY), find(now, ConditionType.READY)
    if new is None or (old is not None and old.reason == new.reason):
        return ()
    stalled = find(now, ConditionType.STALLED)
    warning = stalled is not None and stalled.status == "True"
    return (Note("Warning" if warning else "Normal", new.reason, new.message),)
