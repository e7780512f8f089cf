"""What judging a rollout needs in the cluster: Jobs that check the candidate, and the record of it all."""

from __future__ import annotations

from fathom_operator.kube.resources import Obj
from fathom_operator.plan import Plan, Ref
from fathom_operator.platform import Platform
from fathom_operator.recmodel.observe import RecModelSeen, checks_of
from fathom_operator.recmodel.record import desired


def judging(seen: RecModelSeen, plan: Plan, platform: Platform) -> tuple[tuple[Obj, ...], tuple[Ref, ...]]:
    """Return the objects that shall be beside those of `plan`, and those that shall go."""
    kept = desired(seen.owner, seen.shown.kept, seen.shown.trail, seen.children, seen.now)
    rollout = seen.spec.serving.rollout if seen.spec and seen.spec.serving else None
    checks = checks_of(seen.owner, rollout, seen.status, seen.pods) if rollout else None
    before, after = seen.status.rollout, plan.status.get("rollout")
    if checks is None or before is None or after is None:
        return kept, ()
    # A step that ends now needs no check any more.
    jobs = checks.jobs(platform) if after["step"] == before.step else ()
    return (*jobs, *kept), checks.leftovers(seen.checks)
