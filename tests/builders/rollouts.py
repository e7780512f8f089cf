"""Rollouts as the operator sees them: traffic and clock are simulated, verdicts and records are its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from benchmarks.rollout_traffic import FAULTS, Fault
from benchmarks.rollouts import START, Simulation
from builders.manifests import rec_model
from fathom_api import RecModelSpec, RecModelStatus
from fathom_api.rollout import Rollout
from fathom_operator.analysis.trail import Trail
from fathom_operator.times import text

#: The rollout of the documentation: two steps, six checks, a look every 30 s.
ROLLOUT: Mapping[str, Any] = {
    "steps": [{"weight": 10, "pause": "10m"}, {"weight": 50, "pause": "10m"}],
    "minSamples": 3000,
    "interval": "30s",
    "bake": "5m",
    "analysis": [
        {"name": "errors", "metric": "ErrorRate"},
        {"name": "slow", "metric": "LatencyP99"},
        {"name": "scores", "metric": "ScorePSI"},
        {"name": "unknown-items", "metric": "UnknownFeatureRate"},
        {"name": "calibration", "metric": "Calibration"},
        {"name": "ranking", "metric": "AUC"},
    ],
}


def spec(rollout: Mapping[str, Any] = ROLLOUT) -> RecModelSpec:
    """Return a RecModel's spec with this rollout."""
    return RecModelSpec.model_validate(rec_model(spec__serving={"rollout": dict(rollout)})["spec"])


def fault(name: str) -> Fault:
    """Return the fault whose name holds `name`."""
    return next(each for each in FAULTS if name in each.name)


@dataclass
class Life:
    """A RecModel that has one rollout after the other."""

    status: RecModelStatus = field(
        default_factory=lambda: RecModelStatus.model_validate(
            {
                "stage": "Serving",
                "stable": {"name": "v-1", "promotedAt": text(START - timedelta(days=2))},
                "history": [{"name": "v-1", "promotedAt": text(START - timedelta(days=2)), "auc": 0.7013}],
            }
        )
    )
    trail: Trail = field(default_factory=Trail)
    now: datetime = START

    def roll_out(
        self,
        candidate: str,
        what: Fault | None = None,
        *,
        seed: int = 1,
        until: Callable[[Simulation], bool] | None = None,
        told: Mapping[int, Mapping[str, str]] | None = None,
    ) -> Life:
        """Roll a candidate out to its end, or `until` something holds.

        Args:
            candidate: Its name.
            what: What is wrong with it; nothing if None.
            seed: Of the traffic.
            until: Ends it early; looked at after each look.
            told: `status.obeyed` from a look on, counted from 1.
        """
        simulation = Simulation(Rollout.model_validate(dict(ROLLOUT)), what or Fault(), seed)
        shift = self.now - START
        self._see(candidate, simulation, shift)
        for number in range(1, 500):
            decision, _ = simulation.look()
            if told and number in told:
                self.status = self.status.model_copy(update={"obeyed": dict(told[number])})
            self._see(candidate, simulation, shift)
            if decision.action in {"Done", "Rollback"}:
                self._end(candidate, decision.action == "Done", decision.reason, decision.message)
                break
            if until is not None and until(simulation):
                break
        return self

    def _see(self, candidate: str, simulation: Simulation, shift: timedelta) -> None:
        """Look at it as the operator does, at times that go on from the rollout before."""
        self.now = simulation.now + shift
        results = [r.model_copy(update={"time": text(self.now)}) for r in simulation.results]
        started = simulation.status.step_started_at
        moved = {"started_at": text(START + shift), "weight": simulation.mirror or simulation.weight}
        if started is not None:
            moved["step_started_at"] = text(datetime.fromisoformat(started) + shift)
        self.status = RecModelStatus.model_validate(
            self.status.document()
            | {
                "stage": "RollingOut",
                "candidate": {"name": candidate, "createdAt": text(START + shift - timedelta(minutes=40))},
                "rollout": simulation.status.model_copy(update=moved).document(),
                "analysis": [r.document() for r in results],
            }
        )
        self.trail = self.trail.see(self.status, text(self.now))

    def _end(self, candidate: str, promoted: bool, reason: str, message: str) -> None:
        document = self.status.document()
        document |= {"stage": "Serving" if promoted else "Rejected", "candidate": None, "rollout": None}
        if promoted:
            version = {"name": candidate, "promotedAt": text(self.now), "auc": 0.7021}
            document |= {"stable": version, "history": [version, *document["history"]]}
        else:
            refused = {"name": candidate, "reason": reason, "message": message, "at": text(self.now)}
            document["rejected"] = [refused, *document.get("rejected", [])]
        self.status = RecModelStatus.model_validate({k: v for k, v in document.items() if v is not None})
        self.trail = self.trail.see(self.status, text(self.now))
