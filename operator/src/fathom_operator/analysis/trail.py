"""What a rollout measured from its begin to its end, bounded: what its plots are drawn from."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from pydantic import Field

from fathom_api import RecModelStatus
from fathom_api.analysis import AnalysisResult, Verdict
from fathom_api.meta import StatusModel
from fathom_api.types import Timestamp

#: Looks of one metric that are kept; then every other one goes.
LOOKS: Final = 120
#: Changes of the share that are kept: a rollout has at most 20 steps, pauses and returns come on top.
MOVES: Final = 200
#: Commands that are kept of one rollout, the latest.
TOLD: Final = 50
#: Rollouts before the latest that are kept, and the looks of one metric that are kept of each.
EARLIER: Final = 5
_LOOKS_OF_EARLIER: Final = 30
_LONGEST: Final = 300


class Point(StatusModel):
    """One metric at one look."""

    time: Timestamp
    step: int = 0
    verdict: Verdict
    stable: float | None = None
    candidate: float | None = None
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    samples: int = 0
    message: str = Field(default="", max_length=_LONGEST)


class Move(StatusModel):
    """From when on the candidate had which share of the requests."""

    time: Timestamp
    phase: str
    step: int
    weight: int


class Told(StatusModel):
    """What people told the rollout, and when it was seen."""

    time: Timestamp
    #: As `kubectl fathom` calls it: pause, resume, promote, abort.
    command: str


class Trail(StatusModel):
    """One rollout, begin to end, and those before it."""

    candidate: str = ""
    stable: str = ""
    started_at: Timestamp | None = None
    #: Where it is over: when, and what became of it.
    ended_at: Timestamp | None = None
    ending: str = ""
    moves: list[Move] = Field(default_factory=list[Move])
    points: dict[str, list[Point]] = Field(default_factory=dict[str, list[Point]])
    told: list[Told] = Field(default_factory=list[Told])
    #: `status.obeyed` as it was last seen: what is new in it is a command.
    obeyed: dict[str, str] = Field(default_factory=dict[str, str])
    #: Rollouts before this one, oldest first, with fewer looks and none before themselves.
    earlier: list[Trail] = Field(default_factory=list["Trail"])

    @property
    def going(self) -> bool:
        """Return whether it is a rollout that is not over."""
        return bool(self.candidate) and self.ended_at is None

    def see(self, status: RecModelStatus, now: Timestamp) -> Trail:
        """Return the trail with what `status` says, the status written after the look before."""
        rollout, stable, candidate = status.rollout, status.stable, status.candidate
        if rollout is None or stable is None or candidate is None:
            return self._ended(status, now) if self.going else self
        trail = self
        if not self.going or self.candidate != candidate.name:
            trail = Trail(
                candidate=candidate.name,
                stable=stable.name,
                started_at=rollout.started_at or now,
                obeyed=status.obeyed,
                earlier=self._as_earlier(now),
            )
        move = Move(time=now, phase=rollout.phase, step=rollout.step, weight=rollout.weight)
        return trail.model_copy(
            update={
                "moves": _moved(trail.moves, move),
                "points": trail._measured(status.analysis),
                "told": trail._heard(status, now),
                "obeyed": status.obeyed,
            }
        )

    def _ended(self, status: RecModelStatus, now: Timestamp) -> Trail:
        refused = next((r for r in status.rejected if r.name == self.candidate), None)
        promoted = status.stable is not None and status.stable.name == self.candidate
        weight = 100 if promoted else 0
        ending = "promoted" if promoted else f"{refused.reason}: {refused.message}" if refused else "replaced"
        phase = "Promoted" if promoted else "RolledBack" if refused else "Replaced"
        step = self.moves[-1].step if self.moves else 0
        last = Move(time=now, phase=phase, step=step, weight=weight)
        return self.model_copy(
            update={
                "ended_at": now,
                "ending": ending[:_LONGEST],
                "moves": _moved(self.moves, last),
                "points": self._measured(status.analysis),
                "told": self._heard(status, now),
                "obeyed": status.obeyed,
            }
        )

    def _as_earlier(self, now: Timestamp) -> list[Trail]:
        """Return the rollouts before the one that begins, this one the last of them."""
        if not self.candidate:
            return []
        points = {name: fewer(points, _LOOKS_OF_EARLIER) for name, points in self.points.items()}
        # One that another candidate takes the place of has no end of its own in the status.
        end = {"ended_at": now, "ending": "replaced by another candidate"} if self.going else {}
        last = self.model_copy(update={**end, "points": points, "earlier": [], "obeyed": {}})
        return [*self.earlier, last][-EARLIER:]

    def _heard(self, status: RecModelStatus, now: Timestamp) -> list[Told]:
        new = [word for word, value in status.obeyed.items() if self.obeyed.get(word) != value]
        return [*self.told, *(Told(time=now, command=word) for word in sorted(new))][-TOLD:]

    def _measured(self, results: Iterable[AnalysisResult]) -> dict[str, list[Point]]:
        points = dict(self.points)
        for result in results:
            before = points.get(result.metric, [])
            if self.started_at is None or result.time < self.started_at:
                continue  # Of the rollout before: its results stay in the status until this one measures.
            if not before or before[-1].time < result.time:
                points[result.metric] = fewer([*before, _point(result)], LOOKS)
        return points


def _moved(moves: list[Move], move: Move) -> list[Move]:
    """Return the moves with another, if it is one."""
    if moves and moves[-1].model_copy(update={"time": move.time}) == move:
        return moves
    return [*moves, move] if len(moves) < MOVES else [*moves[: MOVES // 2], *moves[MOVES // 2 + 1 :], move]


def _point(result: AnalysisResult) -> Point:
    interval = result.interval
    return Point(
        time=result.time,
        step=result.step,
        verdict=result.verdict,
        stable=_short(result.stable),
        candidate=_short(result.candidate),
        delta=_short(result.delta),
        low=_short(interval.low) if interval else None,
        high=_short(interval.high) if interval else None,
        margin=result.margin,
        samples=result.samples,
        message=result.message[:_LONGEST] if result.verdict != "Pass" else "",
    )


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.5g}")


def fewer(points: list[Point], most: int) -> list[Point]:
    """Return at most `most` points: every other one of each run of one step and verdict, but its ends.

    What is left may be half as many as `most`.
    """
    while len(points) > most:
        runs = [list(run) for _, run in groupby(points, key=lambda p: (p.step, p.verdict))]
        kept = [p for run in runs for n, p in enumerate(run) if n % 2 == 0 or n == len(run) - 1]
        # Verdicts that change at every look leave no runs to thin: then the oldest go.
        points = kept if len(kept) < len(points) else points[len(points) // 4 :]
    return points
