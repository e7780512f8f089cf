"""What a rollout does next, rule by rule, and from end to end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders.counted import result, rollout
from builders.seen import NOW, later

from fathom_api.analysis import AnalysisResult
from fathom_api.rollout import Rollout, RolloutStatus
from fathom_operator.analysis.decide import Decision, Sight, begin, decide
from fathom_operator.times import text

ROLLOUT = rollout(
    "ErrorRate",
    shadow={"weight": 30, "duration": "1m"},
    steps=[{"weight": 10, "pause": "1m"}, {"weight": 50, "pause": "1m"}],
    bake="5m",
    analysisDeadline="1h",
)
PASS, FAIL, UNKNOWN = [result("Pass")], [result("Fail")], [result("Inconclusive")]
FINE = Sight(ready=True, percent=10, samples=5000)


def status(**more: Any) -> RolloutStatus:
    document = {"phase": "Stepping", "step": 0, "startedAt": text(NOW), "stepStartedAt": text(NOW)}
    return RolloutStatus.model_validate(document | more)


def after(
    minutes: float = 2,
    *,
    at: RolloutStatus | None = None,
    sight: Sight = FINE,
    results: list[AnalysisResult] = PASS,
    command: Any = None,
    of: Rollout = ROLLOUT,
) -> Decision:
    return decide(of, at or status(), sight, results, later(minutes=minutes), command)


PAUSING = ROLLOUT.model_copy(update={"on_failure": "Pause"})
BAKING = status(phase="Baking", step=2)
ALL = replace(FINE, percent=100)
PAUSED = status(phase="Paused", pausedBy="User")
FAILED = status(phase="Paused", pausedBy="Failure", message="because")
DRY = [result("Fail", dryRun=True), result("Pass", "AUC")]


@pytest.mark.parametrize(
    ("decision", "action", "reason", "weight"),
    [
        pytest.param(after(), "Advance", "StepPassed", 50, id="all passes and time is up"),
        pytest.param(after(0.5), "Hold", "Waiting", 10, id="all passes, too early"),
        pytest.param(after(results=UNKNOWN), "Hold", "Inconclusive", 10, id="too little is known: wait"),
        pytest.param(after(62, results=UNKNOWN), "Pause", "Inconclusive", 10, id="for an hour: ask people"),
        pytest.param(
            after(sight=replace(FINE, samples=12)),
            "Hold",
            "Inconclusive",
            10,
            id="twelve requests pass nothing",
        ),
        pytest.param(
            after(0.1, results=FAIL), "Rollback", "AnalysisFailed", 0, id="harm is taken back at once"
        ),
        pytest.param(after(results=FAIL, of=PAUSING), "Pause", "AnalysisFailed", 10, id="or left to people"),
        pytest.param(after(at=FAILED, of=PAUSING), "Pause", "AnalysisFailed", 10, id="who must say more"),
        pytest.param(after(at=FAILED, of=PAUSING, command="Resume"), "Hold", "Resumed", 10, id="and do"),
        pytest.param(
            after(results=DRY), "Advance", "StepPassed", 50, id="what only looks on decides nothing"
        ),
        pytest.param(
            after(at=PAUSED, results=FAIL), "Rollback", "AnalysisFailed", 0, id="harm during a pause"
        ),
        pytest.param(
            after(at=BAKING, sight=ALL, results=FAIL),
            "Rollback",
            "AnalysisFailed",
            0,
            id="harm while it bakes",
        ),
        pytest.param(after(4, at=BAKING, sight=ALL), "Hold", "Waiting", 100, id="it bakes"),
        pytest.param(after(6, at=BAKING, sight=ALL), "Done", "Promoted", 100, id="it has baked"),
        pytest.param(
            after(sight=replace(FINE, restarts=3)),
            "Rollback",
            "CandidateRestarts",
            0,
            id="its containers restart",
        ),
        pytest.param(
            after(sight=Sight(ready=False, percent=0, hopeless=True)),
            "Rollback",
            "CandidateRefused",
            0,
            id="its bundle is refused",
        ),
        pytest.param(
            after(9, at=begin(ROLLOUT, NOW), sight=Sight(ready=False, percent=0)),
            "Hold",
            "NotReady",
            0,
            id="it is not ready yet",
        ),
        pytest.param(
            after(10, at=begin(ROLLOUT, NOW), sight=Sight(ready=False, percent=0)),
            "Rollback",
            "CandidateNotReady",
            0,
            id="it is never ready",
        ),
        pytest.param(
            after(sight=replace(FINE, percent=3)), "Hold", "WaitingForWeight", 10, id="not its share yet"
        ),
        pytest.param(after(command="Pause"), "Pause", "PausedByUser", 10, id="a person pauses"),
        pytest.param(after(at=PAUSED), "Pause", "PausedByUser", 10, id="it stays paused"),
        pytest.param(after(at=PAUSED, command="Resume"), "Hold", "Resumed", 10, id="a person resumes"),
        pytest.param(after(command="Abort"), "Rollback", "Aborted", 0, id="a person aborts"),
        pytest.param(
            after(results=FAIL, command="Promote"), "Advance", "PromotedByUser", 100, id="a person promotes"
        ),
        pytest.param(
            after(at=status(phase="RolledBack")), "Hold", "RolledBack", 0, id="what was taken back stays so"
        ),
        pytest.param(
            after(at=status(phase="RolledBack"), command="Retry"), "Hold", "Retried", 0, id="until people ask"
        ),
        pytest.param(
            after(at=status(phase="Promoted"), results=FAIL), "Done", "Promoted", 100, id="it is over"
        ),
    ],
)
def test_what_is_done_next(decision: Decision, action: str, reason: str, weight: int) -> None:
    assert (decision.action, decision.reason, decision.weight) == (action, reason, weight)


def test_a_rollback_says_what_was_measured() -> None:
    assert after(results=FAIL).status.message == "ErrorRate: because"


def test_a_pause_ends_by_itself_once_more_is_known() -> None:
    paused = after(62, results=UNKNOWN)
    assert paused.status.paused_by == "Inconclusive"
    assert after(63, at=paused.status).action == "Advance"


def test_a_resumed_step_waits_anew() -> None:
    resumed = after(62, at=status(phase="Paused", pausedBy="Inconclusive"), results=UNKNOWN, command="Resume")
    assert after(70, at=resumed.status, results=UNKNOWN).action == "Hold"


def test_a_candidate_that_is_no_longer_ready_has_a_deadline_of_its_own() -> None:
    lost = after(30, sight=Sight(ready=False, percent=10))
    assert (lost.status.phase, lost.look_again) == ("Starting", 600)
    assert after(41, at=lost.status, sight=Sight(ready=False, percent=10)).reason == "CandidateNotReady"


def test_without_an_analysis_readiness_and_time_decide() -> None:
    plain = Rollout.model_validate({"steps": [{"weight": 10, "pause": "1m"}]})
    assert after(results=[], of=plain, sight=replace(FINE, samples=0)).action == "Advance"


def test_from_the_shadow_to_all_requests() -> None:
    now, at = 0.0, begin(ROLLOUT, NOW)
    seen: list[tuple[str, int, int]] = []
    percent = 0
    for _ in range(40):
        sight = Sight(ready=now >= 1, percent=percent, samples=5000)
        decision = after(now, at=at, sight=sight)
        at, now = decision.status, now + 0.5
        percent = decision.mirror or decision.weight
        step = (at.phase, decision.weight, decision.mirror)
        if not seen or seen[-1] != step:
            seen.append(step)
        if decision.action == "Done":
            break
    assert seen == [
        ("Starting", 0, 30),
        ("Shadowing", 0, 30),
        ("Stepping", 10, 0),
        ("Stepping", 50, 0),
        ("Promoting", 100, 0),
        ("Baking", 100, 0),
        ("Promoted", 100, 0),
    ]
