"""The RecModel: train, judge, serve; then its second version, canary step by canary step."""

from __future__ import annotations

from dataclasses import dataclass

from demo import manifests, words
from demo.context import Context, DemoError
from demo.kube import KubeError
from demo.steps.ask import Ingress, IngressError
from demo.timeline import Timeline
from demo.waiting import wait_for
from fathom_api.recmodel import RecModelStatus

TIMEOUT = 2400.0
_PROBES = 20


@dataclass(frozen=True)
class Seen:
    """A RecModel as it was found: the generation of its spec, and a status that speaks of it."""

    generation: int
    status: RecModelStatus


def status(context: Context) -> Seen | None:
    """Return the RecModel's status, if it speaks of the spec as it is now."""
    found = context.kube.find("recmodel", manifests.REC_MODEL, context.namespace)
    seen = RecModelStatus.model_validate((found or {}).get("status") or {})
    generation = found["metadata"]["generation"] if found else 0
    return Seen(generation, seen) if found and seen.observed_generation == generation else None


def timeline(context: Context) -> Timeline:
    """Return the timeline of the RecModel, begun if there is none."""
    if not context.kube.find("recmodel", manifests.REC_MODEL, context.namespace):
        context.kube.apply(manifests.load("recmodel", context.namespace))
    found = context.kube.find("recmodel", manifests.REC_MODEL, context.namespace)
    uid = found["metadata"]["uid"] if found else ""
    return Timeline(context.out / "timeline.json", uid, words.now)


def first_version(context: Context, timeline: Timeline) -> RecModelStatus:
    """Return the status once a version is served."""
    seen = wait_for("the model is served", lambda: _look(context, timeline), timeout=TIMEOUT, every=1)
    _tell(context, seen)
    return seen


def second_version(context: Context, timeline: Timeline, ingress: Ingress) -> RecModelStatus:
    """Return the status once the second version is served."""
    context.kube.patch("recmodel", manifests.REC_MODEL, context.namespace, manifests.second_version())
    shares = _Shares(context, ingress)

    def look() -> RecModelStatus | None:
        seen = _look(context, timeline)
        found = status(context)
        if found:
            shares.probe(found.status)
        return seen

    seen = wait_for("the second version is served", look, timeout=TIMEOUT, every=1)
    _tell(context, seen)
    return seen


def _look(context: Context, timeline: Timeline) -> RecModelStatus | None:
    found = status(context)
    if found is None:
        return None
    seen = found.status
    timeline.note(seen)
    context.view.live(words.ranking(seen))
    wrong = words.stalled(seen.conditions)
    if wrong:
        raise DemoError(f"RecModel {manifests.REC_MODEL}: {wrong}")
    # KServe tells the address a moment after the model is ready.
    return seen if seen.stage == "Serving" and seen.url else None


def _tell(context: Context, seen: RecModelStatus) -> None:
    context.view.show(words.metrics(seen.metrics))
    who = "simulated people" if context.data.about.simulated else "real people"
    if seen.caption_lift is not None:
        context.view.say(
            f"   captions give {seen.caption_lift:+.4f} AUC on {context.data.about.items_are} the ranker "
            f"has never seen ({who})"
        )
    for gate in seen.gates:
        context.view.say(f"   gate: {gate.verdict}, {gate.message}")
    if seen.stable:
        context.view.say(f"   {seen.stable.name} is served at {seen.url}")


class _Shares:
    """Asks the ingress at each weight of the canary which version answers."""

    def __init__(self, context: Context, ingress: Ingress) -> None:
        self._context = context
        self._ingress = ingress
        self._asked: set[tuple[int, int]] = set()

    def probe(self, seen: RecModelStatus) -> None:
        """Ask some times, once at each step, when its weight holds."""
        rollout = seen.rollout
        if not rollout or not rollout.step_started_at or (rollout.step, rollout.weight) in self._asked:
            return
        try:
            answers = self._ingress.versions(_PROBES)
        except (IngressError, KubeError) as error:
            # The next look asks again: the canary is judged by the operator, this only shows it.
            self._context.view.say(f"   the ingress did not answer: {error}")
            return
        self._asked.add((rollout.step, rollout.weight))
        shown = ", ".join(f"{count} by {version}" for version, count in sorted(answers.items()))
        self._context.view.say(f"   canary at {rollout.weight} %: {_PROBES} requests answered, {shown}")
