"""How often a rollout takes back a good candidate, and how soon a bad one, by simulation.

`python -m benchmarks.rollouts [--good 200] [--bad 100]` runs whole rollouts of a candidate that is the stable
version again (A/A), then of one with each fault (A/B), against simulated traffic (`rollout_traffic`). What is
simulated is what pods count and a clock; scrapes, windows, tests and decisions are the operator's.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from benchmarks.rollout_traffic import BACK_OFF, CANDIDATE_PODS, FAULTS, MOST_BACK_OFF, Fault, Traffic
from fathom_api.analysis import DEFAULT_MARGINS, AnalysisResult
from fathom_api.rollout import Rollout, RolloutStatus
from fathom_api.types import seconds
from fathom_operator.analysis.decide import Decision, Sight, begin, decide
from fathom_operator.analysis.judge import Seen, judge
from fathom_operator.analysis.windows import Evidence

START = datetime(2026, 1, 1, tzinfo=UTC)
ANALYSIS = [{"name": metric, "metric": metric} for metric in DEFAULT_MARGINS]
#: Everything at its default but the times; every built-in metric.
ROLLOUT = Rollout.model_validate(
    {
        "steps": [{"weight": 10, "pause": "10m"}, {"weight": 50, "pause": "10m"}],
        "minSamples": 3000,
        "interval": "30s",
        "bake": "5m",
        "analysis": ANALYSIS,
    }
)
#: Nothing is put up with: what remains is the tests' own rate of false alarms.
STRICT = Rollout.model_validate(
    {**ROLLOUT.document(), "analysis": [{**metric, "margin": 0} for metric in ANALYSIS]}
)
SHADOWED = Rollout.model_validate({**ROLLOUT.document(), "shadow": {"weight": 30, "duration": "5m"}})
LONGEST = timedelta(hours=4)


@dataclass(frozen=True)
class Ending:
    """How a rollout ended."""

    phase: str
    reason: str
    message: str
    step: int
    #: Seconds since the candidate first got requests, or since the rollout began if it never did.
    seconds: float
    #: Requests of people that the candidate was given.
    exposed: int
    metrics: tuple[str, ...]


class Simulation:
    """One rollout from its start to its end."""

    def __init__(self, rollout: Rollout, fault: Fault, seed: int) -> None:
        self.rollout = rollout
        self.fault = fault
        self.interval = seconds(rollout.interval)
        self.traffic = Traffic(seed, fault, self.interval)
        self.status: RolloutStatus = begin(rollout, START)
        self.evidence = Evidence()
        self.now = START
        self.weight = self.mirror = 0
        self.restarts_before = 0
        self.first_request: datetime | None = None
        #: What the metrics said at the latest look.
        self.results: Sequence[AnalysisResult] = ()

    def run(self) -> Ending:
        """Return how it ended."""
        while True:
            decision, failed = self.look()
            if decision.action in ("Rollback", "Done"):
                return self._ending(decision, failed)
            if self.now - START >= LONGEST:
                return self._ending(decision, ())

    def look(self) -> tuple[Decision, tuple[str, ...]]:
        """Let an interval pass; return what is decided then, and by which metrics that fail."""
        self.now += timedelta(seconds=self.interval)
        ready = self._is_ready()
        look = self.traffic.go_on(self.now, self.weight if ready else 0, self.mirror if ready else 0)
        if self.weight and ready and self.first_request is None:
            self.first_request = self.now - timedelta(seconds=self.interval)
        self.evidence = self.evidence.see(look)
        step = self.status.step
        results = judge(self.rollout, Seen(self.evidence, step), self.now) if self._has_begun() else []
        sight = Sight(
            ready=ready,
            percent=self.mirror or self.weight,
            samples=int(self.evidence.candidate_requests()),
            restarts=self.traffic.restarts + self._crashes() - self.restarts_before,
            message="CrashLoopBackOff" if self.fault.never_ready else "",
        )
        decision = decide(self.rollout, self.status, sight, results, self.now)
        self._apply(decision, step)
        self.results = results or self.results
        return decision, tuple(r.metric for r in results if r.verdict == "Fail")

    def _apply(self, decision: Decision, step: int) -> None:
        moved = (decision.weight, decision.mirror) != (self.weight, self.mirror)
        self.status, self.weight, self.mirror = decision.status, decision.weight, decision.mirror
        if decision.status.step != step or moved:
            baking = decision.status.step >= len(self.rollout.steps)
            last = self.evidence.last
            self.evidence = self.evidence.without_stable() if baking else Evidence()
            if last is not None:
                self.evidence = self.evidence.see(last)
            self.restarts_before = self.traffic.restarts + self._crashes()

    def _has_begun(self) -> bool:
        return self.status.step_started_at is not None

    def _is_ready(self) -> bool:
        wanted = self.fault.ready_after or 40.0
        return not self.fault.never_ready and (self.now - START).total_seconds() >= wanted

    def _crashes(self) -> int:
        """Return how often pods that end while they load were started again, by the kubelet's back-off."""
        if self.fault.crashes_after is None:
            return 0
        at, wait, restarts = self.fault.crashes_after, BACK_OFF, 0
        while at + wait <= (self.now - START).total_seconds():
            at += wait + self.fault.crashes_after
            wait, restarts = min(2 * wait, MOST_BACK_OFF), restarts + CANDIDATE_PODS
        return restarts

    def _ending(self, decision: Decision, failed: tuple[str, ...]) -> Ending:
        began = self.first_request or START
        return Ending(
            decision.status.phase,
            decision.reason,
            decision.message,
            decision.status.step,
            (self.now - began).total_seconds(),
            self.traffic.exposed,
            failed,
        )


def run(rollout: Rollout, fault: Fault, times: int, seed: int) -> Iterator[Ending]:
    """Yield the endings of `times` rollouts."""
    for number in range(times):
        yield Simulation(rollout, fault, seed + number).run()


def show(name: str, endings: Sequence[Ending]) -> None:
    """Print a row of the table."""
    back = [e for e in endings if e.phase == "RolledBack"]
    first = [e for e in back if e.step <= 0]
    causes = Counter(m for e in back for m in (e.metrics or (e.reason,)))
    times = sorted(e.seconds for e in back)
    exposed = sorted(e.exposed for e in back)
    middle, late = (f"{median(times):.0f}", f"{times[int(len(times) * 0.95)]:.0f}") if times else ("", "")
    seen = f"{median(exposed):,.0f}" if exposed else ""
    why = ", ".join(f"{cause} {count}" for cause, count in causes.most_common(3))
    share, soon = len(back) / len(endings), len(first) / len(endings)
    print(
        f"| {name} | {len(endings)} | {share:.1%} | {soon:.1%} | {middle} | {late} | {seen} | {why} |",
        flush=True,
    )


def main() -> None:
    """Run all and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--good", type=int, default=200)
    parser.add_argument("--bad", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only rows whose name holds this")
    arguments = parser.parse_args()
    started = time.process_time()
    heads = (
        "candidate",
        "rollouts",
        "taken back",
        "in the first step",
        "s, median",
        "s, 95 %",
        "exposed",
        "by",
    )
    print("|", " | ".join(heads), "|")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    good = {"": ROLLOUT, ", no margins": STRICT, ", shadow first": SHADOWED}
    # Seeds go by a row's place, whichever rows are asked for.
    for number, (how, rollout) in enumerate(good.items()):
        name, seed = f"as good as stable{how}", arguments.seed + 100_000 * number
        if arguments.good and arguments.only in name:
            show(name, list(run(rollout, Fault(), arguments.good, seed)))
    for number, fault in enumerate(FAULTS):
        seed = arguments.seed + 10_000 * (number + 1)
        if arguments.bad and arguments.only in fault.name:
            show(fault.name, list(run(ROLLOUT, fault, arguments.bad, seed)))
    print(f"\n{time.process_time() - started:.0f} s of CPU")


if __name__ == "__main__":
    main()
