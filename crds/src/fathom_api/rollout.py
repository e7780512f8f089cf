"""How a new version takes over: steps, what decides between them, and where it is."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from fathom_api.analysis import AnalysisMetric, Samples
from fathom_api.meta import ApiModel, StatusModel
from fathom_api.rules import Rule
from fathom_api.types import Duration, Timestamp, Unique


class RolloutStep(ApiModel):
    """One step of a canary."""

    weight: int = Field(
        ge=0,
        le=100,
        description="Share of the requests that the candidate gets, in percent. With 0, in Standard mode, it "
        "gets those alone that name it in the header `x-fathom-version`; only a job or webhook judges then.",
    )
    pause: Duration = Field(
        default="30s", description="How long the candidate must stay ready at this weight, at least."
    )
    min_samples: Samples | None = Field(
        default=None,
        description="Requests that the candidate must have answered at this weight before a metric can pass; "
        "`rollout.minSamples` if unset.",
    )


class Shadow(ApiModel):
    """A step before the first: the candidate gets copies of requests, and its answers go nowhere."""

    weight: int = Field(default=100, ge=1, le=100, description="Share of the requests copied, in percent.")
    duration: Duration = Field(default="10m", description="How long, at least.")
    min_samples: Samples | None = Field(
        default=None,
        description="Requests that the candidate must have answered; `rollout.minSamples` if unset.",
    )


class Rollout(ApiModel):
    """How a new version takes over."""

    RULES = (
        Rule(
            # CEL has no "next element": in order and without duplicates is the same.
            "self.steps.map(s, s.weight).isSorted() && "
            "self.steps.all(s, self.steps.exists_one(t, t.weight == s.weight))",
            "weights must rise from step to step, as in 10, 50",
            lambda rollout: all(a.weight < b.weight for a, b in pairwise(rollout.steps)),
            ".steps",
        ),
        Rule(
            "self.analysis.size() == 0 || self.steps.size() > 0 || has(self.shadow)",
            "an analysis needs a step or a shadow in which stable and candidate can be compared",
            lambda rollout: not rollout.analysis or bool(rollout.steps) or rollout.shadow is not None,
            ".analysis",
        ),
    )

    shadow: Shadow | None = Field(
        default=None, description="Copies of requests before real ones; none if unset."
    )
    steps: list[RolloutStep] = Field(
        default_factory=list[RolloutStep],
        max_length=20,
        description="Weights on the way to 100 %; none means at once.",
    )
    analysis: Annotated[list[AnalysisMetric], Unique("name")] = Field(
        default_factory=list[AnalysisMetric],
        max_length=16,
        description="What the candidate must not be worse in; none: readiness and time alone decide.",
    )
    min_samples: Samples = Field(
        default=1000, description="Requests of the candidate, at each weight, before a metric can pass."
    )
    interval: Duration = Field(default="10s", description="Time between two looks at the pods.")
    confidence: float = Field(
        default=0.95,
        ge=0.8,
        le=0.9999,
        description="At least this share of rollouts of a candidate as good as the stable version is not "
        "taken back by the metrics, over all of them, all steps and all looks together.",
    )
    bake: Duration = Field(
        default="0s",
        description="How long the stable version is kept warm once the candidate has all requests, "
        "ready to take them back. In Knative mode it keeps one in a hundred of them: Knative stops pods "
        "without any.",
    )
    scale_down_delay: Duration | None = Field(
        default=None,
        description="In Standard mode: how long the pods of the version before are kept once the rollout is "
        "over; 30 s if unset.",
    )
    on_failure: Literal["Rollback", "Pause"] = Field(
        default="Rollback",
        description="What becomes of a candidate that fails: taken back, or left to people.",
    )
    max_restarts: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Restarts of the candidate's containers in one step that fail it.",
    )
    progress_deadline: Duration = Field(
        default="10m", description="How long a candidate may take to become ready before it is rejected."
    )
    analysis_deadline: Duration = Field(
        default="1h",
        description="How long a step may wait for samples, or for a metric that is Inconclusive, before the "
        "rollout pauses and says why.",
    )


RolloutPhase = Literal[
    "Starting", "Shadowing", "Stepping", "Promoting", "Baking", "Paused", "Promoted", "RolledBack"
]


class RolloutStatus(StatusModel):
    """Where the canary is."""

    phase: RolloutPhase = Field(description="Starting: the candidate is not ready yet.")
    step: int = Field(default=0, description="Current step, from 0; -1 is the shadow.")
    weight: int = Field(default=0, description="Share of the requests that the candidate gets, in percent.")
    started_at: Timestamp | None = Field(
        default=None, description="When the rollout, or its latest start, began."
    )
    step_started_at: Timestamp | None = Field(
        default=None, description="When the candidate was first seen ready at this weight."
    )
    paused_by: Literal["User", "Failure", "Inconclusive"] | None = Field(
        default=None,
        description="User, or Failure (`onFailure: Pause`): until people say more. "
        "Inconclusive: until more is known.",
    )
    message: str = Field(default="", max_length=1024, description="Why, in words.")
