"""CaptionJobs on their way: planned, captioning, captioned, complete."""

from __future__ import annotations

import json
from typing import Any

from builders.outcomes import captioned, featurised, planned
from builders.seen import PLATFORM, captioning, carried_out, done, ended, job
from fathom_api.progress import Outcome
from fathom_operator.captionjob.decide import decide
from fathom_operator.captionjob.observe import CaptionJobSeen
from fathom_operator.plan import Plan


def plan_of(seen: CaptionJobSeen) -> Plan:
    """Return what is decided."""
    return decide(seen, PLATFORM)


def name_of(plan: Plan) -> str:
    """Return the name of the one Job that a plan wants."""
    return job(plan)["metadata"]["name"]


def task_of(plan: Plan) -> dict[str, Any]:
    """Return the task of the one Job that a plan wants."""
    [config_map] = [child for child in plan.desired if child["kind"] == "ConfigMap"]
    return json.loads(config_map["data"]["task.json"])


def step(seen: CaptionJobSeen, *outcomes: Outcome) -> CaptionJobSeen:
    """Return what is seen when the next Job has been made and done, with an outcome for each of its pods."""
    plan = plan_of(seen)
    name = name_of(plan)
    pods = [done(name, outcome, index) for index, outcome in enumerate(outcomes)]
    return ended(carried_out(seen, plan), name, "Complete", pods, succeeded=len(outcomes))


def planning(outcome: Outcome, **changes: Any) -> tuple[CaptionJobSeen, Plan]:
    """Return a CaptionJob whose plan is done, and what is decided then."""
    seen = step(captioning(**changes), outcome)
    return seen, plan_of(seen)


def begin(plan: Outcome | None = None, **changes: Any) -> tuple[CaptionJobSeen, Plan]:
    """Return a CaptionJob whose plan is done, and what makes its first other Job.

    A plan that says nothing of its items is one whose pod was gone before anybody looked.
    """
    return planning(plan or planned(total=0), **changes)


def begun(plan: Outcome | None = None, **changes: Any) -> tuple[CaptionJobSeen, str]:
    """Return a CaptionJob whose first Job after the plan has been made, and that Job's name."""
    seen, decided = begin(plan, **changes)
    return carried_out(seen, decided), name_of(decided)


def captioned_and(*outcomes: Outcome, **changes: Any) -> CaptionJobSeen:
    """Return a CaptionJob whose caption Job is complete with these outcomes."""
    seen, _ = begin(spec__shards=len(outcomes), **changes)
    return step(seen, *outcomes)


def completed(*outcomes: Outcome, **changes: Any) -> CaptionJobSeen:
    """Return a CaptionJob that is complete, and its status written."""
    seen = step(captioned_and(*(outcomes or (captioned(),)), **changes), featurised())
    return carried_out(seen, plan_of(seen))
