"""What rollouts under way have shown so far: looks at pods, Prometheus and webhooks, one an interval.

It is in memory, and a ConfigMap has it too (`record.py`): an operator that restarts goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from fathom_api.analysis import AnalysisResult
from fathom_api.recmodel import RecModelStatus
from fathom_api.rollout import Rollout
from fathom_api.types import seconds
from fathom_operator.analysis.counts import Histogram, Scrape
from fathom_operator.analysis.questions import Side, Subject, heard, questions
from fathom_operator.analysis.trail import Trail
from fathom_operator.analysis.values import Values
from fathom_operator.analysis.windows import Evidence, Look
from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Key
from fathom_operator.recmodel.asker import Asker, HttpAsker, TokenError, Tokens
from fathom_operator.recmodel.predictor import PORT, STAGE
from fathom_operator.recmodel.record import Kept, kept_in, trail_in
from fathom_operator.recmodel.scraper import Scraper
from fathom_operator.times import parse, text
from fathom_operator.views import PodView

#: A look this much too early is a look.
_SLACK: Final = 0.9


@dataclass(frozen=True)
class Shown:
    """The evidence of one step of one candidate, and what the rollout has measured since it began."""

    candidate: str = ""
    step: int = 0
    evidence: Evidence = field(default_factory=Evidence)
    at: datetime | None = None
    #: Restarts of the candidate's pods when the step began, and since then.
    restarts_before: dict[str, int] = field(default_factory=dict[str, int])
    restarts: int = 0
    #: What Prometheus said in this step, and what webhooks said at the latest look, by metric.
    values: Mapping[str, Values] = field(default_factory=dict[str, Values])
    said: Mapping[str, AnalysisResult] = field(default_factory=dict[str, AnalysisResult])
    #: Scores of the candidate on the test split.
    evaluation: Histogram | None = None
    trail: Trail = field(default_factory=Trail)

    @property
    def kept(self) -> Kept | None:
        """Return what of it shall outlive the operator."""
        if not self.candidate or self.at is None:
            return None
        values, before = dict(self.values), self.restarts_before
        return Kept(self.candidate, self.step, self.at, self.evidence, values, before)


class Evidences:
    """What is known of each rollout; workers share it."""

    def __init__(self, scraper: Scraper, asker: Asker | None = None) -> None:
        """Take what reads the pods, and what asks others."""
        self._scraper = scraper
        self._asker = asker or HttpAsker()
        self._lock = threading.Lock()
        self._shown: dict[Key, Shown] = {}

    def forget(self, key: Key) -> None:
        """Forget a rollout whose resource is gone."""
        with self._lock:
            self._shown.pop(key, None)

    def look(
        self,
        key: Key,
        rollout: Rollout,
        status: RecModelStatus,
        pods: Iterable[PodView],
        now: datetime,
        *,
        record: Obj | None = None,
        tokens: Tokens | None = None,
    ) -> Shown:
        """Return the evidence of the step that `status` is in, with a look if one is due.

        Args:
            key: The RecModel.
            rollout: Its rollout's spec.
            status: Its status.
            pods: Its pods.
            now: The time.
            record: The ConfigMap in which an operator before has kept what it knew; read where nothing is
                known.
            tokens: Reads bearer tokens.
        """
        with self._lock:
            before = self._shown.get(key)
        before = before or Shown(trail=trail_in(record))
        trail = before.trail.see(status, text(now))
        if status.rollout is None or status.candidate is None or status.stable is None:
            shown = Shown(trail=trail)
        else:
            if not before.candidate:
                before = _restored(before, kept_in(record), status)
            going = _Going(key, rollout, status, status.stable.name, status.candidate.name, now)
            shown = self._shown_by(going, before, pods, tokens or _no_tokens)
        shown = replace(shown, trail=trail)
        with self._lock:
            self._shown[key] = shown
        return shown

    def _shown_by(self, it: _Going, before: Shown, pods: Iterable[PodView], tokens: Tokens) -> Shown:
        both = [p for p in pods if p.stage == STAGE and p.run in {it.stable, it.candidate} and not p.deleting]
        shown = _of_step(before, it.candidate, it.step, it.rollout, both)
        shown = replace(shown, evaluation=_evaluation(it.status))
        if not it.rollout.analysis or not _is_due(shown, it.rollout, it.now):
            return shown
        look = self._at(both, it.stable, it.candidate, it.now)
        if not it.begun:
            return replace(shown, evidence=replace(shown.evidence, last=look), at=it.now)
        asked = questions(it.rollout, it.subject(both))
        answers = self._asker(asked, tokens) if asked else {}
        values, said = heard(it.rollout, shown.values, answers, it.step, it.now)
        return replace(shown, evidence=shown.evidence.see(look), at=it.now, values=values, said=said)

    def _at(self, pods: list[PodView], stable: str, candidate: str, now: datetime) -> Look:
        ready = [pod for pod in pods if pod.ready and pod.ip]
        read = self._scraper(ready)
        blind = tuple(sorted(pod.name for pod in ready if pod.name not in read))

        def of(version: str) -> dict[str, Scrape]:
            return {p.name: read[p.name] for p in ready if p.run == version and p.name in read}

        return Look(now, of(stable), of(candidate), blind)


@dataclass(frozen=True)
class _Going:
    """A rollout under way, at a moment."""

    key: Key
    rollout: Rollout
    status: RecModelStatus
    stable: str
    candidate: str
    now: datetime

    @property
    def step(self) -> int:
        return self.status.rollout.step if self.status.rollout else 0

    @property
    def begun(self) -> bool:
        """Return whether the candidate has its share of the requests."""
        return self.status.rollout is not None and self.status.rollout.step_started_at is not None

    def subject(self, pods: list[PodView]) -> Subject:
        """Return what others are asked about."""
        return Subject(
            namespace=self.key.namespace,
            name=self.key.name,
            stable=side(self.stable, pods),
            candidate=side(self.candidate, pods),
            step=self.step,
            weight=self.status.rollout.weight if self.status.rollout else 0,
            window=seconds(self.rollout.interval),
            now=self.now,
            results=self.status.analysis,
        )


def side(version: str, pods: Iterable[PodView]) -> Side:
    """Return a version with its ready pods, as others are told of it."""
    ready = [p for p in pods if (p.stage, p.run) == (STAGE, version) and p.ready and p.ip and not p.deleting]
    return Side(version, {p.name: f"http://{p.host}:{PORT}" for p in ready})


def _no_tokens(key: object) -> str:
    raise TokenError("there is nobody to read Secrets")


def _restored(before: Shown, kept: Kept | None, status: RecModelStatus) -> Shown:
    """Return what an operator before us knew of this rollout's step, or of the one before it."""
    going, candidate = status.rollout, status.candidate
    if kept is None or going is None or candidate is None:
        return before
    if kept.candidate != candidate.name or kept.step > going.step:
        return before
    if going.started_at is not None and kept.at < parse(going.started_at):
        return before  # Of a try before: it is tried again from the start.
    # The next look is due at once: `at` stays None, and says when the next was made.
    return replace(
        before,
        candidate=kept.candidate,
        step=kept.step,
        evidence=kept.evidence,
        values=kept.values,
        restarts_before=kept.restarts_before,
    )


def _of_step(before: Shown, candidate: str, step: int, rollout: Rollout, pods: list[PodView]) -> Shown:
    """Return what was shown in this step so far; another step, or candidate, begins with nothing."""
    restarts = {pod.name: pod.restarts for pod in pods if pod.run == candidate}
    if (before.candidate, before.step) == (candidate, step):
        since = sum(max(0, n - before.restarts_before.get(name, 0)) for name, n in restarts.items())
        return replace(before, restarts=since)
    baking = step >= len(rollout.steps) and before.candidate == candidate
    evidence = before.evidence.without_stable() if baking else Evidence()
    return Shown(candidate, step, replace(evidence, last=None), restarts_before=restarts)


def _is_due(shown: Shown, rollout: Rollout, now: datetime) -> bool:
    return shown.at is None or (now - shown.at).total_seconds() >= _SLACK * seconds(rollout.interval)


def _evaluation(status: RecModelStatus) -> Histogram | None:
    scores = status.scores
    if scores is None or len(scores.counts) != len(scores.edges) + 1:
        return None
    return Histogram(tuple(scores.edges), tuple(map(float, scores.counts)), scores.total)
