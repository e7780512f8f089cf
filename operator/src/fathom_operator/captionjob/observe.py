"""All that a decision about a CaptionJob needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fathom_api import CaptionJobSpec, CaptionJobStatus
from fathom_api.captionjob import Artifact
from fathom_operator.conditions import told
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import CAPTION_JOBS, Obj
from fathom_operator.observation import Seen, gather, parse_status, read
from fathom_operator.plan import Key
from fathom_operator.reports import Reports
from fathom_operator.times import Clock

#: A chain of lessons longer than this is not followed; nobody writes one.
_LONGEST_CHAIN: Final = 16


@dataclass(frozen=True)
class TeacherSeen:
    """The CaptionJob whose fine-tuned model another one uses."""

    name: str
    #: Whether it fine-tunes a model at all, and the model once there is one.
    teaches: bool = True
    model: Artifact | None = None
    stage: str = "Pending"
    #: What its condition Ready says, and whether it waits for somebody.
    message: str = ""
    stalled: bool = False
    #: The CaptionJobs whose models it waits for itself, one after the other.
    chain: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaptionJobSeen(Seen[CaptionJobSpec, CaptionJobStatus]):
    """A CaptionJob, what it owns, and the one whose model it uses."""

    #: None where it uses none, or where there is none of that name.
    teacher: TeacherSeen | None = None


def observe(kube: Kube, reports: Reports, clock: Clock, key: Key) -> CaptionJobSeen | None:
    """Return the CaptionJob and what it owns, None if it is gone."""
    obj = read(kube, CAPTION_JOBS, key)
    if obj is None:
        return None
    return CaptionJobSeen(
        **vars(gather(kube, reports, clock, obj, (CaptionJobSpec, CaptionJobStatus))),
        teacher=_teacher(kube, key.namespace, obj),
    )


def teacher_seen(obj: Obj, chain: tuple[str, ...] = ()) -> TeacherSeen:
    """Return what a CaptionJob wants to know of the one whose model it uses."""
    status = parse_status(CaptionJobStatus, obj)
    message, stalled = told(status.conditions)
    return TeacherSeen(
        name=obj["metadata"]["name"],
        teaches="fineTune" in obj.get("spec", {}),
        model=status.fine_tune.model if status.fine_tune else None,
        stage=status.stage,
        message=message,
        stalled=stalled,
        chain=chain,
    )


def _teacher(kube: Kube, namespace: str, obj: Obj) -> TeacherSeen | None:
    name = _named(obj)
    teacher = kube.get(CAPTION_JOBS, namespace, name) if name else None
    return teacher_seen(teacher, _chain(kube, namespace, teacher)) if teacher else None


def _chain(kube: Kube, namespace: str, obj: Obj | None) -> tuple[str, ...]:
    chain: list[str] = []
    while obj and (name := _named(obj)) and name not in chain and len(chain) < _LONGEST_CHAIN:
        chain.append(name)
        obj = kube.get(CAPTION_JOBS, namespace, name)
    return tuple(chain)


def _named(obj: Obj) -> str | None:
    return obj.get("spec", {}).get("model", {}).get("captionJob")
