"""The gate, what a model must beat to be served: a chain of pure rules, the first that applies speaks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fathom_api.recmodel import LOWER_IS_BETTER, Arm, Gate, GateVerdict, Metric, Metrics

_FIELDS: Final[dict[Metric, str]] = {
    "AUC": "auc",
    "GAUC": "gauc",
    "LogLoss": "log_loss",
    "NormalizedEntropy": "normalized_entropy",
}
#: Gates compare numbers that went through JSON: what differs less than this is equal.
_EPSILON: Final = 1e-9


@dataclass(frozen=True)
class Comparison:
    """The candidate beside one other; a value is None where it was not measured."""

    metric: Metric
    against: Arm
    present: bool
    value: float | None
    baseline: float | None
    min_delta: float

    @property
    def delta(self) -> float | None:
        """Return the improvement, positive is better; None where it cannot be told."""
        if self.value is None or self.baseline is None:
            return None
        better = self.baseline - self.value if self.metric in LOWER_IS_BETTER else self.value - self.baseline
        return round(better, 12)


Verdict = tuple[Literal["Pass", "Fail", "Skipped"], str]
Rule = Callable[[Comparison], Verdict | None]


def nothing_to_compare_with(it: Comparison) -> Verdict | None:
    """Skip the comparison with what is served while nothing is."""
    if it.against == "Serving" and not it.present:
        return "Skipped", "nothing is served yet"
    return None


def candidate_not_measured(it: Comparison) -> Verdict | None:
    """Fail a candidate without a number: no answer is not a good answer."""
    if it.value is None:
        return "Fail", f"the evaluation has no {it.metric} of the candidate"
    return None


def baseline_not_measured(it: Comparison) -> Verdict | None:
    """Fail a comparison that was asked for and cannot be made."""
    if it.baseline is None:
        return "Fail", f"the evaluation has no {it.metric} of {it.against}"
    return None


def not_enough_better(it: Comparison) -> Verdict | None:
    """Fail a candidate that does not improve by `minDelta`."""
    if it.delta is not None and it.delta < it.min_delta - _EPSILON:
        return "Fail", f"{_numbers(it)}: less than {it.min_delta:+g}, the least improvement"
    return None


def better(it: Comparison) -> Verdict | None:
    """Pass what none of the rules before had anything against."""
    return "Pass", _numbers(it)


RULES: Final[tuple[Rule, ...]] = (
    nothing_to_compare_with,
    candidate_not_measured,
    baseline_not_measured,
    not_enough_better,
    better,
)


def judge(gate: Gate, measured: Mapping[Arm, Metrics]) -> list[GateVerdict]:
    """Return a verdict for each comparison of `gate`."""
    return [_verdict(_comparison(gate, against, measured)) for against in gate.against]


def failed(verdicts: Iterable[GateVerdict]) -> str | None:
    """Return why the gate stays closed, None if it opens."""
    return "; ".join(v.message for v in verdicts if v.verdict == "Fail") or None


def _comparison(gate: Gate, against: Arm, measured: Mapping[Arm, Metrics]) -> Comparison:
    field = _FIELDS[gate.metric]
    return Comparison(
        metric=gate.metric,
        against=against,
        present=against in measured,
        value=_number(measured.get("Captions"), field),
        baseline=_number(measured.get(against), field),
        min_delta=gate.min_delta,
    )


def _verdict(it: Comparison) -> GateVerdict:
    verdict, message = next(v for rule in RULES if (v := rule(it)))
    return GateVerdict(
        metric=it.metric,
        against=it.against,
        value=it.value,
        baseline=it.baseline,
        delta=it.delta,
        verdict=verdict,
        message=message,
    )


def _number(metrics: Metrics | None, field: str) -> float | None:
    value = getattr(metrics, field, None)
    return value if value is not None and math.isfinite(value) else None


def _numbers(it: Comparison) -> str:
    return f"{it.metric} {it.value:.4f}, {it.against} {it.baseline:.4f}, improvement {it.delta:+.4f}"
