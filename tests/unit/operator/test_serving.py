"""How versions reach the requests: the first one, the canary, the way back; in both modes of KServe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.manifests import steps
from builders.seen import NOW, PLATFORM, condition, later, pod, ranking, stage_of

from fathom_operator import apply
from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Key, Plan, Ref, ref
from fathom_operator.recmodel.decide import decide
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.services import RevisionView, ServiceView
from fathom_operator.times import text

KNATIVE: dict[str, Any] = {
    "mode": "Knative",
    "rollout": {"steps": steps(10, 50, pause="30s"), "progressDeadline": "5m"},
}
STANDARD: dict[str, Any] = {"mode": "Standard", "rollout": {"progressDeadline": "5m"}}
OLD = "v-00000000"


def version(name: str) -> Obj:
    return {"name": name, "digest": f"sha256:{name}", "uri": f"pvc://data/models/{name}/captions"}


#: The version that the builder's spec makes.
NEW = decide(ranking(), PLATFORM).status["candidate"]["name"]


def rolling(
    mode: dict[str, Any] = KNATIVE, *, stable: str | None = OLD, rollout: Obj | None = None, **changes: Any
) -> RecModelSeen:
    """Return a RecModel whose version NEW is on its way, and what is served before it."""
    status: Obj = {
        "stage": "Deploying",
        "candidate": version(NEW),
        "rollout": rollout or {"phase": "Starting", "startedAt": text(NOW)},
    }
    if stable:
        status |= {"stable": version(stable), "history": [version(stable)]}
    return ranking(status, spec__serving=mode, **changes)


def serving(name: str, mode: dict[str, Any] = KNATIVE, **changes: Any) -> RecModelSeen:
    """Return a RecModel whose stable version is `name`."""
    status = {"stage": "Serving", "stable": version(name), "history": [version(name)]}
    return ranking(status, spec__serving=mode, **changes)


def revisions(*versions: str, unready: str = "") -> dict[str, RevisionView]:
    """Return a revision of each version, `r1`, `r2`, …"""
    return {
        f"r{i}": RevisionView(
            f"r{i}", v, f"sha256:{v}", ready=v != unready, message="no memory" if v == unready else ""
        )
        for i, v in enumerate(versions, start=1)
    }


def knative(
    seen: RecModelSeen,
    told: str,
    percent: int | None,
    made: dict[str, RevisionView],
    *,
    latest: str,
    rolled_out: str,
    **traffic: int,
) -> RecModelSeen:
    """Return what is seen when KServe was told this and says that."""
    view = ServiceView(
        "movies", told, percent, ready=True, url="http://movies.example.com", latest_created=max(made),
        latest_ready=latest, rolled_out=rolled_out, traffic=traffic,
    )  # fmt: skip
    return replace(seen, services={"movies": view}, revisions=made)


def told(plan: Plan) -> tuple[str, int | None] | None:
    """Return the version and the share that the InferenceService is told, None without one."""
    isvcs = [child for child in plan.desired if child["kind"] == "InferenceService"]
    if not isvcs:
        return None
    predictor = isvcs[-1]["spec"]["predictor"]
    return predictor["labels"]["fathom.dev/run"], predictor.get("canaryTrafficPercent")


def plan_of(seen: RecModelSeen) -> Plan:
    return decide(seen, PLATFORM)


def test_the_first_version_gets_all_requests_when_it_is_ready() -> None:
    plan = plan_of(rolling(stable=None))
    assert (stage_of(plan), told(plan)) == (("Deploying", "Deploying"), (NEW, None))

    seen = knative(rolling(stable=None), NEW, None, revisions(NEW), latest="r1", rolled_out="r1", r1=100)
    plan = plan_of(seen)
    assert stage_of(plan) == ("Serving", "Serving")
    assert plan.status["stable"] == version(NEW) | {"image": "ranker:1", "promotedAt": text(NOW)}
    assert plan.status["url"] == "http://movies.example.com"
    assert "candidate" not in plan.status
    assert "rollout" not in plan.status
    assert condition(plan, "Serving")["status"] == "True"


class TestGuided:
    """A ranker that an InterestMap guides is told where to look for the table."""

    GUIDE = "pvc://interests/discover/current"

    @staticmethod
    def predictor(plan: Plan) -> Obj:
        [isvc] = [child for child in plan.desired if child["kind"] == "InferenceService"]
        return isvc["spec"]["predictor"]

    @pytest.mark.parametrize("mode", [KNATIVE, STANDARD], ids=["Knative", "Standard"])
    def test_by_a_variable_and_a_claim_that_it_may_only_read(self, mode: dict[str, Any]) -> None:
        predictor = self.predictor(plan_of(replace(serving(OLD, mode), guide=self.GUIDE)))
        [container] = predictor["containers"]
        assert {"name": "FATHOM_GUIDE", "value": self.GUIDE} in container["env"]
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert mounts["/volumes/interests"]["readOnly"] is True

    def test_a_guide_that_comes_replaces_the_pods_and_none_changes_nothing(self) -> None:
        without, guided = serving(OLD), replace(serving(OLD), guide=self.GUIDE)
        hashes = [
            child["metadata"]["annotations"]["fathom.dev/spec-hash"]
            for seen in (without, replace(without, guided_by="discover"), guided)
            for child in plan_of(seen).desired
            if child["kind"] == "InferenceService"
        ]
        assert hashes[0] == hashes[1] != hashes[2]

    def test_it_is_woken_by_the_map_that_will_guide_it(self) -> None:
        plan = plan_of(replace(serving(OLD), guided_by="discover"))
        assert Key("InterestMap", "shop", "discover") in plan.waits_for


def test_it_serves_only_once_it_has_an_address() -> None:
    seen = knative(rolling(stable=None), NEW, None, revisions(NEW), latest="r1", rolled_out="r1", r1=100)
    nowhere = replace(seen, services={"movies": replace(seen.services["movies"], url=None)})
    plan = plan_of(nowhere)
    assert stage_of(plan) == ("Deploying", "Deploying")
    assert condition(plan, "Serving")["status"] == "False"
    assert condition(plan, "Ready")["status"] == "False"
    assert plan.status["stable"]["name"] == NEW


@pytest.mark.parametrize(
    ("changes", "rolls"),
    [
        pytest.param({"platform": {"ranker_image": "ranker:2"}}, False, id="a chart upgrade"),
        pytest.param({"platform": {"image_pull_policy": "Always"}}, False, id="another default pull policy"),
        pytest.param({"mode": {"image": "ours:1"}}, True, id="an image that the user names"),
        pytest.param({"mode": {"replicas": 2}}, True, id="more replicas"),
        pytest.param(
            {"mode": {"rollout": {"progressDeadline": "1m"}}}, False, id="patience with the next version"
        ),
    ],
)
@pytest.mark.parametrize("mode", [KNATIVE, STANDARD], ids=["Knative", "Standard"])
def test_what_rolls_a_served_version(mode: dict[str, Any], changes: dict[str, Any], rolls: bool) -> None:
    made = decide(serving(OLD, mode), PLATFORM)
    platform = replace(PLATFORM, **changes.get("platform", {}))
    again = decide(serving(OLD, mode | changes.get("mode", {})), platform)
    children = {ref(child): child for child in made.desired}
    changed = [change.child["kind"] for change in apply.changes(again, children)]
    rolled = [kind for kind in changed if kind != "PodDisruptionBudget"]
    assert rolled == (["InferenceService"] if rolls else [])


def test_the_image_is_fixed_when_a_rollout_begins() -> None:
    candidate = version(NEW) | {"image": "ranker:0"}
    seen = rolling()
    seen = replace(
        seen, status=type(seen.status).model_validate(seen.obj["status"] | {"candidate": candidate})
    )
    seen = knative(seen, OLD, None, revisions(OLD), **STABLE)
    plan = plan_of(seen)
    assert (told(plan), plan.status["candidate"]["image"]) == ((NEW, 10), "ranker:0")
    [isvc] = [child for child in plan.desired if child["kind"] == "InferenceService"]
    assert isvc["spec"]["predictor"]["containers"][0]["image"] == "ranker:0"


def test_a_version_comes_back_with_the_image_it_was_served_with() -> None:
    """After a candidate was rejected, say, and the chart has been upgraded in the meantime."""
    status = {"stage": "Serving", "stable": version(OLD) | {"image": "ranker:0"}}
    plan = plan_of(ranking(status, spec__serving=KNATIVE))
    [isvc] = [child for child in plan.desired if child["kind"] == "InferenceService"]
    assert isvc["spec"]["predictor"]["containers"][0]["image"] == "ranker:0"


STABLE: dict[str, Any] = {"latest": "r1", "rolled_out": "r1", "r1": 100}
SLIPPED: dict[str, Any] = {"latest": "r3", "rolled_out": "r1", "r1": 50, "r3": 50}
WALK = [
    pytest.param(
        (OLD, None), revisions(OLD), STABLE, (NEW, 10), "Starting", id="all is well: the candidate, at 10 %"
    ),
    pytest.param(
        (NEW, 10),
        revisions(OLD, NEW, unready=NEW),
        STABLE,
        (NEW, 10),
        "Starting",
        id="not ready yet: the stable version has all requests",
    ),
    pytest.param(
        (NEW, 10),
        revisions(OLD, NEW),
        {"latest": "r2", "rolled_out": "r1", "r1": 90, "r2": 10},
        (NEW, 10),
        "Stepping",
        id="ready with its share: the pause begins",
    ),
    pytest.param(
        (NEW, 50),
        revisions("v-ancient", OLD, NEW),
        SLIPPED,
        (OLD, 0),
        None,
        id="KServe slipped back to an older revision: begin anew, the candidate gets nothing",
    ),
]


@pytest.mark.parametrize(("given", "made", "says", "tell", "phase"), WALK)
def test_canary(given: Any, made: Any, says: Any, tell: Any, phase: str | None) -> None:
    plan = plan_of(knative(rolling(), *given, made, **says))
    assert told(plan) == tell
    assert plan.status.get("rollout", {}).get("phase") == phase
    assert plan.status["stable"]["name"] == OLD


def test_the_walk_ends_with_the_candidate_as_the_stable_version() -> None:
    step = {"phase": "Stepping", "step": 1, "weight": 50, "startedAt": text(NOW), "stepStartedAt": text(NOW)}
    half = {"latest": "r2", "rolled_out": "r1", "r1": 50, "r2": 50}
    seen = knative(rolling(rollout=step, now=later(seconds=30)), NEW, 50, revisions(OLD, NEW), **half)
    plan = plan_of(seen)
    assert (told(plan), plan.status["rollout"]["phase"]) == ((NEW, None), "Promoting")

    promoting = rolling(rollout=plan.status["rollout"], now=later(seconds=32))
    plan = plan_of(knative(promoting, NEW, None, revisions(OLD, NEW), latest="r2", rolled_out="r2", r2=100))
    assert stage_of(plan) == ("Serving", "Serving")
    assert [v["name"] for v in plan.status["history"]] == [NEW, OLD]
    assert told(plan) == (NEW, None)


def test_readiness_of_another_version_or_of_other_content_does_not_count() -> None:
    stale = revisions(OLD, NEW)
    stale["r2"] = replace(stale["r2"], digest="sha256:another")
    plan = plan_of(knative(rolling(), NEW, 10, stale, latest="r2", rolled_out="r1", r1=90, r2=10))
    assert plan.status["rollout"]["phase"] == "Starting"


def test_a_candidate_that_never_gets_ready_is_rejected_and_remembered() -> None:
    seen = knative(rolling(now=later(minutes=5)), NEW, 10, revisions(OLD, NEW, unready=NEW), **STABLE)
    plan = plan_of(seen)
    assert stage_of(plan) == ("Rejected", "CandidateNotReady")
    [rejection] = plan.status["rejected"]
    assert (rejection["name"], rejection["digest"]) == (NEW, f"sha256:{NEW}")
    assert "no memory" in rejection["message"]
    assert plan.status["stable"]["name"] == OLD
    assert told(plan) == (OLD, None)
    assert condition(plan, "Serving")["status"] == "True"
    assert [(note.type, note.reason) for note in plan.events] == [("Warning", "CandidateNotReady")]


def test_a_candidate_that_was_ready_once_gets_nothing_while_the_stable_version_comes_back() -> None:
    """The latest ready revision is the candidate's: with no share named it would get everything."""
    made = revisions(OLD, NEW)
    made["r2"] = replace(made["r2"], ready=False)
    seen = knative(rolling(now=later(minutes=5)), NEW, 10, made, latest="r2", rolled_out="r1", r1=90, r2=10)
    assert told(plan_of(seen)) == (OLD, 0)

    rejected = ranking(plan_of(seen).status, spec__serving=KNATIVE)
    back = knative(rejected, OLD, 0, revisions(OLD, NEW, OLD), latest="r3", rolled_out="r1", r1=100)
    assert told(plan_of(back)) == (OLD, None)


REJECTION = {"name": NEW, "reason": "CandidateNotReady", "message": "not ready", "at": text(NOW)}


@pytest.mark.parametrize(
    ("annotation", "remembered", "tried"),
    [
        pytest.param("", "", False, id="nobody asked: not tried again"),
        pytest.param(NEW, "", True, id="the annotation names it: tried again"),
        pytest.param(NEW, NEW, False, id="that was asked before and answered: not tried again"),
        pytest.param("please", NEW, True, id="asked in other words: tried again"),
        pytest.param("", NEW, False, id="taking the annotation away asks for nothing"),
    ],
)
def test_retry(annotation: str, remembered: str, *, tried: bool) -> None:
    seen = serving(OLD, retry=annotation)
    status = seen.obj["status"] | {"candidate": version(NEW), "rejected": [REJECTION | {"retry": remembered}]}
    plan = plan_of(ranking(status, retry=annotation, spec__serving=KNATIVE))
    assert (plan.status["stage"] != "Rejected") == tried


def test_a_spec_change_in_the_middle_takes_the_candidate_back() -> None:
    half = {"latest": "r2", "rolled_out": "r1", "r1": 90, "r2": 10}
    seen = knative(rolling(spec__training__epochs=9), NEW, 10, revisions(OLD, NEW), **half)
    plan = plan_of(seen)
    assert plan.status["candidate"]["name"] not in {NEW, OLD}
    assert "rollout" not in plan.status
    assert stage_of(plan)[0] == "Training"
    assert told(plan) == (OLD, 0)
    assert OLD in condition(plan, "Ready")["message"]


def test_a_canary_waits_for_the_stable_version_to_have_all_requests() -> None:
    """Else the requests the candidate does not get would go to who knows whom."""
    settling = {"latest": "r2", "rolled_out": "r1", "r1": 100}
    plan = plan_of(knative(rolling(), OLD, 0, revisions(OLD, "v-rejected"), **settling))
    assert told(plan) == (OLD, 0)
    assert f"{NEW} waits until {OLD} has all requests" in condition(plan, "Ready")["message"]


def test_the_stable_version_is_looked_after_while_the_next_one_is_trained() -> None:
    plan = plan_of(serving(OLD))
    assert stage_of(plan)[0] == "Training"
    assert told(plan) == (OLD, None)


def test_a_stable_version_that_does_not_answer_is_told() -> None:
    seen = knative(serving(NEW), NEW, None, revisions(NEW, unready=NEW), **STABLE)
    plan = plan_of(seen)
    assert stage_of(plan) == ("Deploying", "Deploying")
    assert condition(plan, "Serving")["status"] == "False"
    assert condition(plan, "Ready")["status"] == "False"


def test_serving_taken_out_of_the_spec_ends_it() -> None:
    children = {Ref("InferenceService", "movies"): {}, Ref("Service", "movies"): {}}
    status = {"stage": "Complete", "stable": version(OLD), "candidate": version(NEW), "url": "http://x"}
    plan = plan_of(replace(ranking(status), children=children))
    assert set(plan.delete) == set(children)
    assert "url" not in plan.status
    assert "stable" not in plan.status


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        pytest.param(("serving.kserve.io",), "kserve/kserve/releases", id="no KServe"),
        pytest.param(("serving.knative.dev",), "knative/serving/releases", id="no Knative"),
    ],
)
def test_a_mode_that_is_not_installed(missing: tuple[str, ...], words: str) -> None:
    plan = plan_of(replace(rolling(), not_installed=missing))
    assert stage_of(plan) == ("Deploying", "ModeNotInstalled")
    assert f"needs {missing[0]}" in condition(plan, "Ready")["message"]
    assert f"kubectl apply --server-side -f https://github.com/{words}" in condition(plan, "Ready")["message"]
    assert told(plan) is None
    assert plan.look_again is not None


def standard(seen: RecModelSeen, *ready: str, unready: str = "") -> RecModelSeen:
    """Return what is seen with an InferenceService a version in Standard mode."""
    names = [*ready, *([unready] if unready else [])]
    services = {
        _isvc(v): ServiceView(_isvc(v), v, ready=v != unready, message="" if v in ready else "no memory")
        for v in names
    }
    pods = tuple(
        replace(pod(_isvc(v)), stage="serve", run=v, ready=True, digest=f"sha256:{v}") for v in ready
    )
    children: dict[Ref, Obj] = {
        Ref("InferenceService", name): {"kind": "InferenceService"} for name in services
    }
    return replace(seen, services=services, pods=pods, children=children)


def _isvc(version_name: str) -> str:
    return f"movies-{version_name.removeprefix('v-')}"


def routed_to(plan: Plan) -> str | None:
    services = [child for child in plan.desired if child["kind"] == "Service"]
    return services[0]["spec"]["selector"]["fathom.dev/run"] if services else None


def deployed(plan: Plan) -> list[str]:
    return [child["metadata"]["name"] for child in plan.desired if child["kind"] == "InferenceService"]


def test_standard_the_service_switches_when_the_candidate_is_ready() -> None:
    plan = plan_of(standard(rolling(STANDARD), OLD, unready=NEW))
    assert (deployed(plan), routed_to(plan)) == ([_isvc(OLD), _isvc(NEW)], OLD)
    assert plan.status["url"] == "http://movies.shop.svc"

    plan = plan_of(standard(rolling(STANDARD), OLD, NEW))
    assert stage_of(plan) == ("Serving", "Serving")
    assert (deployed(plan), routed_to(plan)) == ([_isvc(NEW)], NEW)


def test_standard_an_inference_service_that_says_ready_without_a_pod_does_not_count() -> None:
    seen = standard(rolling(STANDARD), OLD, NEW)
    without = tuple(p for p in seen.pods if p.run != NEW)
    assert routed_to(plan_of(replace(seen, pods=without))) == OLD


def test_standard_the_version_before_lingers_for_requests_under_way() -> None:
    promoted = plan_of(standard(rolling(STANDARD), OLD, NEW))
    assert Ref("InferenceService", _isvc(OLD)) not in promoted.delete
    assert promoted.look_again == 30

    after = standard(ranking(promoted.status, now=later(seconds=30), spec__serving=STANDARD), OLD, NEW)
    assert plan_of(after).delete == (Ref("InferenceService", _isvc(OLD)),)


def test_standard_a_rejected_candidate_goes_at_once() -> None:
    plan = plan_of(standard(rolling(STANDARD, now=later(minutes=5)), OLD, unready=NEW))
    assert stage_of(plan) == ("Rejected", "CandidateNotReady")
    assert plan.delete == (Ref("InferenceService", _isvc(NEW)),)
    assert routed_to(plan) == OLD


@pytest.mark.parametrize("mode", [KNATIVE, STANDARD], ids=["Knative", "Standard"])
def test_a_first_version_that_never_gets_ready_leaves_nothing_behind(mode: dict[str, Any]) -> None:
    seen = rolling(mode, stable=None, now=later(minutes=5))
    if mode is STANDARD:
        seen = standard(seen, unready=NEW)
    else:
        seen = knative(seen, NEW, None, revisions(NEW, unready=NEW), latest="", rolled_out="")
        seen = replace(seen, children={Ref("InferenceService", "movies"): {}})
    plan = plan_of(seen)
    assert stage_of(plan) == ("Rejected", "CandidateNotReady")
    assert deployed(plan) == []
    assert [gone.kind for gone in plan.delete] == ["InferenceService"]
