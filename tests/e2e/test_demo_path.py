"""The demo's path: captions in pods, features, a ranker with controls, served, a second version by canary."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from e2e.world import World

from demo import manifests
from demo.__main__ import walk
from demo.kube import KubeError, Object
from demo.waiting import transient
from fathom_api.captionjob import CaptionJobStatus
from fathom_api.recmodel import RecModelStatus


@dataclass
class Watcher:
    """Notes each weight that KServe was given for the canary, and each version that traffic went to."""

    world: World
    weights: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.stop.wait(0.5):
            try:
                self.note(self.world.kube.find("inferenceservice", manifests.REC_MODEL, self.world.namespace))
            except KubeError as error:
                if not transient(error):
                    raise

    def note(self, service: Object | None) -> None:
        predictor = (service or {}).get("spec", {}).get("predictor", {})
        weight = predictor.get("canaryTrafficPercent")
        if weight is not None and (not self.weights or self.weights[-1] != weight):
            self.weights.append(weight)


@dataclass(frozen=True)
class Walked:
    """What is left after the demo's path."""

    world: World
    weights: list[int]
    captions: CaptionJobStatus
    model: RecModelStatus


@pytest.fixture(scope="module")
def walked(world: World) -> Walked:
    watcher = Watcher(world)
    thread = threading.Thread(target=watcher.watch)
    thread.start()
    try:
        walk(world.context)
    finally:
        watcher.stop.set()
        thread.join()
    captions = world.status("captionjob", manifests.CAPTION_JOB)
    model = world.status("recmodel", manifests.REC_MODEL)
    assert isinstance(captions, CaptionJobStatus)
    assert isinstance(model, RecModelStatus)
    return Walked(world, watcher.weights, captions, model)


def test_every_item_has_exactly_one_caption(walked: Walked) -> None:
    items = walked.world.context.data.table("items", ["item_id"])["item_id"].to_pylist()
    assert sorted(walked.world.rows(manifests.CAPTION_JOB)) == sorted(items)
    assert walked.captions.items.done == len(items)
    assert walked.captions.items.failed == 0


def test_the_captioner_was_taught(walked: Walked) -> None:
    tuned = walked.captions.fine_tune
    assert tuned
    assert tuned.model
    assert tuned.validation_loss is not None
    # A model that knows nothing is at log(4000) ≈ 8.3 nats a token.
    assert 0 < tuned.validation_loss < 4


def test_captions_became_features(walked: Walked) -> None:
    features = walked.captions.features
    assert features
    assert features.coverage > 0.9
    assert features.vocabulary_size > 2
    assert features.digest.startswith("sha256:")


def test_the_ranker_was_judged_beside_its_controls(walked: Walked) -> None:
    arms = {m.arm: m.auc for m in walked.model.metrics}
    assert {"Captions", "WithoutCaptions", "ShuffledCaptions", "Serving"} <= set(arms)
    assert all(auc and 0.4 < auc < 0.95 for auc in arms.values())
    assert walked.model.caption_lift == pytest.approx(arms["Captions"] - arms["WithoutCaptions"], abs=1e-6)  # type: ignore[operator]


def test_the_second_version_took_over_step_by_step(walked: Walked) -> None:
    [spec] = manifests.load("recmodel", walked.world.namespace)
    steps = [step["weight"] for step in spec["spec"]["serving"]["rollout"]["steps"]]
    assert [w for w in walked.weights if w in steps] == steps
    assert len(walked.model.history) == 2
    assert walked.model.stable
    assert walked.model.stable.name == walked.model.history[0].name


def test_the_ingress_leads_to_the_version_that_is_stable(walked: Walked) -> None:
    assert walked.model.stable
    door = walked.world.ingress(walked.model.url, manifests.REC_MODEL)
    assert door.versions(10) == {walked.model.stable.name: 10}


def test_a_ranking_is_of_what_was_asked_best_first(walked: Walked) -> None:
    items = walked.world.context.data.table("items", ["item_id"])["item_id"].to_pylist()[:7]
    user = walked.world.context.data.table("users", ["user_id"])["user_id"].to_pylist()[0]
    door = walked.world.ingress(walked.model.url, manifests.REC_MODEL)
    answer = door.rank(user, items, 7)
    assert sorted(answer.items) == sorted(items)
    assert answer.scores == sorted(answer.scores, reverse=True)
    assert len(set(answer.scores)) > 1


def test_the_report_is_whole(walked: Walked) -> None:
    html = (walked.world.context.out / "report.html").read_text()
    headings = ["recommends to", "Pictures and their captions", "What captions give", "What was served when"]
    assert [heading for heading in headings if heading not in html] == []
    assert html.count("data:image/jpeg") >= 30
    assert ("SIMULATED PEOPLE" in html) == walked.world.context.data.about.simulated


def test_a_second_run_finds_everything_done(walked: Walked) -> None:
    world = walked.world
    before = world.job_uids(manifests.CAPTION_JOB), world.job_uids(manifests.REC_MODEL)
    walk(world.context)
    assert (world.job_uids(manifests.CAPTION_JOB), world.job_uids(manifests.REC_MODEL)) == before
    model = world.status("recmodel", manifests.REC_MODEL)
    assert isinstance(model, RecModelStatus)
    assert [v.name for v in model.history] == [v.name for v in walked.model.history]
