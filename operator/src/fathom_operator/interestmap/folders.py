"""Where each step of an InterestMap's run leaves what it makes: named by all that it is made from; pure.

A folder's name changes when something that it depends on does, and only then. So a changed gate judges anew
without training, and another clustering begins all over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fathom_api import InterestMapSpec
from fathom_api.captionjob import Artifact
from fathom_operator.claims import join
from fathom_operator.digests import short


@dataclass(frozen=True)
class Folders:
    """The folders of a run; `summaries` and `planner` are None where there is nothing of the kind."""

    clusters: str
    summaries: str | None
    transitions: str
    #: What the planner learned from: those of the run that trained it.
    lessons: str
    planner: str | None
    plans: str
    #: The table's name, and its folder.
    name: str
    table: str
    report: str


def folders(
    spec: InterestMapSpec, captions: Artifact, *, fine_tunes: int, bulks: int, model: object = None
) -> Folders:
    """Return the folders of the run that the schedule and people have begun so often.

    `model` says which model describes the clusters. `bulks` are those since the latest fine-tuning.
    """
    root = spec.output.uri
    interactions = liked(spec)
    clusters = short(
        [captions.document(), spec.captions.aspect, interactions, spec.clusters.document(), fine_tunes]
    )
    understanding = spec.understanding
    summaries = short([clusters, understanding.document(), model]) if understanding else None
    per_target = spec.planner.fine_tune.per_target if spec.planner.fine_tune else None
    lessons, transitions = (short([clusters, interactions, per_target, n]) for n in (0, bulks))
    # What is learned is learned once a fine-tuning: planning anew uses the planner there is.
    planner = (
        short([clusters, summaries, interactions, spec.planner.document()])
        if spec.planner.fine_tune
        else None
    )
    banned = list(spec.gates.banned)
    plans = short(
        [transitions, summaries, planner or spec.planner.document(), spec.inference.samples, banned]
    )
    best = spec.inference.best
    table = f"t-{short(plans if best is None else [plans, best, spec.interactions.satisfaction])}"
    return Folders(
        clusters=join(root, "clusters", clusters),
        summaries=join(root, "summaries", summaries) if summaries else None,
        transitions=join(root, "transitions", transitions),
        lessons=join(root, "transitions", lessons),
        planner=join(root, "planners", planner) if planner else None,
        plans=join(root, "plans", plans),
        name=table,
        table=join(root, "tables", table),
        report=join(root, "reports", table),
    )


def liked(spec: InterestMapSpec) -> dict[str, Any]:
    """Return the interactions without who was satisfied: that decides which answers are kept, no more."""
    return spec.interactions.model_copy(update={"satisfaction": None}).document()
