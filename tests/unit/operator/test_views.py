"""What is read out of Jobs, Pods, InferenceServices and errors of the API server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fathom_operator.kube.errors import (
    ConflictError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    error_of,
)
from fathom_operator.recmodel.services import service_view
from fathom_operator.views import job_view, latest_by_index, pod_view


def pod(state: dict[str, Any] | None = None, **status: Any) -> Any:
    containers = [{"name": "fathom", "state": state}] if state else []
    return pod_view(
        {"metadata": {"name": "p", "uid": "u"}, "status": {"containerStatuses": containers, **status}}
    )


LAST_WORDS = [
    pytest.param('{"result": "Failed", "reason": "X", "message": "m"}', "X", id="an outcome"),
    pytest.param('{"result": "Failed", "reason": "X", "new": 1}', "X", id="an outcome of a later version"),
    pytest.param("Traceback (most recent call last):", None, id="the end of a log"),
    pytest.param('{"result": "cut of', None, id="an outcome that was cut off"),
    pytest.param('{"level": "info"}', None, id="JSON of somebody else"),
    pytest.param("", None, id="nothing"),
]


@pytest.mark.parametrize(("message", "reason"), LAST_WORDS)
def test_last_words(message: str, reason: str | None) -> None:
    outcome = pod({"terminated": {"exitCode": 1, "message": message}}).outcome
    assert (outcome.reason if outcome else None) == reason


PROBLEMS = [
    pytest.param({"waiting": {"reason": "ContainerCreating"}}, {}, None, id="being made: no problem"),
    pytest.param({"waiting": {"reason": "ErrImagePull", "message": "m"}}, {}, "ErrImagePull", id="no image"),
    pytest.param(
        None,
        {
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m"}
            ]
        },
        "Unschedulable",
        id="no node",
    ),
    pytest.param(
        None,
        {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
        None,
        id="held back on purpose: no problem",
    ),
]


@pytest.mark.parametrize(("state", "status", "problem"), PROBLEMS)
def test_problems(state: Any, status: dict[str, Any], problem: str | None) -> None:
    seen = pod(state, **status).problem
    assert (seen.reason if seen else None) == problem


@pytest.mark.parametrize(
    ("intervals", "count"),
    [("", 0), ("3", 1), ("1,3-5", 4), ("0-9", 10)],
    ids=["none", "one", "some", "many"],
)
def test_failed_indexes(intervals: str, count: int) -> None:
    job = {"metadata": {"name": "j", "labels": {}}, "spec": {}, "status": {"failedIndexes": intervals}}
    assert job_view(job).failed_indexes == count


def test_of_the_pods_of_an_index_one_that_succeeded_counts_and_else_the_newest() -> None:
    def attempt(name: str, index: int, phase: str, created: str) -> Any:
        meta = {
            "name": name,
            "uid": name,
            "creationTimestamp": created,
            "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
        }
        return pod_view({"metadata": meta, "status": {"phase": phase}})

    pods = [
        attempt("a", 0, "Failed", "2026-01-31T12:00:00Z"),
        attempt("b", 0, "Running", "2026-01-31T12:05:00Z"),
        attempt("c", 1, "Succeeded", "2026-01-31T12:00:00Z"),
        attempt("d", 1, "Failed", "2026-01-31T12:09:00Z"),
    ]
    assert {index: seen.name for index, seen in latest_by_index(pods).items()} == {0: "b", 1: "c"}


ERRORS = [
    pytest.param(404, "NotFound", "", NotFoundError, id="not found"),
    pytest.param(409, "Conflict", "", ConflictError, id="conflict"),
    pytest.param(410, "Expired", "", GoneError, id="gone"),
    pytest.param(422, "Invalid", "", InvalidError, id="invalid"),
    pytest.param(400, "BadRequest", "", InvalidError, id="a body the server cannot read is invalid too"),
    pytest.param(
        403, "Forbidden", 'admission webhook "x" denied the request', InvalidError, id="a webhook's no"
    ),
    pytest.param(403, "Forbidden", "exceeded quota", KubeError, id="a quota passes"),
    pytest.param(503, "", "", KubeError, id="trouble within passes"),
]


@pytest.mark.parametrize(("status", "reason", "message", "kind"), ERRORS)
def test_errors(status: int, reason: str, message: str, kind: type[KubeError]) -> None:
    error = error_of(status, json.dumps({"reason": reason, "message": message}).encode())
    assert type(error) is kind
    assert error.status == status


def test_an_answer_that_is_no_json_is_told_as_it_is() -> None:
    assert "upstream connect error" in str(error_of(502, b"upstream connect error"))


def test_the_shares_of_a_revision_that_is_named_twice_add_up() -> None:
    view = service_view(
        {
            "metadata": {"name": "movies"},
            "spec": {"predictor": {"labels": {"fathom.dev/run": "v-1"}}},
            "status": {
                "components": {
                    "predictor": {
                        "traffic": [
                            {"revisionName": "r1", "percent": 10, "latestRevision": True},
                            {"revisionName": "r1", "percent": 90, "tag": "prev"},
                        ]
                    }
                }
            },
        }
    )
    assert view.traffic == {"r1": 100}


def test_an_inference_service_without_a_status_says_nothing() -> None:
    view = service_view({"metadata": {"name": "movies"}, "spec": {"predictor": {}}})
    assert (view.ready, view.traffic, view.url, view.version) == (False, {}, None, "")
