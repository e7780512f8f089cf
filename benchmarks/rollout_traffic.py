"""Traffic as rankers see it, and faults, for `benchmarks.rollouts`: what pods would have counted.

Load has a day and bursts; people come in sessions, ask several times, and score high or low all session long;
latency has a heavy tail and slow minutes, some shared by all pods, some of one pod; a database has incidents
that hit both versions; outcomes come minutes later or never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from fathom.score_buckets import BOUNDS, label
from fathom.serving.metrics import LATENCY_BUCKETS
from fathom_operator.analysis.counts import Counts, Histogram, Scrape, total
from fathom_operator.analysis.windows import Look

Floats = NDArray[np.float64]

#: Buckets of the server, as a scrape shows them.
LATENCY_EDGES = LATENCY_BUCKETS
SCORE_EDGES = tuple(float(label(bound)) for bound in BOUNDS)
REQUESTS_PER_SECOND = 200.0
CANDIDATES = 10
STABLE_PODS, CANDIDATE_PODS = 6, 2
#: Seconds for which the kubelet waits before it starts a container again, doubled each time up to the most.
BACK_OFF, MOST_BACK_OFF = 10.0, 300.0


@dataclass(frozen=True)
class Fault:
    """What is wrong with a candidate; all of it as good as stable by default."""

    name: str = "none"
    errors: float = 0.0
    #: The slowest twentieth takes so many times as long.
    tail: float = 1.0
    #: Added to the log odds of every score.
    shift: float = 0.0
    #: Scores know nothing of the item that they are of, and look as they did.
    shuffled: bool = False
    #: Scores are so many times what they should be.
    scale: float = 1.0
    unknown: float = 0.02
    #: Seconds until it is ready; None: never.
    ready_after: float | None = None
    never_ready: bool = False
    #: Seconds after which its pods end by themselves, each time they are started.
    crashes_after: float | None = None
    #: Requests after which a pod is killed for its memory.
    killed_after: float = math.inf


FAULTS = (
    Fault("errors 2 %", errors=0.02),
    Fault("p99 +30 %", tail=1.3),
    Fault("scores shifted (log odds +0.5)", shift=0.5),
    Fault("shuffled embeddings", shuffled=True),
    Fault("calibration off by 20 %", scale=1.2),
    Fault("wrong vocabulary (40 % of items unknown)", unknown=0.4),
    Fault("out of memory, again and again", killed_after=600),
    Fault("crash on load", never_ready=True, crashes_after=5),
    Fault("slow start (20 min)", ready_after=1200),
)


@dataclass
class _Pod:
    counts: Counts = field(default_factory=Counts)
    started: float = 0.0
    slow: float = 0.0


class Traffic:
    """Requests to both versions, a look at a time; `weight` and `mirror` may change between looks."""

    def __init__(self, seed: int, fault: Fault, interval: float) -> None:
        self.random = np.random.default_rng(seed)
        self.fault = fault
        self.interval = interval
        self.restarts = 0
        self.exposed = 0
        self._hour = self.random.uniform(0, 24)
        self._burst = self._slow = 0.0
        self._sessions: Floats = np.zeros(0)
        self._pods = {
            "stable": {f"stable-{i}": _Pod() for i in range(STABLE_PODS)},
            "candidate": {f"candidate-{i}": _Pod() for i in range(CANDIDATE_PODS)},
        }

    def go_on(self, now: datetime, weight: int, mirror: int = 0) -> Look:
        """Let one interval pass and look at the pods."""
        r = self.random
        users, sick = self._requests()
        self._slow = 0.9 * self._slow + r.normal(0, 0.07)
        # An incident of what both versions depend on.
        incident = 0.05 if r.random() < 0.01 else 0.0
        to_candidate = r.random(users.size) < weight / 100
        copied = r.random(users.size) < mirror / 100
        self._serve("stable", users[~to_candidate], sick[~to_candidate], incident, now)
        for share, real in ((to_candidate, True), (copied, False)):
            self._serve("candidate", users[share], sick[share], incident, now, real=real)
        return Look(now, self._scrapes("stable"), self._scrapes("candidate"))

    def candidate_requests(self) -> Mapping[str, float]:
        """Return what each pod of the candidate has counted."""
        return {name: pod.counts.requests for name, pod in self._pods["candidate"].items()}

    def _scrapes(self, version: str) -> dict[str, Scrape]:
        return {name: Scrape(pod.counts, pod.started) for name, pod in self._pods[version].items()}

    def _requests(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Return, for each request of the interval, how high its user scores, and whether it is malformed."""
        r = self.random
        self._hour += self.interval / 3600
        self._burst = 0.8 * self._burst + r.normal(0, 0.12)
        load = REQUESTS_PER_SECOND * (1 + 0.4 * math.sin(self._hour * math.pi / 12)) * math.exp(self._burst)
        staying = self._sessions[r.random(self._sessions.size) < math.exp(-self.interval / 90)]
        # Sessions last 90 s on average and ask every 15 s.
        wanted = load * 15
        new = r.poisson(max(0.0, wanted - staying.size))
        self._sessions = np.concatenate([staying, r.normal(0, 0.6, new)])
        each = r.poisson(self.interval / 15, self._sessions.size)
        users = np.repeat(self._sessions, each)
        # The same few clients always ask wrongly: told by their own number, so that they stay the same.
        return users, np.abs(users) > 2.2

    def _serve(
        self,
        version: str,
        users: Floats,
        sick: NDArray[np.bool_],
        incident: float,
        now: datetime,
        *,
        real: bool = True,
    ) -> None:
        r, pods = self.random, self._pods[version]
        fault = self.fault if version == "candidate" else Fault()
        if version == "candidate" and real:
            self.exposed += users.size
        place = r.integers(0, len(pods), users.size)
        failed = sick | (r.random(users.size) < 0.001 + incident + fault.errors)
        truth = users[:, None] - 2.5 + r.normal(0, 1.0, (users.size, CANDIDATES))
        scores = self._scores(truth, users, fault)
        outcome = r.random(truth.shape) < 1 / (1 + np.exp(-truth))
        unknown = r.random(truth.shape) < fault.unknown
        for number, (name, pod) in enumerate(pods.items()):
            mine = place == number
            pod.slow = 0.7 * pod.slow + r.normal(0, 0.05)
            good = mine & ~failed
            counted = Counts(
                requests=float(mine.sum()),
                errors=float((mine & failed).sum()),
                candidates=float(good.sum() * CANDIDATES),
                unknown=float(unknown[good].sum()),
                latency=_histogram(self._latencies(int(mine.sum()), pod.slow, fault), LATENCY_EDGES),
                scores=_histogram(scores[good].ravel(), SCORE_EDGES),
            )
            if real:
                counted = total([counted, self._outcomes(scores[good], outcome[good])])
            pods[name] = self._killed(pod, counted, fault, now)

    def _killed(self, pod: _Pod, counted: Counts, fault: Fault, now: datetime) -> _Pod:
        """Return the pod after it counted; where its memory ran out it has begun anew and counts from 0."""
        pod.counts = total([pod.counts, counted])
        if pod.counts.requests < fault.killed_after:
            return pod
        self.restarts += 1
        return _Pod(started=now.timestamp())

    def _scores(self, truth: Floats, users: Floats, fault: Fault) -> Floats:
        r = self.random
        shown = truth
        if fault.shuffled:
            shown = users[:, None] - 2.5 + r.permuted(truth - users[:, None] + 2.5, axis=None)
        logits = 0.9 * (shown + 2.5) - 2.45 + r.normal(0, 0.4, truth.shape) + fault.shift
        return np.clip(fault.scale / (1 + np.exp(-logits)), 0.0, 1.0)

    def _outcomes(self, scores: Floats, outcome: NDArray[np.bool_]) -> Counts:
        """Return the outcomes that are reported: of six in ten requests."""
        told = self.random.random(len(scores)) < 0.6
        flat, well = scores[told].ravel(), outcome[told].ravel()
        return Counts(
            positives=_histogram(flat[well], SCORE_EDGES), negatives=_histogram(flat[~well], SCORE_EDGES)
        )

    def _latencies(self, n: int, slow: float, fault: Fault) -> Floats:
        r = self.random
        z = r.normal(0, 0.5, n)
        seconds = 0.012 * np.exp(z + self._slow + slow)
        # One in three hundred waits for something else: a Pareto tail.
        stuck = r.random(n) < 1 / 300
        seconds[stuck] *= 1 + 2 * r.pareto(1.5, int(stuck.sum()))
        return np.where((z > 0.82) | stuck, seconds * fault.tail, seconds)


def _histogram(values: Floats, edges: tuple[float, ...]) -> Histogram:
    places = np.searchsorted(edges, values, side="left")
    counts = np.bincount(places, minlength=len(edges) + 1)
    return Histogram(edges, tuple(map(float, counts)), float(values.sum()))
