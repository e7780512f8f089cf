"""Serving in Knative mode: one InferenceService, whose revisions share the requests; pure.

KServe sends what the latest revision does not get to the one that it remembers as rolled out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fathom_api.recmodel import Version
from fathom_operator.analysis.decide import Sight
from fathom_operator.recmodel.budgets import budgets, superfluous
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.predictor import knative_service
from fathom_operator.recmodel.services import ServiceView
from fathom_operator.recmodel.situation import Served, Situation, nothing

#: Knative stops the pods of a revision that gets no requests, so that while it bakes stable keeps some.
_KEPT: Final = 1


def knative(it: Situation) -> Served:
    """Return how the stable version is served and the candidate, if any, brought in beside it."""
    view = it.seen.services.get(it.seen.owner.name)
    if it.candidate is None:
        return _stable(it, it.stable, view) if it.stable else nothing(it.seen)
    if it.stable is not None and not _may_canary(it, view, it.stable, it.candidate):
        back = _stable(it, it.stable, view)
        waiting = f"{it.candidate.name} waits until {it.stable.name} has all requests. {back.message}".strip()
        return replace(back, message=waiting)
    move = it.move(_sight(it.seen, view, it.candidate), kept=_KEPT)
    service = knative_service(
        it.seen.owner, it.serving, it.candidate, it.platform, percent=move.percent, guide=it.seen.guide
    )
    return Served(
        desired=(service, *budgets(it)),
        delete=superfluous(it),
        ready=it.stable is not None and _answers(it.seen, view),
        url=view.url if view else None,
        message=move.message,
        move=move,
        look_again=move.look_again,
    )


def _stable(it: Situation, stable: Version, view: ServiceView | None) -> Served:
    """Return the stable version alone; after a candidate it comes back as a new revision.

    Until that one is ready the latest ready revision may be the rejected candidate's: it gets nothing
    meanwhile, and the revision that KServe remembers as rolled out everything.
    """
    latest = _version(it.seen, view.latest_ready) if view else None
    percent = None if latest in {None, stable.name} else 0
    service = knative_service(
        it.seen.owner, it.serving, stable, it.platform, percent=percent, guide=it.seen.guide
    )
    return Served(
        desired=(service, *budgets(it)),
        delete=superfluous(it),
        ready=_answers(it.seen, view),
        url=view.url if view else None,
        message=view.message if view else "",
    )


def _may_canary(it: Situation, view: ServiceView | None, stable: Version, candidate: Version) -> bool:
    """Return whether the requests the candidate does not get would go to the stable version.

    KServe gives them to the revision it remembers as rolled out. Before a rollout begins that must be the
    stable one, and the latest one too; while it goes on KServe can slip back to an older one
    (kserve#1968, #2130), and then we begin anew.
    """
    if view is None:
        return False
    rolled_out, latest = _version(it.seen, view.rolled_out), _version(it.seen, view.latest_ready)
    if view.version == candidate.name and it.rollout is not None:
        return rolled_out in {stable.name, candidate.name}
    return view.version == stable.name and view.percent is None and rolled_out == latest == stable.name


def _sight(seen: RecModelSeen, view: ServiceView | None, candidate: Version) -> Sight:
    if view is None or view.version != candidate.name:
        return Sight(ready=False, percent=0)
    percent = sum(p for name, p in view.traffic.items() if _version(seen, name) == candidate.name)
    latest = seen.revisions.get(view.latest_ready or "")
    made_of = (candidate.name, candidate.digest or "")
    ready = latest is not None and latest.ready and (latest.version, latest.digest) == made_of
    created = seen.revisions.get(view.latest_created or "")
    ours = created is not None and created.version == candidate.name and not created.ready
    message = created.message if created and ours else view.message
    return Sight(ready, percent, message=message)


def _answers(seen: RecModelSeen, view: ServiceView | None) -> bool:
    """Return whether a revision with requests is ready, and where is known.

    `Ready` of the whole speaks of the latest only, and the address may come a moment after the revision.
    """
    if view is None or view.url is None:
        return False
    return any(p > 0 and (r := seen.revisions.get(name)) and r.ready for name, p in view.traffic.items())


def _version(seen: RecModelSeen, revision: str | None) -> str | None:
    view = seen.revisions.get(revision or "")
    return view.version if view else None
