"""Rollouts that are judged, in Knative mode, under load: a good one while operators die, and a bad one."""

from __future__ import annotations

import pytest
from e2e.rolling import Rolled, at_the_ingress, generous_labels, judged_model, measured, rolling
from e2e.traffic import last_of, shares, spans
from e2e.witness import first, knative_weights, stables
from e2e.world import World

from fathom_operator.kubectl.main import main as kubectl_fathom
from fathom_operator.times import parse

NAME = "judged"
WEIGHTS = [20, 50, 99, 100]


@pytest.fixture(scope="module")
def served(world: World) -> str:
    world.kube.apply([judged_model(world, NAME, "Knative")])
    world.until_stage("recmodel", NAME, "Serving", timeout=900)
    return NAME


@pytest.fixture(scope="module")
def good(world: World, served: str) -> Rolled:
    """Roll out another seed; at each step, and while it bakes, the operator that leads is killed."""
    with rolling(world, served, "inferenceservice", at_the_ingress(world, served)) as it:
        world.kube.patch("recmodel", served, world.namespace, {"spec": {"training": {"seed": 1}}})
        candidate = it.until_weight(20, timeout=900).candidate
        assert candidate
        it.kill_the_operator()
        it.until_weight(50)
        it.kill_the_operator()
        it.until(lambda s: s.rollout and s.rollout.phase == "Baking", "it bakes")
        it.kill_the_operator()
        it.until(lambda s: s.stage == "Serving" and s.stable.name == candidate.name, "it is served")
        # Answers at the full share, too.
        asked = len(it.load.answers)
        it.until(lambda _: len(it.load.answers) > asked + 60, "sixty more answers")
        return it.rolled(candidate.name)


@pytest.fixture(scope="module")
def bad(world: World, good: Rolled) -> Rolled:
    """Roll out what has learned from labels that are nearly all good: its scores are much too high."""
    with rolling(world, NAME, "inferenceservice", at_the_ingress(world, NAME)) as it:
        interactions = {"interactions": {"uri": generous_labels(world)}}
        world.kube.patch("recmodel", NAME, world.namespace, {"spec": {"data": interactions}})
        candidate = it.until_weight(20, timeout=900).candidate
        assert candidate
        it.until(lambda s: s.stage == "Rejected", "it is taken back")
        asked = len(it.load.answers)
        it.until(lambda _: len(it.load.answers) > asked + 150, "a hundred and fifty more answers")
        return it.rolled(candidate.name)


def test_no_request_fails_while_the_good_one_takes_over_and_operators_die(good: Rolled) -> None:
    assert len(good.answers) > 300
    assert good.failures == []
    assert len(set(good.killed)) == 3


def test_pods_get_the_shares_of_the_steps(good: Rolled) -> None:
    changes = knative_weights(good.route, good.candidate)
    counted = shares(good.answers, spans(changes, good.end), good.candidate)
    assert [s.weight for s in counted] == [0, *WEIGHTS]
    # 99 % for all of them together.
    assert [s for s in counted if not s.fits(1 - 0.01 / len(counted))] == []


def test_there_is_one_stable_version_at_every_instant(good: Rolled, bad: Rolled) -> None:
    assert stables(good.model) == [good.before, good.candidate]
    assert stables(bad.model) == [good.candidate]


def test_versions_that_answer_are_stable_and_the_candidate(good: Rolled, bad: Rolled) -> None:
    assert {a.version for a in good.answers} == {good.before, good.candidate}
    assert {a.version for a in bad.answers} == {bad.before, bad.candidate}


def test_the_bad_one_is_taken_back_by_its_scores(bad: Rolled) -> None:
    [rejected, *_] = bad.status.rejected
    assert (rejected.name, rejected.reason) == (bad.candidate, "AnalysisFailed")
    assert "scores" in rejected.message
    assert bad.failures == []


def test_no_request_reaches_it_ten_seconds_after_the_verdict(bad: Rolled) -> None:
    judged = first(
        bad.model, lambda o: any(r["verdict"] == "Fail" for r in o.get("status", {}).get("analysis", []))
    )
    last = last_of(bad.answers, bad.candidate)
    assert judged
    assert last
    verdicts = judged.object["status"]["analysis"]
    verdict = next(parse(r["time"]).timestamp() for r in verdicts if r["verdict"] == "Fail")
    assert last - verdict <= 10
    after = [a for a in bad.answers if a.sent > verdict + 10]
    assert len(after) > 30
    assert {a.version for a in after} == {bad.before}


def test_what_was_measured_outlives_the_operators(world: World, good: Rolled, bad: Rolled) -> None:
    trail = measured(world, NAME)
    [earlier] = [t for t in trail.earlier if t.candidate == good.candidate]
    assert [m.weight for m in earlier.moves if m.phase == "Promoted"] == [100]
    assert {p.step for p in earlier.points["errors"]} >= {0, 1}
    assert (trail.candidate, trail.ended_at is not None) == (bad.candidate, True)
    assert any(p.verdict == "Fail" for p in trail.points["scores"])


def test_kubectl_fathom_shows_it_as_a_page(
    world: World, good: Rolled, bad: Rolled, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["-n", world.namespace, "--kubeconfig", str(world.kube.kubeconfig)]
    kubectl_fathom(["history", NAME, "-o", "html", *at])
    page = capsys.readouterr().out
    assert good.candidate in page
    assert bad.candidate in page
    assert page.count("<svg") >= 6
    (world.context.out / "rollouts.html").write_text(page)
