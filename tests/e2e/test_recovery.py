"""The operator dies in each phase, a captioning pod mid-way: the work goes on, and nothing is done twice."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from e2e.world import World

from fathom_api.captionjob import CaptionJobStatus
from fathom_api.recmodel import RecModelStatus

NAME = "survivor"
PHASES = [("captionjob", s) for s in ("Planning", "FineTuning", "Captioning")]
PHASES += [("recmodel", s) for s in ("Training", "Evaluating", "RollingOut")]


@dataclass(frozen=True)
class Survived:
    """The Jobs there were when the operator died in each phase, and when the version was served."""

    died: dict[str, set[str]]
    served: dict[str, set[str]]
    captions: CaptionJobStatus
    model: RecModelStatus


@pytest.fixture(scope="module")
def survived(world: World) -> Survived:
    tuning = world.caption_job(NAME)["spec"]["fineTune"] | {"epochs": 2}
    world.kube.apply([world.caption_job(NAME, fineTune=tuning)])
    evaluation = {"controls": ["WithoutCaptions"], "gate": {"against": ["Serving"], "minDelta": -1}}
    world.kube.apply([world.rec_model(NAME, NAME, evaluation=evaluation)])
    died: dict[str, set[str]] = {}

    def kill_in(kind: str, stage: str) -> None:
        world.until_stage(kind, NAME, stage)
        died[stage] = world.job_uids(NAME)
        world.leader_changed(world.kill_operator())

    for kind, stage in PHASES[:-1]:
        kill_in(kind, stage)
    captions = world.until_stage("captionjob", NAME, "Complete")
    world.until_stage("recmodel", NAME, "Serving")
    served = {stage: world.job_uids(NAME) for _, stage in PHASES[:-1]}
    world.kube.patch("recmodel", NAME, world.namespace, {"spec": {"training": {"seed": 1}}})
    kill_in(*PHASES[-1])
    model = world.until_stage("recmodel", NAME, "Serving")
    served[PHASES[-1][1]] = world.job_uids(NAME)
    return Survived(died, served, captions, model)


@pytest.mark.parametrize("stage", [stage for _, stage in PHASES])
def test_what_ran_when_the_operator_died_was_not_begun_anew(survived: Survived, stage: str) -> None:
    assert survived.died[stage]
    assert survived.died[stage] <= survived.served[stage]


def test_every_item_has_exactly_one_caption(world: World, survived: Survived) -> None:
    items = world.context.data.table("items", ["item_id"])["item_id"].to_pylist()
    assert sorted(world.rows(NAME)) == sorted(items)
    assert survived.captions.items.done == len(items)


def test_no_stage_of_the_caption_job_ran_twice(world: World, survived: Survived) -> None:
    stages = [job["metadata"]["labels"]["fathom.dev/stage"] for job in world.jobs(NAME)]
    kinds = [job["metadata"]["labels"]["fathom.dev/kind"] for job in world.jobs(NAME)]
    own = [s for s, k in zip(stages, kinds, strict=True) if k.lower() == "captionjob"]
    assert len(own) == len(set(own)) == 4


def test_the_second_version_is_served(world: World, survived: Survived) -> None:
    assert survived.model.stable
    assert len(survived.model.history) == 2
    assert world.ingress(survived.model.url, NAME).versions(5) == {survived.model.stable.name: 5}


def test_a_killed_captioning_pod_costs_only_what_it_had_not_written(world: World) -> None:
    name = "one-pod-dies"
    world.kube.apply([world.caption_job(name, shards=1, **world.learned_at_length())])
    items = world.context.data.table("items", ["item_id"])["item_id"].to_pylist()
    halfway = world.until(
        "captionjob", name, lambda s: 0 < s.items.done < len(items), "some items are captioned"
    )
    [pod] = world.kube.list("pods", world.namespace, f"fathom.dev/name={name},fathom.dev/stage=caption")
    world.kube.delete("pod", pod["metadata"]["name"], world.namespace, "--grace-period=1")
    status = world.until_stage("captionjob", name, "Complete")
    assert halfway.items.done > 0
    assert 0 < status.items.reused < len(items)
    assert status.items.done == len(items)
    assert sorted(world.rows(name)) == sorted(items)
