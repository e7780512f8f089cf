"""The Fathom API: specs, statuses, tasks and progress as pydantic models; the single source of the CRDs."""

from fathom_api.backfill import BackfillSpec
from fathom_api.backfill_status import BackfillStatus
from fathom_api.captionjob import CaptionJobSpec, CaptionJobStatus
from fathom_api.conditions import Condition, ConditionType, Reason
from fathom_api.interestmap import InterestMapSpec, InterestMapStatus
from fathom_api.meta import API_VERSION, GROUP, VERSION, Annotations, ExitCode, Labels
from fathom_api.recmodel import RecModelSpec, RecModelStatus

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "Annotations",
    "BackfillSpec",
    "BackfillStatus",
    "CaptionJobSpec",
    "CaptionJobStatus",
    "Condition",
    "ConditionType",
    "ExitCode",
    "InterestMapSpec",
    "InterestMapStatus",
    "Labels",
    "Reason",
    "RecModelSpec",
    "RecModelStatus",
]
