"""CaptionJobs as those see them that are made from their captions, and what they say while there are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fathom_api import CaptionJobSpec, CaptionJobStatus, Reason
from fathom_api.captionjob import Artifact
from fathom_operator.conditions import told
from fathom_operator.failures import Failure
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import CAPTION_JOBS
from fathom_operator.observation import parse_spec, parse_status


@dataclass(frozen=True)
class CatalogueSeen:
    """The CaptionJob whose captions say what the items show."""

    name: str
    #: None where its spec is not valid; it has no captions then.
    spec: CaptionJobSpec | None = None
    captions: Artifact | None = None
    #: The model it took from another CaptionJob.
    model: Artifact | None = None
    stage: str = "Pending"
    #: What its condition Ready says, and whether it waits for somebody.
    message: str = ""
    stalled: bool = False


def catalogue_of(kube: Kube, namespace: str, name: str) -> CatalogueSeen | None:
    """Return a CaptionJob, None if there is none of that name."""
    obj = kube.get(CAPTION_JOBS, namespace, name)
    if obj is None:
        return None
    spec, _ = parse_spec(CaptionJobSpec, obj)
    status = parse_status(CaptionJobStatus, obj)
    message, stalled = told(status.conditions)
    return CatalogueSeen(
        name=name,
        spec=spec,
        captions=status.captions if spec else None,
        model=status.run.model,
        stage=status.stage,
        message=message,
        stalled=stalled,
    )


def no_such(names: Iterable[str], namespace: str, field: str, begins: str) -> Failure:
    """Return why nothing is made of CaptionJobs that are not there; `field` is what names them."""
    message = (
        f"no CaptionJob {', '.join(names)} in namespace {namespace}: create it, or correct {field}; "
        f"{begins} begins by itself then"
    )
    return Failure(Reason.MISSING_CAPTION_JOB, message)


def waiting_for(name: str, stage: str, message: str) -> Failure:
    """Return why nothing is made yet of a CaptionJob that is at `stage` and says `message`."""
    said = f"{stage}: {message}" if message else stage
    return Failure(Reason.WAITING_FOR_CAPTIONS, f"waiting for CaptionJob {name} ({said})")
