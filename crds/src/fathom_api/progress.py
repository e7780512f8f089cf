"""What pods tell the operator: progress while they run, an outcome when they end."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from fathom_api.analysis import Scores
from fathom_api.meta import StatusModel

#: Kubernetes keeps this much of a termination message.
MAX_TERMINATION_BYTES: Final = 4096
#: Audience of the projected token that pods show with their progress.
AUDIENCE: Final = "fathom.dev/progress"

ENV_URL: Final = "FATHOM_PROGRESS_URL"
ENV_TOKEN_FILE: Final = "FATHOM_PROGRESS_TOKEN_FILE"  # noqa: S105 - the name of a variable
ENV_CA_FILE: Final = "FATHOM_PROGRESS_CA_FILE"
ENV_VOLUMES: Final = "FATHOM_VOLUMES"
TERMINATION_LOG: Final = "/dev/termination-log"
#: Before the names of parameters that a search chose, among the metrics of an outcome.
CHOSEN: Final = "chosen."


#: The sum over all shards of a job fits the 64 bits that a status has.
Count = Annotated[int, Field(ge=0, le=10**14)]


class Progress(StatusModel):
    """How far a pod is; POSTed as JSON to `$FATHOM_PROGRESS_URL` at most every few seconds.

    `total`, `done`, `failed` and `reused` count items of the pod's own shard (caption), steps (finetune),
    interactions trained on (train), captions (featurise) or arms (evaluate). `metrics` holds numbers by name:
    `loss`, `validation_loss`, `epoch`, …
    """

    total: Count = Field(default=0, description="Units of work in all.")
    done: Count = Field(default=0, description="Units done, failed ones not counted, reused ones counted.")
    failed: Count = Field(default=0, description="Units that failed.")
    reused: Count = Field(default=0, description="Units found done.")
    per_second: float | None = Field(default=None, description="Units done per second, lately.")
    metrics: dict[str, float] = Field(default_factory=dict, description="Numbers by name.")
    samples: list[str] = Field(default_factory=list, max_length=3, description="A few captions.")
    tokens: Count = Field(default=0, description="Tokens the model wrote (caption).")
    committed_at: float | None = Field(
        default=None,
        description="When work was last committed, seconds since 1970: nothing older can be lost.",
    )


class Verdict(StatusModel):
    """A gate on a table of planned interests."""

    gate: str = Field(max_length=64, description="Which gate.")
    value: float | None = Field(default=None, description="What was measured.")
    bound: float | None = Field(default=None, description="What it must not fall below, or exceed.")
    verdict: Literal["Pass", "Fail", "Halt"] = Field(
        description="Fail: this table is not served. Halt: nor would another one of this planner be."
    )
    message: str = Field(default="", max_length=512, description="In words.")


class Outcome(StatusModel):
    """A pod's last words, its termination message: at most 4,096 bytes of JSON."""

    result: Literal["Succeeded", "Failed"] = Field(description="How it ended.")
    reason: str = Field(default="", description="CamelCase; of a failure.")
    message: str = Field(default="", description="A sentence with the fix, of a failure.")
    uri: str | None = Field(default=None, description="What was made.")
    digest: str | None = Field(default=None, description="`sha256:` of it.")
    progress: Progress = Field(default_factory=Progress, description="Final counts and metrics.")
    arms: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="Of an evaluation: arm → auc, gauc, logLoss, normalizedEntropy, calibration.",
    )
    scores: Scores | None = Field(
        default=None, description="Of an evaluation: the candidate's scores of the test split."
    )
    verdicts: list[Verdict] = Field(
        default_factory=list[Verdict], max_length=16, description="Of the gates on a table."
    )
