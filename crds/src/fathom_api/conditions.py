"""Conditions in status: kstatus types and the reasons that are part of the API."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from fathom_api.meta import StatusModel
from fathom_api.types import Timestamp


class ConditionType(StrEnum):
    """`Ready`, `Reconciling` and `Stalled` follow kstatus: GitOps tools know them without being taught."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    CAPTIONED = "Captioned"
    TRAINED = "Trained"
    GATE_PASSED = "GatePassed"
    SERVING = "Serving"


class Reason(StrEnum):
    """Why a condition has its status; machines may rely on these words."""

    # on the way
    WAITING_FOR_CAPTIONS = "WaitingForCaptions"
    WAITING_FOR_DEPENDENCY = "WaitingForDependency"
    QUEUED = "Queued"
    FINE_TUNING = "FineTuning"
    CAPTIONING = "Captioning"
    FEATURISING = "Featurising"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    DEPLOYING = "Deploying"
    ROLLING_OUT = "RollingOut"
    # done
    COMPLETE = "Complete"
    SERVING = "Serving"
    NOT_REQUESTED = "NotRequested"
    # wrong
    INVALID_SPEC = "InvalidSpec"
    INVALID_INPUT = "InvalidInput"
    MISSING_CLAIM = "MissingClaim"
    MISSING_CAPTION_JOB = "MissingCaptionJob"
    MISSING_SECRET = "MissingSecret"  # noqa: S105 - a reason, not a password
    MODE_NOT_INSTALLED = "ModeNotInstalled"
    JOB_FAILED = "JobFailed"
    TOO_MANY_FAILED_ITEMS = "TooManyFailedItems"
    GATE_FAILED = "GateFailed"
    CANDIDATE_NOT_READY = "CandidateNotReady"
    REJECTED = "Rejected"


class Condition(StatusModel):
    """A metav1.Condition."""

    type: str = Field(description="Which aspect of the resource this condition is about.", max_length=64)
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(description="Why, in one CamelCase word.", max_length=64)
    message: str = Field(description="Why, in a sentence, with the fix where there is one.", max_length=4096)
    observed_generation: int | None = Field(
        default=None, description="Generation of the spec the condition speaks of."
    )
    last_transition_time: Timestamp = Field(description="When the status last changed.")
