"""What a rollout measures, by what means, and what was found."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from fathom_api.meta import ApiModel, StatusModel
from fathom_api.pods import PodTemplate
from fathom_api.rules import Rule
from fathom_api.types import Duration, Timestamp

BuiltInMetric = Literal[
    "ErrorRate",
    "LatencyP50",
    "LatencyP99",
    "ScorePSI",
    "ScoreKS",
    "UnknownFeatureRate",
    "Calibration",
    "AUC",
    "NormalizedEntropy",
    "OutcomeRate",
]
Reference = Literal["Stable", "Evaluation"]
Verdict = Literal["Pass", "Fail", "Inconclusive"]

#: Harm that is put up with where a metric says nothing else, in the unit of the metric.
DEFAULT_MARGINS: Final[dict[BuiltInMetric, float]] = {
    "ErrorRate": 0.002,
    "LatencyP50": 0.1,
    "LatencyP99": 0.1,
    "ScorePSI": 0.1,
    "ScoreKS": 0.1,
    "UnknownFeatureRate": 0.02,
    "Calibration": 0.05,
    "AUC": 0.005,
    "NormalizedEntropy": 0.01,
    "OutcomeRate": 0.02,
}
#: What needs outcomes, which nobody can report of an answer that nobody saw.
OUTCOME_METRICS: Final[frozenset[BuiltInMetric]] = frozenset(
    {"Calibration", "AUC", "NormalizedEntropy", "OutcomeRate"}
)
#: What can be told from the candidate without a stable version beside it, while it has all requests.
BAKE_METRICS: Final[frozenset[BuiltInMetric]] = frozenset({"ErrorRate", "UnknownFeatureRate"})

#: What stands for one version in a query: it is asked twice.
VERSION_VARIABLES: Final = ("{{version}}", "{{pods}}")
#: What stands for the candidate in a query that compares by itself: it is asked once.
CANARY_VARIABLES: Final = ("{{canary}}", "{{canaryPods}}")

Samples = Annotated[int, Field(ge=1, le=1_000_000_000)]


class SecretKey(ApiModel):
    """One value of a Secret in the namespace of the resource."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253, description="The Secret.")
    key: str = Field(
        default="token", pattern=r"^[-._a-zA-Z0-9]+$", max_length=253, description="The entry in it."
    )


class PrometheusMetric(ApiModel):
    """A number that a Prometheus server computes, of both versions."""

    RULES = (
        Rule(
            "['{{version}}', '{{pods}}', '{{canary}}', '{{canaryPods}}'].exists(v, self.query.contains(v))",
            "the query must name the version it asks about: write {{version}} or {{pods}} where it stands "
            "(asked once for each of both), or {{canary}} and {{stable}}, or {{canaryPods}} and "
            "{{stablePods}} (asked once)",
            lambda metric: any(v in metric.query for v in (*VERSION_VARIABLES, *CANARY_VARIABLES)),
            ".query",
        ),
    )

    address: str = Field(
        pattern=r"^https?://[^\s/@]+(/[^\s]*)?$",
        max_length=512,
        description="`http://prometheus.monitoring:9090`.",
    )
    query: str = Field(
        min_length=1,
        max_length=4096,
        description="PromQL with one number as its result. {{version}} stands for the candidate, then for "
        "the stable version, {{pods}} for the names of its ready pods, as a regular expression. With "
        "{{canary}} and {{stable}}, or {{canaryPods}} and {{stablePods}}, instead, the result is the "
        "difference, or any number that is 0 where both are alike. {{name}}, {{namespace}} and {{window}}, "
        "the time between two looks, are there too.",
    )
    bearer_token: SecretKey | None = Field(default=None, description="Shown to the server; none if unset.")
    better: Literal["Lower", "Higher"] = Field(default="Lower", description="Which way is an improvement.")
    min_looks: int = Field(
        default=20, ge=10, le=10_000, description="Values needed before the metric can pass or fail."
    )


class JobMetric(PodTemplate):
    """A Job of the user's, run once at each step but the bake; the template is that of its one pod.

    Exit code 0 passes, any other of its own fails. An image that cannot be had, a command that is not there,
    running out of memory or time say nothing about the candidate: Inconclusive.
    """

    RULES = (Rule("has(self.image)", "a job needs an image", lambda job: job.image is not None, ".image"),)

    command: list[Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=list[str],
        max_length=64,
        description="Its command; the image's if empty. The environment has FATHOM_CANARY and "
        "FATHOM_STABLE, the names of the versions, FATHOM_CANARY_PODS and FATHOM_STABLE_PODS, where their "
        "pods answered when it began (`http://10.0.0.7:8080`, commas between), FATHOM_STEP, FATHOM_WEIGHT "
        "and FATHOM_URL.",
    )
    args: list[Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=list[str], max_length=64, description="Arguments of the command."
    )
    deadline: Duration = Field(
        default="10m", description="After this long it is stopped, and has said nothing: Inconclusive."
    )


class WebhookMetric(ApiModel):
    """A service of the user's, asked at every look."""

    url: str = Field(
        pattern=r"^https?://[^\s/@]+(/[^\s]*)?$",
        max_length=1024,
        description="Gets a POST with the versions, the step and the evidence so far, as JSON, and answers "
        'within 3 s `{"verdict": "Pass" | "Fail" | "Inconclusive", "message": "…"}`. Anything else is '
        "Inconclusive.",
    )
    bearer_token: SecretKey | None = Field(default=None, description="Shown to the service; none if unset.")


class AnalysisMetric(ApiModel):
    """One thing that a candidate must not be worse in."""

    RULES = (
        Rule(
            "[has(self.metric), has(self.prometheus), has(self.job), has(self.webhook)]"
            ".filter(x, x).size() == 1",
            "say exactly one of metric, prometheus, job and webhook",
            lambda it: sum(x is not None for x in (it.metric, it.prometheus, it.job, it.webhook)) == 1,
        ),
        Rule(
            "self.against == 'Stable' || (has(self.metric) && self.metric in ['ScorePSI', 'ScoreKS'])",
            "only ScorePSI and ScoreKS can be compared with the evaluation: say against: Stable",
            lambda it: it.against == "Stable" or it.metric in ("ScorePSI", "ScoreKS"),
            ".against",
        ),
        Rule(
            "!has(self.prometheus) || has(self.margin)",
            "a prometheus metric needs a margin: how much worse the candidate may be",
            lambda it: it.prometheus is None or it.margin is not None,
        ),
    )

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9-]{0,62}$", description="How it is called in status and events."
    )
    metric: BuiltInMetric | None = Field(
        default=None,
        description="A built-in metric, read from the pods. Unit of margin and delta: a share of requests "
        "(ErrorRate) or of candidates (UnknownFeatureRate), relative to stable (LatencyP50, LatencyP99, "
        "Calibration, OutcomeRate), the distance itself (ScorePSI, ScoreKS), a difference (AUC, "
        "NormalizedEntropy).",
    )
    prometheus: PrometheusMetric | None = Field(default=None, description="A number from Prometheus.")
    job: JobMetric | None = Field(default=None, description="A Job that says whether the candidate is good.")
    webhook: WebhookMetric | None = Field(default=None, description="A service that says so.")
    against: Reference = Field(
        default="Stable",
        description="Evaluation: with the scores of the test split. Live traffic need not look like it.",
    )
    margin: float | None = Field(
        default=None,
        ge=0,
        le=1e9,
        description="Harm that is put up with. Fail: harm beyond it is shown. Defaults: ErrorRate 0.002, "
        "UnknownFeatureRate 0.02, LatencyP50 and LatencyP99 0.1, ScorePSI and ScoreKS 0.1, Calibration 0.05, "
        "AUC 0.005, NormalizedEntropy 0.01, OutcomeRate 0.02.",
    )
    tolerance: float | None = Field(
        default=None,
        ge=0,
        le=1e9,
        description="Pass only once harm beyond this is excluded. Unset: pass with enough samples and no "
        "Fail.",
    )
    min_samples: Samples | None = Field(
        default=None,
        description="Requests, or outcomes where it is about outcomes, that each version must have. If "
        "unset, the step's, and for LatencyP99 at least 20000, two hundred of them slower than it.",
    )
    dry_run: bool = Field(default=False, description="Measure and show it, but decide nothing by it.")


class Interval(StatusModel):
    """What the data are compatible with, at every look so far."""

    low: float | None = Field(default=None, description="None: no lower bound.")
    high: float | None = Field(default=None, description="None: no upper bound.")


class Scores(StatusModel):
    """How many scores fell between edges; the last count is of those above all edges."""

    edges: list[float] = Field(max_length=128, description="Upper bounds of the buckets, rising.")
    counts: list[int] = Field(max_length=129, description="One more than edges.")
    total: float = Field(default=0.0, description="Sum of the scores.")


class AnalysisResult(StatusModel):
    """One metric at the latest look."""

    metric: str = Field(max_length=63, description="Its name in `rollout.analysis`.")
    step: int = Field(default=0, description="The step, from 0; -1 is the shadow.")
    stable: float | None = Field(default=None, description="Of the stable version.")
    candidate: float | None = Field(default=None, description="Of the candidate.")
    delta: float | None = Field(default=None, description="Candidate against stable, in the metric's unit.")
    interval: Interval | None = Field(default=None, description="Of delta.")
    margin: float | None = Field(default=None, description="Harm that was put up with.")
    samples: int = Field(default=0, description="Of the candidate: requests, candidates or outcomes.")
    verdict: Verdict = Field(description="Inconclusive: too little is known, and why is in the message.")
    dry_run: bool = Field(default=False, description="Decides nothing.")
    time: Timestamp = Field(description="When.")
    message: str = Field(default="", max_length=512, description="In words.")


#: `status.analysis`: at most the metrics of a rollout, at the latest look.
AnalysisResults = Annotated[
    list[AnalysisResult], Field(max_length=16, description="The metrics at the latest look.")
]
