"""Pods that train together: what is made for them, by which launcher, and how they are seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.outcomes import DIGEST, succeeded
from builders.seen import (
    PLATFORM,
    carried_out,
    condition,
    done,
    ended,
    later,
    pod,
    ranking,
    report,
    stage_of,
    with_job_status,
)

from fathom_api.meta import MAX_NAME_LENGTH
from fathom_api.progress import Outcome
from fathom_operator import apply
from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Plan, Ref
from fathom_operator.recmodel.decide import decide
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.views import job_view

TWO = {"nodes": 2}


def training(launchers: frozenset[str] = frozenset(), **changes: Any) -> RecModelSeen:
    changes.setdefault("spec__training", TWO)
    return replace(ranking(**changes), launchers=launchers)


def plan_of(seen: RecModelSeen) -> Plan:
    return decide(seen, PLATFORM)


def made(seen: RecModelSeen) -> dict[str, Obj]:
    """Return what is made for the training, by kind."""
    return {child["kind"]: child for child in plan_of(seen).desired}


def environment(template: Obj) -> dict[str, Any]:
    [container] = template["spec"]["containers"]
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container["env"]}


LAUNCHERS = [
    pytest.param("Auto", frozenset(), ["Service", "Job"], id="Auto, nothing installed"),
    pytest.param("Auto", frozenset({"TrainJob"}), ["Service", "Job"], id="Auto never takes a TrainJob"),
    pytest.param("Auto", frozenset({"JobSet", "TrainJob"}), ["JobSet"], id="Auto where there are JobSets"),
    pytest.param("Job", frozenset({"JobSet"}), ["Service", "Job"], id="a Job was asked for"),
    pytest.param(
        "TrainJob", frozenset({"JobSet", "TrainJob"}), ["TrainingRuntime", "TrainJob"], id="a TrainJob was"
    ),
]


@pytest.mark.parametrize(("asked", "installed", "kinds"), LAUNCHERS)
def test_the_launcher(asked: str, installed: frozenset[str], kinds: list[str]) -> None:
    seen = training(installed, spec__training=TWO | {"launcher": asked})
    assert list(made(seen)) == ["ConfigMap", "NetworkPolicy", *kinds]


@pytest.mark.parametrize("kind", ["JobSet", "TrainJob"])
def test_a_launcher_that_is_not_installed_is_said_to_be_missing(kind: str) -> None:
    plan = plan_of(training(spec__training=TWO | {"launcher": kind}))
    assert stage_of(plan) == ("Pending", "LauncherNotInstalled")
    assert condition(plan, "Stalled")["status"] == "True"
    assert plan.desired == ()
    assert plan.look_again == 30


def test_one_node_is_a_job_whatever_there_is() -> None:
    seen = training(frozenset({"JobSet"}), spec__training={"launcher": "JobSet"})
    assert list(made(seen)) == ["ConfigMap", "Job"]


def test_work_under_way_keeps_its_launcher() -> None:
    """Somebody installs JobSet in the middle of a training."""
    seen = carried_out(training(), plan_of(training()))
    assert "JobSet" not in made(replace(seen, launchers=frozenset({"JobSet"})))


def test_pods_of_an_indexed_job_meet_at_the_name_of_pod_0() -> None:
    objects = made(training())
    job, service, policy = objects["Job"], objects["Service"], objects["NetworkPolicy"]
    name = job["metadata"]["name"]
    assert service["metadata"]["name"] == policy["metadata"]["name"] == name
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (2, 2, "Indexed")
    template = spec["template"]
    assert template["spec"]["subdomain"] == name
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert environment(template) | {
        "PET_NNODES": "2",
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": f"{name}-0.{name}:29400",
        "PET_RDZV_ID": name,
        "PET_MAX_RESTARTS": "3",
        "PET_LOCAL_ADDR": {"fieldRef": {"fieldPath": "status.podIP"}},
    } == environment(template)


def test_only_pods_of_the_same_training_reach_each_other() -> None:
    objects = made(training())
    labels = objects["Job"]["spec"]["template"]["metadata"]["labels"]
    spec = objects["NetworkPolicy"]["spec"]
    assert spec["podSelector"]["matchLabels"] == labels
    assert spec["ingress"] == [{"from": [{"podSelector": {"matchLabels": labels}}]}]


def test_one_pod_that_dies_may_take_all_others_with_it_and_still_be_tried_again() -> None:
    job = made(training(spec__training={"nodes": 3, "backoffLimit": 2}))["Job"]
    assert job["spec"]["backoffLimit"] == 6


def test_a_job_set_starts_all_pods_anew_and_gives_up_at_once_on_what_cannot_help() -> None:
    job_set = made(training(frozenset({"JobSet"}), spec__training=TWO | {"queueName": "gpus"}))["JobSet"]
    name, spec = job_set["metadata"]["name"], job_set["spec"]
    assert job_set["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert spec["failurePolicy"]["maxRestarts"] == 4
    assert spec["failurePolicy"]["rules"][0]["action"] == "FailJobSet"
    [replicated] = spec["replicatedJobs"]
    job = replicated["template"]["spec"]
    assert (replicated["replicas"], job["completions"], job["backoffLimit"]) == (1, 2, 0)
    endpoint = environment(job["template"])["PET_RDZV_ENDPOINT"]
    assert endpoint == f"{name}-n-0-0.{spec['network']['subdomain']}:29400"
    # Its Job is not a child of ours: nobody but the JobSet may take it away.
    assert "metadata" not in replicated["template"]


def test_a_train_job_runs_the_pods_of_a_runtime_of_its_own() -> None:
    objects = made(training(frozenset({"TrainJob"}), spec__training=TWO | {"launcher": "TrainJob"}))
    name = objects["TrainJob"]["metadata"]["name"]
    assert objects["TrainJob"]["spec"] == {
        "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": name}
    }
    runtime = objects["TrainingRuntime"]["spec"]["template"]["spec"]
    [container] = runtime["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_names_of_pods_fit_where_the_resource_has_the_longest_name_there_is() -> None:
    seen = training(frozenset({"JobSet"}), metadata__name="m" * MAX_NAME_LENGTH)
    # <jobset>-<replicated job>-<job index>-<pod index>-<five random characters>
    assert len(f"{made(seen)['JobSet']['metadata']['name']}-n-0-255-abcde") <= 63


def test_how_many_nodes_train_is_no_part_of_the_version_nor_of_the_task() -> None:
    one, two = (plan_of(training(spec__training={"nodes": nodes})) for nodes in (1, 2))
    assert one.status["candidate"]["name"] == two.status["candidate"]["name"]
    assert one.desired[0]["data"] == two.desired[0]["data"]


def test_a_model_that_one_node_has_trained_is_not_trained_again_by_two() -> None:
    seen = ranking()
    plan = plan_of(seen)
    [job] = [child for child in plan.desired if child["kind"] == "Job"]
    name = job["metadata"]["name"]
    seen = ended(carried_out(seen, plan), name, "Complete", [done(name, succeeded(digest=DIGEST))])
    more = replace(training(), children=seen.children, jobs=seen.jobs, pods=seen.pods, status=seen.status)
    assert stage_of(plan_of(more))[0] == "Evaluating"


class TestSeen:
    """What becomes of them."""

    def test_the_meeting_place_goes_once_they_are_done(self) -> None:
        seen = training()
        plan = plan_of(seen)
        name = made(seen)["Job"]["metadata"]["name"]
        pods = [done(name, succeeded(digest=DIGEST), index) for index in (0, 1)]
        seen = ended(carried_out(seen, plan), name, "Complete", pods)
        plan = plan_of(seen)
        assert stage_of(plan)[0] == "Evaluating"
        assert set(plan.delete) == {Ref("Service", name), Ref("NetworkPolicy", name)}

    def test_and_is_there_as_long_as_they_work(self) -> None:
        seen = training()
        assert plan_of(carried_out(seen, plan_of(seen))).delete == ()

    def test_the_way_to_what_is_served_is_no_meeting_place(self) -> None:
        route = Ref("Service", "movies")
        stable = {"stable": {"name": "v-11111111"}}
        seen = training(status=stable, spec__serving={"mode": "Standard"})
        assert route not in plan_of(replace(seen, children={route: {}})).delete

    def test_the_digest_is_that_of_node_0(self) -> None:
        seen = training()
        plan = plan_of(seen)
        name = made(seen)["Job"]["metadata"]["name"]
        pods = [done(name, Outcome(result="Succeeded"), 1), done(name, succeeded(digest=DIGEST), 0)]
        seen = ended(carried_out(seen, plan), name, "Complete", pods)
        assert plan_of(seen).status["candidate"]["digest"] == DIGEST

    def test_the_latest_word_counts_since_another_node_may_speak_after_a_restart(self) -> None:
        seen = training()
        plan = plan_of(seen)
        name = made(seen)["Job"]["metadata"]["name"]
        seen = with_job_status(carried_out(seen, plan), name, [pod(name, 0), pod(name, 1)], active=2)
        reports = {
            f"uid-{name}-0": report(total=10, done=6),
            f"uid-{name}-1": report(later(seconds=9), total=10, done=4),
        }
        assert plan_of(replace(seen, reports=reports)).status["training"]["percent"] == 40

    def test_other_nodes_are_other_pods(self) -> None:
        seen = carried_out(training(), plan_of(training()))
        old = next(iter(seen.jobs)).name
        more = replace(training(spec__training={"nodes": 3}), children=seen.children, jobs=seen.jobs)
        plan = plan_of(more)
        assert {Ref("Job", old), Ref("ConfigMap", old)} <= set(plan.delete)
        assert old not in {child["metadata"]["name"] for child in plan.desired}


STATES = [
    pytest.param("JobSet", {"Completed": "True"}, (True, False), id="a JobSet that is done"),
    pytest.param("JobSet", {"Failed": "True"}, (False, True), id="a JobSet that has failed"),
    pytest.param("JobSet", {"RestartingJobSet": "True"}, (False, False), id="a JobSet that starts again"),
    pytest.param("TrainJob", {"Complete": "True"}, (True, False), id="a TrainJob that is done"),
    pytest.param(
        "TrainJob", {"Failed": "True", "Suspended": "False"}, (False, True), id="one that has failed"
    ),
]


@pytest.mark.parametrize(("kind", "conditions", "expected"), STATES)
def test_how_it_stands(kind: str, conditions: dict[str, str], expected: tuple[bool, bool]) -> None:
    said = [{"type": each, "status": status} for each, status in conditions.items()]
    view = job_view(
        {"kind": kind, "metadata": {"name": "m-1", "labels": {}}, "spec": {}, "status": {"conditions": said}}
    )
    assert (view.complete, view.failed) == expected
    assert view.pods_job == "m-1-n-0"


def test_what_cannot_be_changed_is_left_alone() -> None:
    """A newer operator would make it otherwise."""
    seen = training(frozenset({"TrainJob"}), spec__training=TWO | {"launcher": "TrainJob"})
    plan = plan_of(seen)
    older = {
        Ref(child["kind"], child["metadata"]["name"]): child
        | {"metadata": child["metadata"] | {"annotations": {"fathom.dev/spec-hash": "older"}}}
        for child in plan.desired
    }
    assert {change.child["kind"] for change in apply.changes(plan, older)} == {"ConfigMap", "NetworkPolicy"}
