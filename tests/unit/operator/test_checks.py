"""Jobs that judge a candidate: when they run, what they are told, and what their ends mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.counted import rollout
from builders.seen import NOW, PLATFORM, broken, done, later, pod, stuck

from fathom_api import RecModelStatus
from fathom_api.progress import Outcome
from fathom_operator.analysis.questions import Side
from fathom_operator.kube.resources import Obj
from fathom_operator.owner import Owner
from fathom_operator.recmodel.checks import Checks
from fathom_operator.times import text
from fathom_operator.views import JobView, PodView, job_view

OWNER = Owner("RecModel", "shop", "movies", "0000-uid")
SMOKE: dict[str, Any] = {
    "name": "smoke",
    "job": {
        "image": "checks:1",
        "command": ["check", "--all"],
        "deadline": "5m",
        "env": [{"name": "LEVEL", "value": "high"}],
        "resources": {"limits": {"memory": "64Mi"}},
    },
}


def checks(*, step: int = 0, begun: Any = NOW, candidate: str = "v-new", **changes: Any) -> Checks:
    going: dict[str, Any] = {"phase": "Stepping", "step": step, "weight": 10}
    if begun is not None:
        going["stepStartedAt"] = text(begun)
    status = RecModelStatus.model_validate(
        {
            "stable": {"name": "v-old"},
            "candidate": {"name": candidate},
            "rollout": going,
            "url": "http://movies.shop.example.com",
        }
    )
    judged = rollout(
        {**SMOKE, **changes},
        steps=[{"weight": 10, "pause": "60s"}, {"weight": 50, "pause": "60s"}],
        bake="5m",
    )
    sides = Side("v-old", {"o": "http://10.0.0.1:8080"}), Side(candidate, {"n": "http://10.0.0.2:8080"})
    return Checks(OWNER, judged, status, *sides)


def job(of: Checks) -> Obj:
    [wanted] = of.jobs(PLATFORM)
    return wanted


NAME: str = job(checks())["metadata"]["name"]


def test_it_runs_the_template_once_and_is_told_what_to_check() -> None:
    spec = job(checks())["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 300)
    [main] = spec["template"]["spec"]["containers"]
    assert (main["image"], main["command"]) == ("checks:1", ["check", "--all"])
    assert main["resources"] == {"limits": {"memory": "64Mi"}}
    assert {v["name"]: v["value"] for v in main["env"]} == {
        "HOME": "/tmp",
        "FATHOM_CANARY": "v-new",
        "FATHOM_STABLE": "v-old",
        "FATHOM_CANARY_PODS": "http://10.0.0.2:8080",
        "FATHOM_STABLE_PODS": "http://10.0.0.1:8080",
        "FATHOM_STEP": "0",
        "FATHOM_WEIGHT": "10",
        "FATHOM_URL": "http://movies.shop.example.com",
        "LEVEL": "high",
    }


def test_its_pod_is_as_restricted_as_ours() -> None:
    spec = job(checks())["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("when", "names"),
    [
        pytest.param(checks(begun=None), 0, id="not before the candidate has its share"),
        pytest.param(checks(), 1, id="in a step"),
        pytest.param(checks(step=-1), 1, id="in the shadow"),
        pytest.param(checks(step=2), 0, id="not while it bakes"),
    ],
)
def test_when_it_runs(when: Checks, names: int) -> None:
    assert len(when.jobs(PLATFORM)) == names


@pytest.mark.parametrize(
    ("other", "again"),
    [
        pytest.param(checks(), False, id="looked at again"),
        pytest.param(replace(checks(), candidate=Side("v-new", {})), False, id="pods come and go"),
        pytest.param(checks(step=1), True, id="the next step"),
        pytest.param(checks(candidate="v-newer"), True, id="another candidate"),
        pytest.param(checks(begun=later(minutes=5)), True, id="the step began anew: resumed"),
        pytest.param(checks(job={"image": "checks:2"}), True, id="another check"),
    ],
)
def test_it_runs_once_a_step(other: Checks, again: bool) -> None:
    assert (job(other)["metadata"]["name"] != NAME) == again


def view(**status: Any) -> JobView:
    return job_view(job(checks()) | {"status": {"startTime": text(NOW), **status}})


def ended(how: str, reason: str = "") -> JobView:
    condition = {
        "type": how,
        "status": "True",
        "reason": reason,
        "lastTransitionTime": text(later(minutes=1)),
    }
    return view(conditions=[condition])


FAILED = Outcome(result="Failed")


@pytest.mark.parametrize(
    ("seen", "pods", "verdict", "why"),
    [
        pytest.param(ended("Complete"), [done(NAME, FAILED)], "Pass", "succeeded", id="exit code 0"),
        pytest.param(ended("Complete"), [], "Pass", "succeeded", id="its pod is gone"),
        pytest.param(
            ended("Failed", "PodFailurePolicy"),
            [broken(NAME, code=3, last_words="2 of 9 answers differ\n")],
            "Fail",
            "failed with exit code 3: 2 of 9 answers differ",
            id="its own exit code",
        ),
        pytest.param(ended("Failed", "PodFailurePolicy"), [], "Fail", "failed", id="failed, its pod is gone"),
        pytest.param(
            ended("Failed", "BackoffLimitExceeded"),
            [broken(NAME, code=137, end_reason="OOMKilled")],
            "Inconclusive",
            "could not check: OOMKilled, exit code 137",
            id="killed for its memory",
        ),
        pytest.param(
            ended("Failed", "BackoffLimitExceeded"),
            [broken(NAME, code=128, end_reason="StartError")],
            "Inconclusive",
            "could not check: StartError",
            id="a command that is not there",
        ),
        pytest.param(
            ended("Failed", "DeadlineExceeded"),
            [],
            "Inconclusive",
            "was stopped after 5m without a word",
            id="out of time",
        ),
        pytest.param(
            view(),
            [stuck(NAME, "ImagePullBackOff", "checks:1 not found")],
            "Inconclusive",
            "does not start (ImagePullBackOff: checks:1 not found)",
            id="an image that cannot be had",
        ),
        pytest.param(view(), [pod(NAME)], "Inconclusive", "has not ended", id="at work"),
    ],
)
def test_what_its_end_means(seen: JobView, pods: list[PodView], verdict: str, why: str) -> None:
    result = checks().said([seen], pods)["smoke"]
    assert (result.verdict, why in result.message) == (verdict, True), result.message


def test_ends_that_are_not_its_word_do_not_fail_the_job_by_its_policy() -> None:
    _, own = job(checks())["spec"]["podFailurePolicy"]["rules"]
    assert own["onExitCodes"]["operator"] == "NotIn"
    assert {126, 127, 128, 137, 143} <= set(own["onExitCodes"]["values"])


def test_what_it_said_is_as_old_as_its_end() -> None:
    assert checks().said([ended("Complete")], [])["smoke"].time == text(later(minutes=1))


def test_before_it_is_there_it_says_nothing() -> None:
    assert checks().said([], []) == {}


def test_jobs_of_other_steps_go_and_the_last_stay() -> None:
    last = view()
    assert checks().leftovers([last]) == ()
    assert [ref.name for ref in checks(step=1).leftovers([last])] == [NAME]
    over = replace(checks(), status=RecModelStatus())
    assert over.leftovers([last]) == (), "to be read, until another rollout begins"
