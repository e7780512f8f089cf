"""Carrying out a plan: no write without a difference, and none that a Job would refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.courses import begun, completed
from builders.outcomes import planned
from builders.seen import PLATFORM, captioning, carried_out, pod, report, resource, with_job_status

from fathom_api.recmodel import Serving, Version
from fathom_operator.apply import RefusedError, apply_children, apply_status, changes
from fathom_operator.captionjob.controller import CaptionJobController
from fathom_operator.captionjob.decide import decide
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.events import post
from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import ConflictError, InvalidError
from fathom_operator.kube.resources import CAPTION_JOBS, Obj, Resource
from fathom_operator.plan import Key, Note, Plan, ref
from fathom_operator.recmodel.predictor import knative_service
from fathom_operator.reconciler import Reconciler
from fathom_operator.reports import Reports


class Recorder(Kube):
    """Writes down what is written."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.writes: list[tuple[str, str, Any]] = []
        self.trouble = trouble

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        return {"count": 3}

    def apply(self, resource: Resource, obj: Obj, subresource: str | None = None) -> Obj:
        return self._write("apply", subresource or resource.kind, obj)

    def patch(self, resource: Resource, namespace: str | None, name: str, changes: Obj) -> Obj:
        return self._write("patch", resource.kind, changes)

    def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        return self._write("create", resource.kind, obj)

    def delete(
        self, resource: Resource, namespace: str | None, name: str, only_if: Obj | None = None
    ) -> None:
        self._write("delete", resource.kind, (name, only_if) if only_if else name)

    def _write(self, verb: str, what: str, body: Any) -> Obj:
        if self.trouble is not None and verb != "patch":
            raise self.trouble
        self.writes.append((verb, what, body))
        return {}


SEEN = captioning(spec__shards=4)
PLAN = decide(SEEN, PLATFORM)


def test_what_is_missing_is_made_the_task_before_the_job() -> None:
    kube = Recorder()
    apply_children(kube, "shop", PLAN, {})
    assert [(verb, what) for verb, what, _ in kube.writes] == [("apply", "ConfigMap"), ("apply", "Job")]


def test_what_is_there_is_not_written_again() -> None:
    assert list(changes(PLAN, carried_out(SEEN, PLAN).children)) == []


def test_a_resource_is_deleted_only_if_it_is_what_was_seen() -> None:
    kube = Recorder()
    obj = completed(spec__ttlSecondsAfterFinished=0).obj

    class Expired(CaptionJobController):
        def observe(self, kube: Kube, key: Key) -> CaptionJobSeen:
            return captioning(obj["status"], spec__ttlSecondsAfterFinished=0)

    expired = Expired(PLATFORM, Reports(lambda key, delay: None))
    assert Reconciler(kube, expired).reconcile(Key("CaptionJob", "shop", "catalog")) is None
    assert kube.writes == [("delete", "CaptionJob", ("catalog", {"uid": "0000-uid", "resourceVersion": "7"}))]


def test_a_task_that_differs_is_applied() -> None:
    [config_map, _] = PLAN.desired
    other = {
        **config_map,
        "metadata": {**config_map["metadata"], "annotations": {"fathom.dev/spec-hash": "old"}},
    }
    children = carried_out(SEEN, PLAN).children | {ref(config_map): other}
    assert [c.child for c in changes(PLAN, children)] == [config_map]


def test_a_new_share_is_applied() -> None:
    serving = Serving.model_validate({"mode": "Knative"})
    version = Version(name="v-1", digest="sha256:1", uri="pvc://data/v-1")
    ten, fifty, everything = (
        knative_service(SEEN.owner, serving, version, PLATFORM, percent=percent) for percent in (10, 50, None)
    )
    assert [c.child for c in changes(Plan({}, desired=(fifty,)), {ref(ten): ten})] == [fifty]
    assert [c.child for c in changes(Plan({}, desired=(everything,)), {ref(ten): ten})] == [everything]
    assert list(changes(Plan({}, desired=(ten,)), {ref(ten): ten})) == []


def test_an_invalid_child_is_refused_in_the_servers_words() -> None:
    kube = Recorder(InvalidError(422, "Invalid", "spec.template: bad"))
    with pytest.raises(RefusedError, match=r"spec\.template: bad"):
        apply_children(kube, "shop", PLAN, {})


def test_a_status_that_is_as_it_was_is_not_written() -> None:
    kube = Recorder()
    obj = resource(SEEN.obj, PLAN.status)
    apply_status(kube, CAPTION_JOBS, obj, PLAN.status)
    assert kube.writes == []


def test_a_new_status_is_written_once_and_only_to_the_resource_it_is_about() -> None:
    kube = Recorder()
    apply_status(kube, CAPTION_JOBS, SEEN.obj, PLAN.status)
    [(verb, what, body)] = kube.writes
    assert (verb, what) == ("apply", "status")
    assert body["metadata"] == {"name": "catalog", "namespace": "shop", "uid": "0000-uid"}
    assert "spec" not in body


def test_progress_that_comes_too_soon_is_written_later_and_a_new_stage_at_once() -> None:
    kube = Recorder()
    seen, name = begun(planned(total=100))
    seen = with_job_status(seen, name, [pod(name)], active=1)

    class Working(CaptionJobController):
        seen: CaptionJobSeen

        def observe(self, kube: Kube, key: Key) -> CaptionJobSeen:
            return self.seen

    controller = Working(PLATFORM, Reports(lambda key, delay: None))
    reconciler = Reconciler(kube, controller)

    def look(done: int, **changes: Any) -> float | None:
        reports = {f"uid-{name}-0": report(total=100, done=done)}
        controller.seen = replace(seen, reports=reports, **changes)
        kube.writes.clear()
        result = reconciler.reconcile(Key("CaptionJob", "shop", "catalog"))
        assert result is not None
        return result.look_again

    def statuses() -> int:
        return sum(what == "status" for _, what, _ in kube.writes)

    look(10)
    assert statuses() == 1
    again = look(20)
    assert statuses() == 0
    assert again is not None
    assert 0 < again <= 5
    look(20, missing_claims=frozenset({"media"}), jobs=(), children={})
    assert statuses() == 1


def test_plans_delete() -> None:
    kube = Recorder()
    apply_children(kube, "shop", Plan({}, delete=(ref(PLAN.desired[1]),)), {})
    assert [(verb, what) for verb, what, _ in kube.writes] == [("delete", "Job")]


def test_saying_the_same_again_counts_up_one_event() -> None:
    kube = Recorder(ConflictError(409, "AlreadyExists", ""))
    post(kube, SEEN.obj, Note("Warning", "MissingClaim", "no claim"))
    [(verb, what, body)] = kube.writes
    assert (verb, what, body["count"]) == ("patch", "Event", 4)
