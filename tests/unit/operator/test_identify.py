"""Who may report progress: a live pod, for the resource whose Job it belongs to, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from builders.manifests import ABSENT, edited

from fathom_operator.identify import Identifier, UnknownPodError
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import JOBS, PODS, Obj, Resource
from fathom_operator.plan import Key

REVIEW: Obj = {
    "authenticated": True,
    "audiences": ["fathom.dev/progress"],
    "user": {
        "username": "system:serviceaccount:shop:default",
        "extra": {
            "authentication.kubernetes.io/pod-name": ["catalog-caption-0"],
            "authentication.kubernetes.io/pod-uid": ["pod-uid"],
        },
    },
}
POD: Obj = {
    "metadata": {
        "name": "catalog-caption-0",
        "namespace": "shop",
        "uid": "pod-uid",
        "labels": {"fathom.dev/kind": "CaptionJob", "fathom.dev/name": "catalog", "fathom.dev/uid": "cr-uid"},
        "ownerReferences": [{"kind": "Job", "name": "catalog-caption", "controller": True}],
    },
    "status": {"phase": "Running"},
}
JOB: Obj = {"metadata": {"ownerReferences": [{"kind": "CaptionJob", "uid": "cr-uid"}]}}


class Cluster(Kube):
    """One token, one pod, one Job."""

    def __init__(self, review: Obj = REVIEW, pod: Obj | None = POD, job: Obj | None = JOB) -> None:
        self.review, self.pod, self.job = review, pod, job
        self.asked: list[Obj] = []

    def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        self.asked.append(obj["spec"])
        return {"status": self.review}

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        return {PODS: self.pod, JOBS: self.job}[resource]


def test_a_pod_of_ours_speaks_for_its_resource() -> None:
    cluster = Cluster()
    identity = Identifier(cluster).identify("token")
    assert identity.parent == Key("CaptionJob", "shop", "catalog")
    assert identity.pod_uid == "pod-uid"
    assert cluster.asked == [{"token": "token", "audiences": ["fathom.dev/progress"]}]


STRANGERS: list[Any] = [
    pytest.param({"review": {"authenticated": False}}, "not valid", id="a token that is not valid"),
    pytest.param(
        {"review": REVIEW | {"audiences": ["api"]}}, "not valid for the audience", id="another audience"
    ),
    pytest.param(
        {"review": edited(REVIEW, user__extra={})}, "not made for a pod", id="a token that no pod was given"
    ),
    pytest.param({"review": edited(REVIEW, user__username="alice")}, "not made for a pod", id="a person"),
    pytest.param({"pod": None}, "is gone", id="a pod that is gone"),
    pytest.param(
        {"pod": edited(POD, metadata__uid="newer")}, "is gone", id="a pod of the same name, made later"
    ),
    pytest.param({"pod": edited(POD, status__phase="Succeeded")}, "has ended", id="a pod that has ended"),
    pytest.param({"pod": edited(POD, metadata__labels={})}, "no work of ours", id="a pod without our labels"),
    pytest.param(
        {"pod": edited(POD, metadata__ownerReferences=ABSENT)},
        "no work of ours",
        id="our labels on a pod of anybody",
    ),
    pytest.param({"job": None}, "no work of ours", id="a Job that is gone"),
    pytest.param(
        {"job": {"metadata": {"ownerReferences": [{"uid": "other"}]}}},
        "no work of ours",
        id="our labels on another owner's Job",
    ),
]


@pytest.mark.parametrize(("cluster", "why"), STRANGERS)
def test_nobody_else(cluster: dict[str, Any], why: str) -> None:
    with pytest.raises(UnknownPodError, match=why):
        Identifier(Cluster(**cluster)).identify("token")


def test_an_answer_is_believed_for_a_minute() -> None:
    now = [0.0]
    cluster = Cluster()
    identifier = Identifier(cluster, clock=lambda: now[0])
    for now[0] in (0, 30, 59, 60):
        identifier.identify("token")
    assert len(cluster.asked) == 2


def test_a_refusal_is_not_believed_any_longer_than_it_lasts() -> None:
    cluster = Cluster(review={"authenticated": False})
    identifier = Identifier(cluster)
    with pytest.raises(UnknownPodError):
        identifier.identify("token")
    cluster.review = REVIEW
    assert identifier.identify("token").pod_uid == "pod-uid"
