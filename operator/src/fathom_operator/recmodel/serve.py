"""How versions are served: what is deployed, what is seen of it, and the candidate's next move; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fathom_api.recmodel import RolloutStatus, Serving, Version
from fathom_operator.analysis.decide import Command
from fathom_operator.kube.resources import INFERENCE_SERVICES, SERVICES, Obj
from fathom_operator.plan import Ref
from fathom_operator.platform import Platform
from fathom_operator.recmodel.observe import RecModelSeen
from fathom_operator.recmodel.predictor import (
    STAGE,
    knative_service,
    stable_service,
    standard_name,
    standard_service,
)
from fathom_operator.recmodel.rollout import Move, Sight, advance, at_once, begin
from fathom_operator.recmodel.services import ServiceView
from fathom_operator.times import seconds_since

#: How long the pods of the version before go on after the Service has left them, for requests under way.
_LINGER_SECONDS = 30.0


@dataclass(frozen=True)
class Situation:
    """What there is to serve: the stable version, the one before, a candidate with its rollout so far."""

    seen: RecModelSeen
    serving: Serving
    platform: Platform
    stable: Version | None = None
    before: Version | None = None
    candidate: Version | None = None
    rollout: RolloutStatus | None = None
    #: What people have told the rollout and it has not obeyed yet.
    command: Command | None = None


@dataclass(frozen=True)
class Served:
    """What shall be deployed, whether the stable version answers, where, and the candidate's `move`."""

    desired: tuple[Obj, ...] = ()
    delete: tuple[Ref, ...] = ()
    ready: bool = False
    url: str | None = None
    message: str = ""
    move: Move | None = None
    look_again: float | None = None


def serve(it: Situation) -> Served:
    """Return how the stable version is served and the candidate, if any, brought in beside it."""
    return _knative(it) if it.serving.mode == "Knative" else _standard(it)


def nothing(seen: RecModelSeen) -> Served:
    """Return a plan that serves nothing and removes what was served."""
    route = Ref(SERVICES.kind, seen.owner.name)
    return Served(
        delete=tuple(
            child for child in seen.children if child.kind == INFERENCE_SERVICES.kind or child == route
        )
    )


def _knative(it: Situation) -> Served:
    view = it.seen.services.get(it.seen.owner.name)
    if it.candidate is None:
        return _knative_stable(it, it.stable, view) if it.stable else nothing(it.seen)
    if it.stable is not None and not _may_canary(it, view, it.stable, it.candidate):
        back = _knative_stable(it, it.stable, view)
        waiting = f"{it.candidate.name} waits until {it.stable.name} has all requests. {back.message}".strip()
        return replace(back, message=waiting)
    move = _knative_move(it, view, it.candidate)
    return Served(
        desired=(
            knative_service(
                it.seen.owner,
                it.serving,
                it.candidate,
                it.platform,
                percent=move.percent,
                guide=it.seen.guide,
            ),
        ),
        ready=it.stable is not None and _answers(it.seen, view),
        url=view.url if view else None,
        message=move.message,
        move=move,
        look_again=move.look_again,
    )


def _knative_move(it: Situation, view: ServiceView | None, candidate: Version) -> Move:
    rollout = it.serving.rollout if it.stable is not None else at_once(it.serving.rollout)
    status = it.rollout or begin(rollout, it.seen.now)
    shown = it.seen.shown if it.seen.shown.candidate == candidate.name and it.rollout else None
    sight = _knative_sight(it.seen, view, candidate)
    return advance(status, rollout, sight, it.seen.now, shown=shown, command=it.command)


def _knative_stable(it: Situation, stable: Version, view: ServiceView | None) -> Served:
    """Return the stable version alone; after a candidate it comes back as a new revision.

    Until that one is ready the latest ready revision may be the rejected candidate's: it gets nothing
    meanwhile, and the revision that KServe remembers as rolled out everything.
    """
    latest = _version(it.seen, view.latest_ready) if view else None
    percent = None if latest in {None, stable.name} else 0
    return Served(
        desired=(
            knative_service(
                it.seen.owner, it.serving, stable, it.platform, percent=percent, guide=it.seen.guide
            ),
        ),
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


def _knative_sight(seen: RecModelSeen, view: ServiceView | None, candidate: Version) -> Sight:
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


def _standard(it: Situation) -> Served:
    owner = it.seen.owner
    versions = [version for version in (it.stable, it.candidate) if version is not None]
    isvcs = [
        standard_service(owner, it.serving, version, it.platform, guide=it.seen.guide) for version in versions
    ]
    move = None
    if it.candidate is not None:
        # The Service switches as a whole: a candidate that is ready has, so to say, all requests.
        sight = _standard_sight(it.seen, it.candidate)
        rollout = at_once(it.serving.rollout)
        status = it.rollout or begin(rollout, it.seen.now)
        move = advance(status, rollout, sight, it.seen.now, command=it.command)
    stable = _standard_sight(it.seen, it.stable) if it.stable else Sight(ready=False, percent=0)
    delete, linger = _standard_leftovers(it)
    return Served(
        desired=(*isvcs, *((stable_service(owner, it.stable),) if it.stable else ())),
        delete=delete,
        ready=stable.ready,
        url=f"http://{owner.name}.{owner.namespace}.svc" if it.stable else None,
        message=move.message if move else stable.message,
        move=move,
        look_again=min((s for s in (move.look_again if move else None, linger) if s), default=None),
    )


def _standard_sight(seen: RecModelSeen, version: Version) -> Sight:
    view = seen.services.get(standard_name(seen.owner, version))
    pods = [pod for pod in seen.pods if (pod.stage, pod.run) == (STAGE, version.name)]
    ready = view is not None and view.ready and any(pod.ready and not pod.deleting for pod in pods)
    problem = next((pod.problem.message for pod in pods if pod.problem), view.message if view else "")
    return Sight(ready, 100 if ready else 0, message=problem)


def _standard_leftovers(it: Situation) -> tuple[tuple[Ref, ...], float | None]:
    """Return what is served no more, and for how many seconds the version before lingers, if it does."""
    owner = it.seen.owner
    kept = {standard_name(owner, version) for version in (it.stable, it.candidate) if version}
    gone = [Ref(INFERENCE_SERVICES.kind, name) for name in it.seen.services if name not in kept]
    route = Ref(SERVICES.kind, owner.name)
    if it.stable is None and route in it.seen.children:
        gone.append(route)
    lingering = Ref(INFERENCE_SERVICES.kind, standard_name(owner, it.before)) if it.before else None
    since = it.stable.promoted_at if it.stable else None
    left = _LINGER_SECONDS - seconds_since(since, it.seen.now) if since else 0.0
    if left <= 0 or lingering not in gone:
        return tuple(gone), None
    # Only what was served has requests under way; a rejected candidate goes at once.
    return tuple(child for child in gone if child != lingering), left
