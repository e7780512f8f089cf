"""What of a Job that exists follows, and what is left to whoever else may own it."""

from __future__ import annotations

from typing import Any

import pytest

from fathom_operator.jobs import job_patch
from fathom_operator.kube.resources import Obj

OURS = {"fathom.dev/suspended": "true"}
CHECKPOINT = "fathom.dev/last-checkpoint-time"


def job(*, suspend: bool | None = None, parallelism: int = 1, queue: bool = False, **annotations: str) -> Obj:
    labels = {"kueue.x-k8s.io/queue-name": "gpus"} if queue else {}
    spec: Obj = {"parallelism": parallelism} | ({} if suspend is None else {"suspend": suspend})
    return {"metadata": {"name": "j", "labels": labels, "annotations": annotations}, "spec": spec}


def at(seconds: int) -> dict[str, str]:
    return {CHECKPOINT: f"2026-01-31T12:00:{seconds:02d}Z"}


HALT = {"spec": {"suspend": True}, "metadata": {"annotations": OURS}}
RESUME = {"spec": {"suspend": False}, "metadata": {"annotations": {"fathom.dev/suspended": None}}}
CASES = [
    pytest.param(job(), job(suspend=False), {}, id="nothing differs"),
    pytest.param(job(parallelism=3), job(), {"spec": {"parallelism": 3}}, id="more pods at once"),
    pytest.param(job(suspend=True), job(suspend=False), HALT, id="a rest: suspended, and marked as ours"),
    pytest.param(job(suspend=True), job(suspend=True, **OURS), {}, id="it rests already"),
    pytest.param(job(), job(suspend=True, **OURS), RESUME, id="the rest is over"),
    pytest.param(job(), job(suspend=True), {}, id="somebody else suspended it: it is theirs to resume"),
    pytest.param(job(suspend=True), job(suspend=False, queue=True), {}, id="a queue owns the field"),
    pytest.param(job(), job(suspend=True, queue=True, **OURS), {}, id="a queue owns it, whatever is marked"),
    pytest.param(
        job(**at(30)), job(), {"metadata": {"annotations": at(30)}}, id="the first checkpoint is told"
    ),
    pytest.param(job(**at(29)), job(**at(0)), {}, id="a newer one within 30 s is not worth a write"),
    pytest.param(job(**at(30)), job(**at(0)), {"metadata": {"annotations": at(30)}}, id="after 30 s it is"),
    pytest.param(job(**at(0)), job(**at(40)), {}, id="no checkpoint goes back"),
    pytest.param(job(), job(**at(40)), {}, id="none is taken away"),
]


@pytest.mark.parametrize(("wanted", "existing", "patch"), CASES)
def test_patch(wanted: Obj, existing: Obj, patch: dict[str, Any]) -> None:
    assert job_patch(wanted, existing) == patch
