"""From captions and interactions to a published table: each step reads what the ones before have left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.interests import SATISFYING, THEMES, World, make_world

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.interests import bulk, clustering, current, gating, publishing, training, transitions
from fathom.serendipity import measuring
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.measuring import Freely
from fathom.serendipity.table import NONE, Table
from fathom.serendipity.transitions import Lessons
from fathom_api.meta import ApiModel
from fathom_api.progress import Outcome

STEPS: dict[str, Callable[[Any], Outcome]] = {
    "cluster": clustering.cluster,
    "transitions": transitions.transitions,
    "plan-train": training.plan_train,
    "plan-bulk": lambda task: bulk.plan_bulk(task, 0),
    "gate": gating.gate,
    "publish": publishing.publish,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def outcomes(world: World) -> dict[str, Outcome]:
    """The last words of each step, done one after the other."""
    tasks = world.tasks(minExactMatch=0.5, minCoverage=0.2)
    return {name: step(tasks[name]) for name, step in STEPS.items()}


def test_clusters_are_the_themes_that_captions_and_users_share(
    world: World, outcomes: dict[str, Outcome]
) -> None:
    clusters = Clusters.read(world.folder / "clusters")
    assert outcomes["cluster"].progress.metrics["clusters"] == len(THEMES)
    together = {tuple(sorted(i for i, c in zip(clusters.items, clusters.own, strict=True) if c == own))
                for own in range(len(THEMES))}  # fmt: skip
    assert together == {tuple(sorted(f"i{theme}-{n}" for n in range(10))) for theme in range(len(THEMES))}


def test_transitions_to_learn_from_lie_before_those_to_measure_on(
    world: World, outcomes: dict[str, Outcome]
) -> None:
    lessons = Lessons.read(world.folder / "transitions", Clusters.read(world.folder / "clusters"))
    assert lessons.train.time.max() <= lessons.validation.time.min()
    assert outcomes["transitions"].progress.metrics["train"] == len(lessons.train)


def test_every_ordered_pair_is_planned_once(outcomes: dict[str, Outcome]) -> None:
    progress = outcomes["plan-bulk"].progress
    assert progress.total == progress.done == len(THEMES) * (len(THEMES) - 1)


def test_recall_is_of_what_users_did_after_what_the_planner_learned(
    world: World, outcomes: dict[str, Outcome]
) -> None:
    clusters = Clusters.read(world.folder / "clusters")
    later = Lessons.read(world.folder / "transitions", clusters).validation
    table = Table.read(world.folder / "tables" / "t-0000beef")
    hits = [
        target in table.targets[first, second, :5]
        for first, second, target in zip(later.first, later.second, later.target, strict=True)
    ]
    assert outcomes["gate"].progress.metrics["recall"] == pytest.approx(sum(hits) / len(hits))


def test_no_target_is_one_of_its_pair(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["gate"].progress.metrics["novelty"] == 1


def test_the_gates_say_what_they_measured_in_the_outcome_and_beside_the_table(
    world: World, outcomes: dict[str, Outcome]
) -> None:
    said = {verdict.gate: verdict.verdict for verdict in outcomes["gate"].verdicts}
    assert {"ExactMatch", "Recall", "Novelty", "SelfRepeat", "Coverage", "Pairs"} == {*said}
    told = json.loads((world.folder / "tables" / "t-0000beef" / gating.VERDICTS).read_text())
    assert {v["gate"]: v["verdict"] for v in told["verdicts"]} == said


def test_the_last_words_fit_a_termination_message(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        assert len(outcome.model_dump_json(by_alias=True).encode()) <= 4096


def test_rankers_find_the_table_that_was_published(world: World, outcomes: dict[str, Outcome]) -> None:
    named = current.read(world.folder / "current")
    assert named is not None
    assert named.digest == outcomes["gate"].digest == outcomes["publish"].digest
    assert Path(named.table) == world.folder / "tables" / "t-0000beef"


@pytest.mark.parametrize("name", ["cluster", "transitions", "plan-bulk", "gate"])
def test_a_step_that_is_done_leaves_what_it_made_alone(
    world: World, outcomes: dict[str, Outcome], name: str
) -> None:
    folders = [world.folder / each for each in ("clusters", "transitions", "plans", "tables")]
    written = lambda: {  # noqa: E731
        path: path.stat().st_mtime_ns
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.name != gating.VERDICTS
    }
    before = written()
    again = STEPS[name](world.tasks(minExactMatch=0.5, minCoverage=0.2)[name])
    assert written() == before
    assert again.digest == outcomes[name].digest


def test_the_report_is_one_page_with_pictures_gates_and_journeys(
    world: World, outcomes: dict[str, Outcome]
) -> None:
    page = (world.folder / "report" / "index.html").read_text()
    assert page.count('<article class="card"') == len(THEMES)
    assert "data:image/webp" in page
    assert "<script" not in page
    for part in ("ExactMatch", "Leads on to", "Journeys", "went on to"):
        assert part in page


def test_a_gate_that_is_not_passed_is_told_and_the_table_is_there_to_look_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "freely", lambda *_: Freely(exact_match=1.0, self_repeat=0.5))
    outcome = gating.gate(world.tasks()["gate"])
    verdicts = {verdict.gate: verdict for verdict in outcome.verdicts}
    assert verdicts["SelfRepeat"].verdict == "Fail"
    assert verdicts["SelfRepeat"].value == 0.5
    assert len(Table.read(world.folder / "tables" / "t-0000beef").ids) == len(THEMES)


def test_banned_words_are_planned_for_nobody(world: World, outcomes: dict[str, Outcome]) -> None:
    names = [cluster.name for cluster in Clusters.read(world.folder / "clusters").finest]
    tasks = world.tasks(banned=[names[0]])
    banned = tasks["plan-bulk"].model_copy(update={"banned": [names[0]]})
    bulk.plan_bulk(banned, 0)
    told = tasks["gate"].model_copy(update={"output": world.at("tables/t-0000dead"), "name": "t-0000dead"})
    verdicts = {verdict.gate: verdict.verdict for verdict in gating.gate(told).verdicts}
    table = Table.read(world.folder / "tables" / "t-0000dead")
    assert verdicts["Safety"] == "Pass"
    assert not (table.targets == 0).any()


def test_a_planner_that_is_told_where_users_went_lately_is_gated_by_what_it_planned(
    world: World, outcomes: dict[str, Outcome], tmp_path: Path
) -> None:
    """One that comes taught, of whatever make, is asked in sentences, and those tell recent moves."""
    given = {"planner": {"model": world.at("planner")}, "samples": 3, "plans": str(tmp_path / "plans")}
    tasks = world.tasks()
    bulk.plan_bulk(_with(tasks["plan-bulk"], planner=given["planner"], output=given["plans"]), 0)
    gate = _with(tasks["gate"], **given, output=str(tmp_path / "t-0"), report=str(tmp_path / "report"))
    progress = gating.gate(gate).progress
    assert progress.total == progress.done == len(THEMES) * (len(THEMES) - 1)


def _with(task: ApiModel, **changes: Any) -> Any:
    """Return the task with other values, of a planner that nobody has taught."""
    return type(task).model_validate({**task.document(), "trained": None, **changes})


def test_a_gate_before_all_is_planned_says_so(world: World, tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    task = world.tasks()["gate"].model_copy(update={"plans": str(tmp_path / "plans")})
    with pytest.raises(InvalidInputError, match="30 of 30 pairs are not planned yet"):
        gating.gate(task)


def test_a_table_that_is_damaged_is_not_published(world: World, tmp_path: Path) -> None:
    task = world.tasks()["publish"].model_copy(
        update={"table": str(tmp_path / "t-1"), "output": str(tmp_path / "current")}
    )
    with pytest.raises(InvalidInputError):
        publishing.publish(task)
    assert current.read(tmp_path / "current") is None


def test_an_aspect_that_the_captions_do_not_have_is_told_with_those_they_have(world: World) -> None:
    task = world.tasks()["cluster"]
    wrong = task.model_copy(update={"captions": task.captions.model_copy(update={"aspect": "mood"})})
    with pytest.raises(InvalidInputError, match="no aspect mood, only caption"):
        clustering.cluster(wrong)


def test_of_a_pairs_answers_those_that_satisfy_are_kept(world: World, outcomes: dict[str, Outcome]) -> None:
    task = world.tasks(best=1, minExactMatch=0.5, minCoverage=0.1)["gate"]
    kept = task.model_copy(
        update={"output": world.at("tables/t-0000best"), "report": world.at("report-best")}
    )
    outcome = gating.gate(kept)
    every, best = (Table.read(world.folder / "tables" / name) for name in ("t-0000beef", "t-0000best"))
    assert best.targets.shape == every.targets.shape
    off_diagonal = ~np.eye(len(best.ids), dtype=bool)
    assert (best.targets[off_diagonal][:, 1:] == NONE).all()
    assert outcome.progress.metrics["satisfaction_agreement"] > 0
    clusters = Clusters.read(world.folder / "clusters")
    satisfying = {
        own for item, own in zip(clusters.items, clusters.own, strict=True) if int(item[1]) < SATISFYING
    }

    def share(table: Table) -> float:
        first = table.targets[off_diagonal][:, 0]
        return float(np.isin(first[first != NONE], list(satisfying)).mean())

    assert share(best) > share(every)


def test_the_table_of_the_best_answers_says_which_column_they_are_the_best_by(
    world: World, outcomes: dict[str, Outcome]
) -> None:
    folder = world.folder / "tables" / "t-column"
    task = world.tasks(best=1, minExactMatch=0.5, minCoverage=0.1)["gate"]
    gating.gate(task.model_copy(update={"output": str(folder), "report": world.at("report-column")}))

    seal = manifest.read(folder)

    assert seal is not None
    assert (seal.made_from["best"], seal.made_from["satisfaction"]) == ("1", "satisfied")
