"""What others are asked at a look, and what their answers mean; pure. Who asks is in `recmodel/asker.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from fathom_api import API_VERSION
from fathom_api.analysis import CANARY_VARIABLES, AnalysisMetric, AnalysisResult, PrometheusMetric, SecretKey
from fathom_api.rollout import Rollout
from fathom_operator.analysis.values import Values, fill_in, prometheus_number, webhook_result
from fathom_operator.times import text

#: Long enough for a server that is well: rollouts that others fail wait behind it.
SECONDS: Final = 3
#: More pods are not named: a query of them all would be too long.
_MOST_PODS: Final = 100

#: A metric by name, and which version it is asked about.
QuestionKey = tuple[str, Literal["Candidate", "Stable", "Both"]]


@dataclass(frozen=True)
class Side:
    """One of the two versions: its name, and where its ready pods answer, by their names."""

    name: str
    pods: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def names(self) -> list[str]:
        """Return the names of its pods, sorted, no more than are told."""
        return sorted(self.pods)[:_MOST_PODS]

    @property
    def addresses(self) -> list[str]:
        """Return where they answer, in the order of `names`."""
        return [self.pods[name] for name in self.names]


@dataclass(frozen=True)
class Subject:
    """What is asked about: a step of a rollout."""

    namespace: str
    name: str
    stable: Side
    candidate: Side
    step: int
    #: Share of the requests that the candidate has, in percent.
    weight: int
    #: Seconds between two looks.
    window: float
    now: datetime
    #: What was found at the look before.
    results: Sequence[AnalysisResult] = ()


@dataclass(frozen=True)
class Question:
    """A POST of `form` or of `document`, as JSON, to `url`."""

    url: str
    form: Mapping[str, str] | None = None
    document: Mapping[str, Any] | None = None
    token: SecretKey | None = None


@dataclass(frozen=True)
class Answer:
    """What came back: parsed JSON, or why nothing did."""

    body: Any = None
    why: str = ""


Answers = Mapping[QuestionKey, Answer]


def questions(rollout: Rollout, about: Subject) -> dict[QuestionKey, Question]:
    """Return what is asked at this look."""
    baking = about.step >= len(rollout.steps)
    out = dict[QuestionKey, Question]()
    for metric in rollout.analysis:
        if metric.webhook is not None:
            document = _document(metric, about)
            out[metric.name, "Both"] = Question(
                metric.webhook.url, document=document, token=metric.webhook.bearer_token
            )
        elif metric.prometheus is not None and not baking:
            out |= {(metric.name, who): q for who, q in _queries(metric.prometheus, about)}
    return out


def heard(
    rollout: Rollout, values: Mapping[str, Values], answers: Answers, step: int, now: datetime
) -> tuple[dict[str, Values], dict[str, AnalysisResult]]:
    """Return the numbers of Prometheus with those of `answers`, and what webhooks said, by metric."""
    numbers, said = dict(values), dict[str, AnalysisResult]()
    for metric in rollout.analysis:
        both = answers.get((metric.name, "Both"))
        if metric.webhook is not None and both is not None:
            said[metric.name] = webhook_result(metric, both.body, step, now, both.why)
        elif metric.prometheus is not None:
            before = values.get(metric.name, Values())
            numbers[metric.name] = _value(before, answers, metric.name, now)
    return numbers, said


def _queries(
    metric: PrometheusMetric, about: Subject
) -> Iterator[tuple[Literal["Candidate", "Stable", "Both"], Question]]:
    if any(variable in metric.query for variable in CANARY_VARIABLES):
        yield "Both", _query(metric, about, about.candidate)
        return
    yield "Candidate", _query(metric, about, about.candidate)
    yield "Stable", _query(metric, about, about.stable)


def _query(metric: PrometheusMetric, about: Subject, version: Side) -> Question:
    query = fill_in(
        metric.query,
        version=version.name,
        pods=_expression(version),
        canary=about.candidate.name,
        canaryPods=_expression(about.candidate),
        stable=about.stable.name,
        stablePods=_expression(about.stable),
        namespace=about.namespace,
        name=about.name,
        window=f"{max(1, round(about.window))}s",
    )
    # Both versions at the same moment, and no work for a server that we no longer wait for.
    form = {"query": query, "time": f"{about.now.timestamp():.3f}", "timeout": f"{SECONDS}s"}
    return Question(f"{metric.address.rstrip('/')}/api/v1/query", form=form, token=metric.bearer_token)


def _expression(version: Side) -> str:
    """Return a regular expression of the pods' names, which none has where there are no pods."""
    return "|".join(version.names) or "no-pod-is-ready"


def _document(metric: AnalysisMetric, about: Subject) -> Mapping[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "RolloutReview",
        "namespace": about.namespace,
        "name": about.name,
        "metric": metric.name,
        "canary": _version(about.candidate),
        "stable": _version(about.stable),
        "step": about.step,
        "weight": about.weight,
        "time": text(about.now),
        "analysis": [result.document() for result in about.results],
    }


def _version(side: Side) -> Mapping[str, Any]:
    return {"name": side.name, "pods": side.addresses}


def _value(before: Values, answers: Answers, name: str, now: datetime) -> Values:
    """Return the values with this look's; nothing is added where nothing was asked."""
    if (both := answers.get((name, "Both"))) is not None:
        number, why = _number(both)
        return before.see(number, None if number is None else 0.0, now, why)
    candidate, stable = answers.get((name, "Candidate")), answers.get((name, "Stable"))
    if candidate is None or stable is None:
        return before
    (ours, why), (theirs, why_not) = _number(candidate), _number(stable)
    reason = f"of the candidate: {why}" if why else f"of the stable version: {why_not}" if why_not else ""
    return before.see(ours, theirs, now, reason)


def _number(answer: Answer) -> tuple[float | None, str]:
    return (None, answer.why) if answer.why else prometheus_number(answer.body)
