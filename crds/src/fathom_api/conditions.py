"""Conditions in status: kstatus types and the reasons that are part of the API."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

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
    COMPATIBLE = "Compatible"
    PUBLISHED = "Published"


class Reason(StrEnum):
    """Why a condition has its status; machines may rely on these words."""

    # on the way
    WAITING_FOR_CAPTIONS = "WaitingForCaptions"
    WAITING_FOR_DEPENDENCY = "WaitingForDependency"
    QUEUED = "Queued"
    SUSPENDED = "Suspended"
    PLANNING = "Planning"
    FINE_TUNING = "FineTuning"
    CAPTIONING = "Captioning"
    FEATURISING = "Featurising"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    DEPLOYING = "Deploying"
    ROLLING_OUT = "RollingOut"
    ESTIMATING = "Estimating"
    AWAITING_APPROVAL = "AwaitingApproval"
    PAIRING = "Pairing"
    FITTING = "Fitting"
    MOVING = "Moving"
    OUTSIDE_WINDOW = "OutsideWindow"
    COMPLETING = "Completing"
    CLUSTERING = "Clustering"
    UNDERSTANDING = "Understanding"
    COUNTING_TRANSITIONS = "CountingTransitions"
    PLANNING_PAIRS = "PlanningPairs"
    GATING = "Gating"
    PUBLISHING = "Publishing"
    # done
    PUBLISHED = "Published"
    COMPLETE = "Complete"
    SERVING = "Serving"
    NOT_REQUESTED = "NotRequested"
    TARGET_REACHED = "TargetReached"
    ROLLED_BACK = "RolledBack"
    RETAINING = "Retaining"
    # wrong
    INVALID_SPEC = "InvalidSpec"
    INVALID_INPUT = "InvalidInput"
    MISSING_CLAIM = "MissingClaim"
    MISSING_CAPTION_JOB = "MissingCaptionJob"
    MISSING_SECRET = "MissingSecret"  # noqa: S105 - a reason, not a password
    MODE_NOT_INSTALLED = "ModeNotInstalled"
    MISSING_GATEWAY = "MissingGateway"
    LAUNCHER_NOT_INSTALLED = "LauncherNotInstalled"
    JOB_FAILED = "JobFailed"
    TOO_MANY_FAILED_ITEMS = "TooManyFailedItems"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    GATE_FAILED = "GateFailed"
    CANDIDATE_NOT_READY = "CandidateNotReady"
    CANDIDATE_RESTARTS = "CandidateRestarts"
    ANALYSIS_FAILED = "AnalysisFailed"
    INCONCLUSIVE = "Inconclusive"
    PAUSED_BY_USER = "PausedByUser"
    ABORTED = "Aborted"
    REJECTED = "Rejected"
    WORSE_THAN_OLD = "WorseThanOld"
    STOPPED_BY_PROBES = "StoppedByProbes"


#: What each reason means and what to do about it; `docs/reference/api.md` is made from it.
MEANING: Final[Mapping[Reason, str]] = {
    Reason.WAITING_FOR_CAPTIONS: "A CaptionJob that the ranker needs is not complete yet. Nothing to do.",
    Reason.WAITING_FOR_DEPENDENCY: "Something the resource names is not there or not ready yet; "
    "the message says what. It goes on by itself as soon as that is.",
    Reason.QUEUED: "A Job waits for its queue or its pods wait for a node.",
    Reason.SUSPENDED: "`spec.suspend` is set: pods stop after the batch in flight. Unset it to go on.",
    Reason.PLANNING: "The source is checked and its items are dealt into shards; no GPU is used yet.",
    Reason.FINE_TUNING: "The caption model learns the domain.",
    Reason.CAPTIONING: "Pods caption items.",
    Reason.FEATURISING: "Captions become tokens.",
    Reason.TRAINING: "The ranker and its controls, or the planner of an InterestMap, are trained.",
    Reason.EVALUATING: "The trained rankers are measured on the test split.",
    Reason.DEPLOYING: "The first version is being brought up.",
    Reason.ROLLING_OUT: "A candidate gets a part of the requests.",
    Reason.ESTIMATING: "The gallery's items are counted and the new model is timed on a few of them.",
    Reason.AWAITING_APPROVAL: "`spec.approve` is false: `status.estimate` says what it will take. Set it to "
    "true to go on.",
    Reason.PAIRING: "A sample of the gallery is embedded by both models.",
    Reason.FITTING: "What makes both models' vectors comparable is learnt and judged on held-out pairs.",
    Reason.MOVING: "Items are embedded by the new model; both are searched together.",
    Reason.OUTSIDE_WINDOW: "Items move in the hours of `spec.pace.window` only; it goes on by itself.",
    Reason.COMPLETING: "What came or changed meanwhile is embedded, and checked that nothing is missing.",
    Reason.CLUSTERING: "Items become interest clusters.",
    Reason.UNDERSTANDING: "The multimodal LLM says what each cluster is about.",
    Reason.COUNTING_TRANSITIONS: "Users' sequences become transitions between clusters to learn from.",
    Reason.PLANNING_PAIRS: "The planner is asked about each pair of clusters.",
    Reason.GATING: "The new table is measured and judged.",
    Reason.PUBLISHING: "The table is put in the place where rankers look.",
    Reason.PUBLISHED: "A table is in the place where rankers look.",
    Reason.COMPLETE: "All is done.",
    Reason.TARGET_REACHED: "As much as `spec.target` has moved. Raise it to go on, lower it to roll back.",
    Reason.ROLLED_BACK: "`spec.target` is below what has moved: the rest is answered by the old model again.",
    Reason.RETAINING: "The new model answers everything; the old embeddings are kept for "
    "`spec.retention.old`.",
    Reason.SERVING: "A version answers all requests.",
    Reason.NOT_REQUESTED: "The spec does not ask for it.",
    Reason.INVALID_SPEC: "The spec cannot work as it is: change what the message names.",
    Reason.INVALID_INPUT: "A pod could not use its input, a missing column for one: change the data "
    "or the spec, then ask again with the annotation `fathom.dev/retry`.",
    Reason.MISSING_CLAIM: "A PersistentVolumeClaim is not there: create it, or correct the URI.",
    Reason.MISSING_CAPTION_JOB: "A CaptionJob is not there: create it, or correct its name.",
    Reason.MISSING_SECRET: "A Secret is not there: create it, or correct its name.",
    Reason.MODE_NOT_INSTALLED: "The cluster lacks what `spec.serving.mode` needs: install it, "
    "or choose the other.",
    Reason.MISSING_GATEWAY: "There is no Gateway to take the requests, or it is not clear which: create it, "
    "or name it in `spec.serving.gateway`.",
    Reason.LAUNCHER_NOT_INSTALLED: "The cluster lacks the kind that `spec.training.launcher` names: install "
    "it, or choose another.",
    Reason.JOB_FAILED: "A Job failed more often than it may; the message has the pod's last words.",
    Reason.TOO_MANY_FAILED_ITEMS: "More items failed than `spec.failurePolicy.maxFailedItems` allows; "
    "`status.errorsUri` has each with its reason.",
    Reason.DEADLINE_EXCEEDED: "The run took longer than `spec.activeDeadlineSeconds`; what was captioned is "
    "kept. Raise the limit, or ask again with the annotation `fathom.dev/retry`.",
    Reason.GATE_FAILED: "The new version is not better than it must be; the one before is still served.",
    Reason.CANDIDATE_NOT_READY: "The new version was not ready in time; the one before is still served.",
    Reason.CANDIDATE_RESTARTS: "Containers of the new version restarted as often as "
    "`rollout.maxRestarts`; the one before is still served.",
    Reason.ANALYSIS_FAILED: "The new version is worse than the one before in a metric of "
    "`rollout.analysis`: it was taken back, or with `onFailure: Pause` waits for people. "
    "`status.analysis` has the numbers.",
    Reason.INCONCLUSIVE: "The rollout is paused: too little is known of a metric after "
    "`rollout.analysisDeadline`; the message says of which and why. It goes on by itself once more is known, "
    "or with `kubectl fathom promote` or `abort`.",
    Reason.PAUSED_BY_USER: "Somebody has paused the rollout: `kubectl fathom resume` goes on.",
    Reason.ABORTED: "Somebody has aborted the rollout; the version before is still served.",
    Reason.REJECTED: "This version was refused before and is not tried again until asked, "
    "with the annotation `fathom.dev/retry`.",
    Reason.WORSE_THAN_OLD: "On held-out pairs the mixed gallery would answer worse than the old one, so "
    "nothing has moved. Give more pairs or labels, or another method, in a Backfill of another name.",
    Reason.STOPPED_BY_PROBES: "The probes found more than `spec.probes.stopIf` allows: nothing moves. "
    "Lower `spec.target` to roll back, or set the annotation `fathom.dev/retry` to go on all the same.",
}


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
