"""What the operator does about an InterestMap: step by step to a table, judged, then shown to rankers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from builders.maps import STEPS, catalogue, mapping, told, verdict
from builders.seen import (
    PLATFORM,
    broken,
    carried_out,
    condition,
    done,
    ended,
    halted,
    job,
    later,
    pod,
    report,
    stage_of,
    stuck,
    suspended,
    with_job_status,
)

from fathom_api.progress import Outcome
from fathom_operator.catalogues import CatalogueSeen
from fathom_operator.interestmap.decide import decide
from fathom_operator.interestmap.observe import InterestMapSeen
from fathom_operator.plan import Key, Plan

MONTHLY: dict[str, Any] = {"spec__schedule": {"fineTune": "0 3 1 * *", "bulk": "0 3 * * *"}}
SERVED: dict[str, Any] = {"spec__serving": {"recModel": "movies"}}


def plan_of(seen: InterestMapSeen) -> Plan:
    return decide(seen, PLATFORM)


def command(plan: Plan) -> str:
    return job(plan)["spec"]["template"]["spec"]["containers"][0]["args"][0]


def task(plan: Plan) -> dict[str, Any]:
    [config_map] = [child for child in plan.desired if child["kind"] == "ConfigMap"]
    return json.loads(config_map["data"]["task.json"])


def step(seen: InterestMapSeen, outcome: Outcome | None = None) -> InterestMapSeen:
    """Return what is seen when the Job that is wanted now has been made and is complete."""
    plan = plan_of(seen)
    name = job(plan)["metadata"]["name"]
    return ended(carried_out(seen, plan), name, "Complete", [done(name, outcome or told(command(plan)))])


def upto(what: str, seen: InterestMapSeen) -> InterestMapSeen:
    """Return what is seen when all steps before `what` are done."""
    while command(plan_of(seen)) != what:
        seen = step(seen)
    return seen


def published(seen: InterestMapSeen | None = None, **changes: Any) -> InterestMapSeen:
    """Return an InterestMap whose table is served."""
    seen = step(upto("publish", seen or mapping(**changes)))
    return carried_out(seen, plan_of(seen))


def respecified(seen: InterestMapSeen, *, generation: int = 2, **changes: Any) -> InterestMapSeen:
    """Return what is seen once the spec has been changed."""
    fresh = mapping(seen.obj["status"], of=seen.catalogue, now=seen.now, generation=generation, **changes)
    return replace(fresh, children=seen.children, jobs=seen.jobs, pods=seen.pods)


def commands(seen: InterestMapSeen) -> list[str]:
    """Return what is done until nothing is left to do."""
    found: list[str] = []
    while any(child["kind"] == "Job" for child in plan_of(seen).desired):
        found.append(command(plan_of(seen)))
        seen = step(seen)
    return found


class TestSteps:
    """Each is a Job of one command, and begins when the one before is done."""

    def test_they_come_in_order_and_end_in_a_table_that_is_served(self) -> None:
        assert commands(mapping()) == list(STEPS)
        plan = plan_of(published())
        assert stage_of(plan) == ("Published", "Published")
        assert condition(plan, "Ready")["status"] == condition(plan, "Published")["status"] == "True"

    @pytest.mark.parametrize(
        ("what", "stage"),
        [
            ("cluster", "Clustering"),
            ("transitions", "Transitions"),
            ("plan-train", "Training"),
            ("plan-bulk", "Planning"),
            ("gate", "Gating"),
            ("publish", "Publishing"),
        ],
    )
    def test_the_stage_says_which(self, what: str, stage: str) -> None:
        plan = plan_of(upto(what, mapping()))
        assert plan.status["stage"] == stage
        assert condition(plan, "Reconciling")["status"] == "True"

    def test_the_status_tells_what_they_counted(self) -> None:
        status = plan_of(published()).status
        assert (status["clusters"], status["transitions"]) == (60, 900)
        assert status["pairs"] == {"total": 3540, "planned": 3540, "rejected": 4}
        assert (status["exactMatch"], status["recall"], status["novelty"]) == (0.97, 0.05, 1.0)
        assert status["table"]["name"] == status["run"]["table"]
        assert status["lastRefresh"] == "2026-01-31T12:00:00Z"
        assert status["reportUri"].startswith("pvc://data/discover/reports/t-")

    def test_a_model_says_what_clusters_are_about_where_it_is_asked_to(self) -> None:
        seen = mapping(spec__understanding={"media": 2})
        assert commands(seen) == ["cluster", "understand", *STEPS[1:]]
        asked = task(plan_of(upto("understand", seen)))
        assert asked["model"]["uri"] == "pvc://models/captioner"
        assert asked["source"]["uri"] == "pvc://media/items.parquet"

    def test_a_planner_that_is_trained_elsewhere_is_not_trained(self) -> None:
        seen = mapping(spec__planner={"model": "pvc://models/planner"})
        assert "plan-train" not in commands(seen)

    def test_pairs_are_planned_in_shards(self) -> None:
        seen = mapping(spec__inference={"shards": 4, "parallelism": 2})
        wanted = job(plan_of(upto("plan-bulk", seen)))["spec"]
        assert (wanted["completions"], wanted["parallelism"]) == (4, 2)
        assert wanted["completionMode"] == "Indexed"

    def test_parallelism_may_change_while_pairs_are_planned(self) -> None:
        seen = upto("plan-bulk", mapping(spec__inference={"shards": 4}))
        before = job(plan_of(seen))["metadata"]["name"]
        faster = respecified(seen, spec__inference={"shards": 4, "parallelism": 4})
        assert job(plan_of(faster))["metadata"]["name"] == before

    def test_only_what_asks_a_model_gets_a_gpu(self) -> None:
        seen = mapping(spec__template={"resources": {"limits": {"nvidia.com/gpu": 1, "cpu": 1}}})
        found: dict[str, bool] = {}
        for what in STEPS:
            seen = upto(what, seen)
            container = job(plan_of(seen))["spec"]["template"]["spec"]["containers"][0]
            found[what] = "nvidia.com/gpu" in container["resources"]["limits"]
        assert [what for what, gpu in found.items() if gpu] == ["plan-train", "plan-bulk", "gate"]

    def test_progress_of_the_step_at_work_is_told(self) -> None:
        seen = upto("plan-bulk", mapping())
        plan = plan_of(seen)
        name = job(plan)["metadata"]["name"]
        working = with_job_status(carried_out(seen, plan), name, [pod(name)], active=1)
        said = report(total=3540, done=885, metrics={"rejected": 7.0})
        status = plan_of(replace(working, reports={f"uid-{name}-0": said})).status
        assert (status["percent"], status["pairs"]["planned"], status["pairs"]["rejected"]) == (25, 885, 7)


class TestGates:
    """A table that a gate refuses is not served."""

    REFUSED = told("gate", verdict(), verdict("ExactMatch", "Halt", "12 % of answers are names"))

    def test_the_status_says_which_and_why(self) -> None:
        seen = step(upto("gate", mapping()), self.REFUSED)
        plan = plan_of(seen)
        assert stage_of(plan) == ("Rejected", "GateFailed")
        assert not plan.desired
        assert "12 % of answers are names" in condition(plan, "GatePassed")["message"]
        assert plan.status["rejected"][0]["name"] == plan.status["run"]["table"]
        assert "table" not in plan.status

    def test_the_table_before_stays_and_is_said_to(self) -> None:
        before = published()
        name = before.status.table.name if before.status.table else ""
        seen = respecified(before, spec__clusters={"counts": [5, 30]})
        plan = plan_of(step(upto("gate", seen), self.REFUSED))
        assert plan.status["table"]["name"] == name != plan.status["run"]["table"]
        assert f"{name} is served meanwhile" in condition(plan, "Stalled")["message"]

    def test_it_is_compared_with_the_table_served(self) -> None:
        before = published()
        assert before.status.table is not None
        seen = respecified(before, spec__clusters={"counts": [5, 30]})
        assert task(plan_of(seen))["previous"] == before.status.table.clusters_uri
        assert task(plan_of(upto("gate", seen)))["previous"] == before.status.table.uri

    def test_other_gates_judge_again_without_planning(self) -> None:
        seen = step(upto("gate", mapping()), self.REFUSED)
        seen = carried_out(seen, plan_of(seen))
        assert commands(respecified(seen, spec__gates={"minExactMatch": 0.1})) == ["gate", "publish"]

    def test_keeping_the_best_answers_judges_another_table_without_planning(self) -> None:
        best = {
            "spec__inference": {"best": 3},
            "spec__interactions": {"uri": "pvc://data/interactions.parquet", "satisfaction": "watched"},
        }
        every = upto("gate", mapping())
        seen = respecified(every, **best)
        asked, before = task(plan_of(seen)), task(plan_of(every))
        assert asked["kind"] == "GateTask"
        assert (asked["best"], asked["interactions"]["satisfaction"]) == (3, "watched")
        assert asked["plans"] == before["plans"]
        assert asked["output"] != before["output"]

    def test_what_was_lost_with_its_pod_is_measured_again(self) -> None:
        seen = upto("gate", mapping())
        plan = plan_of(seen)
        name = job(plan)["metadata"]["name"]
        again = plan_of(ended(carried_out(seen, plan), name, "Complete"))
        assert ("Job", name) in again.delete
        assert again.status["stage"] == "Gating"


class TestServing:
    """Rankers see the table by a folder that says which."""

    def test_how_much_users_see_is_published_with_it(self) -> None:
        explore = {"share": "20%", "maxPerUser": 2}
        seen = upto("publish", mapping(spec__serving={"recModel": "movies", "explore": explore}))
        asked = task(plan_of(seen))
        assert asked["output"] == "pvc://data/discover/current"
        assert (asked["explore"]["share"], asked["explore"]["maxPerUser"]) == ("20%", 2)

    def test_another_share_publishes_again_and_makes_nothing_anew(self) -> None:
        seen = published(**SERVED)
        changed = respecified(seen, spec__serving={"recModel": "movies", "explore": {"share": "5%"}})
        assert commands(changed) == ["publish"]

    def test_a_table_that_is_pinned_is_served_and_back_again(self) -> None:
        first = published(**SERVED)
        assert first.status.table is not None
        name = first.status.table.name
        second = published(respecified(first, **SERVED, spec__inference={"samples": 5}))
        assert [t.name for t in second.status.tables][1] == name
        pinned = respecified(
            second,
            spec__serving={"recModel": "movies", "table": name},
            spec__inference={"samples": 5},
        )
        assert task(plan_of(pinned))["table"].endswith(name)
        back = published(pinned)
        assert back.status.table is not None
        assert back.status.table.name == name
        assert "as spec.serving.table says" in condition(plan_of(back), "Ready")["message"]
        assert commands(respecified(back, **SERVED, spec__inference={"samples": 5})) == ["publish"]

    def test_a_pin_on_nothing_is_told_with_what_there_is(self) -> None:
        seen = published(**SERVED)
        assert seen.status.table is not None
        plan = plan_of(respecified(seen, spec__serving={"recModel": "movies", "table": "t-00000000"}))
        assert stage_of(plan)[1] == "InvalidSpec"
        assert seen.status.table.name in condition(plan, "Stalled")["message"]

    def test_the_ranker_is_told_when_there_is_a_table_first(self) -> None:
        seen = step(upto("publish", mapping(**SERVED)))
        ranker = Key("RecModel", "shop", "movies")
        plan = plan_of(seen)
        assert plan.wakes == {ranker}
        assert ranker in plan.waits_for
        assert not plan_of(carried_out(seen, plan)).wakes

    def test_a_ranker_that_is_not_there_is_no_failure(self) -> None:
        plan = plan_of(replace(published(**SERVED), ranker=False))
        assert stage_of(plan) == ("Published", "Published")
        assert "there is no RecModel movies" in condition(plan, "Ready")["message"]

    def test_a_ranker_has_one_guide(self) -> None:
        plan = plan_of(mapping(rival="other", **SERVED))
        assert stage_of(plan)[1] == "InvalidSpec"
        assert "guided by InterestMap other already" in condition(plan, "Stalled")["message"]
        assert Key("InterestMap", "shop", "other") in plan.waits_for, "once that one is gone this one guides"


class TestRefresh:
    """On schedule, or when people ask."""

    def test_the_next_time_is_told(self) -> None:
        plan = plan_of(published(**MONTHLY))
        assert plan.status["nextRefresh"] == "2026-02-01T03:00:00Z"
        assert plan.look_again == 15 * 3600

    def test_a_fine_tuning_makes_all_anew(self) -> None:
        seen = replace(published(**MONTHLY), now=later(days=1))
        assert commands(seen) == list(STEPS)

    def test_a_bulk_refresh_keeps_clusters_and_planner(self) -> None:
        seen = published(spec__schedule={"bulk": "0 3 * * *"})
        again = replace(seen, now=later(days=1))
        assert commands(again) == ["transitions", "plan-bulk", "gate", "publish"]
        assert published(again).status.tables[0].name != seen.status.tables[0].name

    def test_and_asks_the_planner_what_it_learned_before(self) -> None:
        seen = published(spec__schedule={"bulk": "0 3 * * *"})
        first = task(plan_of(upto("plan-bulk", mapping(spec__schedule={"bulk": "0 3 * * *"}))))
        again = task(plan_of(upto("plan-bulk", replace(seen, now=later(days=1)))))
        assert again["trained"] == first["trained"]
        assert again["transitions"] != first["transitions"]

    def test_nothing_begins_while_something_is_under_way(self) -> None:
        seen = upto("plan-bulk", mapping(**MONTHLY))
        plan = plan_of(replace(seen, now=later(days=9)))
        assert command(plan) == "plan-bulk"
        assert plan.look_again == 30

    def test_new_captions_are_used_by_the_next_fine_tuning(self) -> None:
        newer = catalogue(digest=f"sha256:{'b' * 64}")
        seen = replace(published(**MONTHLY), catalogue=newer)
        assert not plan_of(seen).desired
        plan = plan_of(replace(seen, now=later(days=1)))
        assert task(plan)["captions"]["digest"] == f"sha256:{'b' * 64}"

    def test_people_may_ask_once(self) -> None:
        seen = published()
        asked = replace(seen, obj=mapping(seen.obj["status"], retry="now").obj)
        plan = plan_of(asked)
        assert command(plan) == "cluster"
        assert plan.status["run"]["retry"] == "now"
        assert commands(carried_out(asked, plan)) == list(STEPS)

    @pytest.mark.parametrize(
        ("schedule", "words"),
        [
            ({"bulk": "61 3 * * *"}, "spec.schedule.bulk: 61 3 * * * is no schedule"),
            ({"bulk": "0 3 * * *", "timeZone": "Mars/Base"}, "there is no time zone Mars/Base"),
        ],
    )
    def test_a_schedule_that_is_none_is_told_at_once(self, schedule: dict[str, str], words: str) -> None:
        plan = plan_of(mapping(spec__schedule=schedule))
        assert stage_of(plan)[1] == "InvalidSpec"
        assert words in condition(plan, "Stalled")["message"]


class TestTrouble:
    """What is wrong is said, with what to do."""

    def test_without_the_caption_job_nothing_begins(self) -> None:
        plan = plan_of(replace(mapping(), catalogue=None))
        assert stage_of(plan) == ("Pending", "MissingCaptionJob")
        assert plan.waits_for == {Key("CaptionJob", "shop", "catalog")}

    def test_it_waits_for_captions(self) -> None:
        waiting = CatalogueSeen("catalog", catalogue().spec, stage="Captioning", message="3 of 9 items")
        plan = plan_of(mapping(of=waiting))
        assert stage_of(plan) == ("Pending", "WaitingForCaptions")
        assert "3 of 9 items" in condition(plan, "Ready")["message"]

    def test_a_claim_that_is_not_there_is_named(self) -> None:
        plan = plan_of(mapping(missing_claims=frozenset({"data"})))
        assert stage_of(plan) == ("Pending", "MissingClaim")
        assert plan.look_again == 10

    def test_a_failed_step_is_told_in_the_words_of_its_pod(self) -> None:
        seen = mapping()
        plan = plan_of(seen)
        name = job(plan)["metadata"]["name"]
        words = Outcome(result="Failed", reason="TooFewItems", message="9 items are too few for 60 clusters")
        plan = plan_of(ended(carried_out(seen, plan), name, "Failed", [broken(name, words, 65)]))
        assert stage_of(plan) == ("Failed", "TooFewItems")
        assert "9 items are too few" in condition(plan, "Stalled")["message"]

    def test_and_tried_again_when_asked(self) -> None:
        seen = upto("transitions", mapping())
        plan = plan_of(seen)
        name = job(plan)["metadata"]["name"]
        failed = ended(carried_out(seen, plan), name, "Failed", [broken(name)])
        failed = carried_out(failed, plan_of(failed))
        asked = replace(failed, obj=mapping(failed.obj["status"], retry="again").obj)
        plan = plan_of(asked)
        assert command(plan) == "transitions"
        assert job(plan)["metadata"]["name"] != name
        assert "endTime" not in plan.status["run"]
        done_again = published(carried_out(asked, plan))
        assert not [child for child in plan_of(done_again).desired if child["kind"] == "Job"]

    def test_a_pod_that_does_not_start_is_told(self) -> None:
        seen = mapping()
        plan = plan_of(seen)
        name = job(plan)["metadata"]["name"]
        seen = with_job_status(carried_out(seen, plan), name, [stuck(name, "Unschedulable", "0/1 nodes")])
        assert "0/1 nodes" in condition(plan_of(seen), "Ready")["message"]

    def test_a_queue_is_waited_for(self) -> None:
        seen = mapping(spec__queueName="gpus")
        plan = plan_of(seen)
        queued = suspended(carried_out(seen, plan), job(plan)["metadata"]["name"])
        assert stage_of(plan_of(queued)) == ("Clustering", "Queued")

    def test_suspension_halts_the_job_and_ends_with_it(self) -> None:
        seen = upto("plan-bulk", mapping())
        plan = plan_of(seen)
        name = job(plan)["metadata"]["name"]
        stopped = respecified(carried_out(seen, plan), spec__suspend=True)
        plan = plan_of(stopped)
        assert stage_of(plan) == ("Suspended", "Suspended")
        assert job(plan)["spec"]["suspend"] is True
        on = respecified(halted(carried_out(stopped, plan), name), generation=3)
        assert "suspend" not in job(plan_of(on))["spec"]

    def test_jobs_of_an_earlier_spec_go(self) -> None:
        seen = mapping()
        plan = plan_of(seen)
        name = job(plan)["metadata"]["name"]
        plan = plan_of(respecified(carried_out(seen, plan), spec__clusters={"counts": [30]}))
        assert ("Job", name) in plan.delete
