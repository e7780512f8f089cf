"""A rollout that is judged: what becomes of the candidate, of its evidence and of what people say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from builders.counted import counts, windows
from builders.manifests import steps
from builders.seen import NOW, PLATFORM, condition, later, ranking, stage_of

from fathom_operator.analysis.counts import Counts
from fathom_operator.analysis.windows import Evidence, Look
from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Plan
from fathom_operator.recmodel.decide import decide
from fathom_operator.recmodel.evidence import Shown
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.services import RevisionView, ServiceView
from fathom_operator.times import text

OLD = "v-00000000"
NEW = decide(ranking(), PLATFORM).status["candidate"]["name"]
ROLLOUT: dict[str, Any] = {
    "steps": steps(10, 50, pause="30s"),
    "minSamples": 1000,
    "bake": "5m",
    "analysis": [{"name": "errors", "metric": "ErrorRate"}],
}
STABLE = counts(900, 9)
FINE, WORSE, FEW = counts(100, 1), counts(100, 9), counts(2, 0)


def version(name: str) -> Obj:
    return {"name": name, "digest": f"sha256:{name}", "uri": f"pvc://data/models/{name}/captions"}


def rolling(
    candidate: Counts = FINE,
    *,
    step: int = 0,
    percent: int | None = 10,
    now: datetime = NOW,
    blind: tuple[str, ...] = (),
    restarts: int = 0,
    said: dict[str, str] | None = None,
    obeyed: dict[str, str] | None = None,
    going: dict[str, Any] | None = None,
    **more: Any,
) -> RecModelSeen:
    """Return a RecModel whose candidate has had its share since NOW, and has counted this in 20 windows."""
    begun = {"phase": "Stepping", "step": step, "startedAt": text(NOW), "stepStartedAt": text(NOW)}
    status: Obj = {
        "stage": "RollingOut",
        "candidate": version(NEW) | {"image": "ranker:1"},
        "rollout": begun | (going or {}),
        "stable": version(OLD),
        "history": [version(OLD)],
        "obeyed": obeyed or {},
    }
    seen = ranking(status, now=now, spec__serving={"rollout": ROLLOUT | more})
    seen.obj["metadata"]["annotations"] |= {f"fathom.dev/{k}": v for k, v in (said or {}).items()}
    made = {
        f"r{i}": RevisionView(f"r{i}", name, f"sha256:{name}", ready=True)
        for i, name in enumerate((OLD, NEW), start=1)
    }
    share = 100 if percent is None else percent
    view = ServiceView(
        "movies", NEW, percent, ready=True, url="http://movies.example.com", latest_created="r2",
        latest_ready="r2", rolled_out="r1", traffic={"r1": 100 - share, "r2": share},
    )  # fmt: skip
    evidence = Evidence(windows(STABLE, candidate), Look(now, {}, {}, blind))
    shown = Shown(NEW, step, evidence, at=now, restarts=restarts)
    return replace(seen, services={"movies": view}, revisions=made, shown=shown)


def plan_of(seen: RecModelSeen) -> Plan:
    return decide(seen, PLATFORM)


def told(plan: Plan) -> tuple[str, int | None]:
    """Return the version and the share that KServe is told."""
    [isvc] = [child for child in plan.desired if child["kind"] == "InferenceService"]
    predictor = isvc["spec"]["predictor"]
    return predictor["labels"]["fathom.dev/run"], predictor.get("canaryTrafficPercent")


LATER = later(seconds=40)
PAUSED = {"phase": "Paused", "pausedBy": "User"}
CASES = [
    pytest.param(rolling(now=LATER), (NEW, 50), ("RollingOut", "RollingOut"), id="as good: the next step"),
    pytest.param(rolling(), (NEW, 10), ("RollingOut", "RollingOut"), id="as good, too early"),
    pytest.param(
        rolling(FEW, now=LATER), (NEW, 10), ("RollingOut", "RollingOut"), id="too few requests: wait"
    ),
    pytest.param(
        rolling(FEW, now=later(hours=2)), (NEW, 10), ("RollingOut", "Inconclusive"), id="ask people at last"
    ),
    pytest.param(
        rolling(now=LATER, blind=("a",)), (NEW, 10), ("RollingOut", "RollingOut"), id="a pod is not read"
    ),
    pytest.param(rolling(WORSE), (OLD, 0), ("Rejected", "AnalysisFailed"), id="worse: taken back at once"),
    pytest.param(
        rolling(WORSE, going=PAUSED), (OLD, 0), ("Rejected", "AnalysisFailed"), id="worse during a pause"
    ),
    pytest.param(
        rolling(WORSE, onFailure="Pause"),
        (NEW, 10),
        ("RollingOut", "AnalysisFailed"),
        id="worse, and people are to decide",
    ),
    pytest.param(
        rolling(restarts=3), (OLD, 0), ("Rejected", "CandidateRestarts"), id="its containers restart"
    ),
    pytest.param(rolling(step=1, percent=50, now=LATER), (NEW, 99), ("RollingOut", "RollingOut"), id="bake"),
    pytest.param(
        rolling(step=2, percent=99, now=LATER), (NEW, 99), ("RollingOut", "RollingOut"), id="it bakes"
    ),
    pytest.param(
        rolling(WORSE, step=2, percent=99), (OLD, 0), ("Rejected", "AnalysisFailed"), id="worse as it bakes"
    ),
    pytest.param(
        rolling(step=2, percent=99, now=later(minutes=6)), (NEW, None), ("Serving", "Serving"), id="baked"
    ),
    pytest.param(
        rolling(said={"pause": "1"}), (NEW, 10), ("RollingOut", "PausedByUser"), id="a person pauses"
    ),
    pytest.param(
        rolling(said={"pause": "1"}, obeyed={"pause": "1"}, now=LATER),
        (NEW, 50),
        ("RollingOut", "RollingOut"),
        id="what was said before is not said again",
    ),
    pytest.param(
        rolling(said={"pause": "1", "resume": "2"}, obeyed={"pause": "1"}, going=PAUSED),
        (NEW, 10),
        ("RollingOut", "RollingOut"),
        id="a person resumes",
    ),
    pytest.param(rolling(said={"promote": "1"}), (NEW, 99), ("RollingOut", "RollingOut"), id="promotes"),
    pytest.param(rolling(said={"abort": "1"}), (OLD, 0), ("Rejected", "Aborted"), id="a person aborts"),
    pytest.param(
        rolling(said={"abort": "1", "promote": "1"}), (OLD, 0), ("Rejected", "Aborted"), id="safe goes first"
    ),
]


@pytest.mark.parametrize(("seen", "tell", "stage"), CASES)
def test_what_becomes_of_a_candidate(
    seen: RecModelSeen, tell: tuple[str, int | None], stage: tuple[str, str]
) -> None:
    plan = plan_of(seen)
    assert (told(plan), stage_of(plan)) == (tell, stage)


def test_a_candidate_that_is_worse_is_remembered_with_what_was_measured() -> None:
    plan = plan_of(rolling(WORSE))
    [rejection] = plan.status["rejected"]
    assert (rejection["name"], rejection["digest"]) == (NEW, f"sha256:{NEW}")
    assert "0.09 against 0.01" in rejection["message"]
    [result] = plan.status["analysis"]
    assert (result["metric"], result["verdict"], result["samples"]) == ("errors", "Fail", 2000)
    assert [(note.type, note.reason) for note in plan.events] == [("Warning", "AnalysisFailed")]
    assert condition(plan, "Serving")["status"] == "True"


def test_a_step_that_is_passed_is_told_with_what_was_measured() -> None:
    plan = plan_of(rolling(now=LATER))
    [note] = [note for note in plan.events if note.reason == "StepPassed"]
    assert "errors: 0.01 against 0.01" in note.message
    assert plan.status["rollout"]["step"] == 1


def test_between_two_looks_nothing_is_written() -> None:
    seen = rolling(FEW, now=LATER)
    plan = plan_of(seen)
    status = type(seen.status).model_validate(plan.status)
    again = replace(seen, now=later(seconds=45), status=status, obj=seen.obj | {"status": plan.status})
    assert plan_of(again).status == plan.status
    assert plan.look_again == 10


def test_a_command_without_a_rollout_is_not_kept_for_the_next_one() -> None:
    seen = ranking({"stage": "Serving", "stable": version(OLD)}, spec__serving={"rollout": ROLLOUT})
    seen.obj["metadata"]["annotations"]["fathom.dev/abort"] = "yesterday"
    assert plan_of(seen).status["obeyed"] == {"abort": "yesterday"}
    rolled = plan_of(rolling(said={"abort": "yesterday"}, obeyed={"abort": "yesterday"}))
    assert rolled.status["stage"] == "RollingOut"


def test_the_first_version_is_compared_with_nothing() -> None:
    seen = rolling(WORSE, percent=None)
    alone = seen.status.model_copy(update={"stable": None, "history": []})
    assert stage_of(plan_of(replace(seen, status=alone))) == ("Serving", "Serving")
