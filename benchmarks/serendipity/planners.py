"""The planner's table for a stage: taught, asked about all pairs, kept in a folder and not made again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from benchmarks.serendipity.variants import Variant
from benchmarks.serendipity.world import Stage
from fathom.serendipity import bulk, measuring, opening, small_planner, teaching, transitions
from fathom.serendipity.bulk import Planned
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.planning import Decoding
from fathom.serendipity.spread import spread
from fathom.serendipity.table import MOST, Table
from fathom.serendipity.teaching import Teaching
from fathom_api.tasks import AnyModel

_FREE: Final = 200


@dataclass(frozen=True)
class Made:
    """A planner's answers, their table, and what answers were worth without constraint."""

    planned: Planned
    table: Table
    exact_match: float | None
    losses: list[float]


def make(folder: Path, found: Stage, variant: Variant, epochs: int, seed: int) -> Made:
    """Return the table of `variant` for `found`."""
    torch.set_num_threads(1)
    named = found.clusters if variant.named else _numbered(found.clusters)
    lessons = transitions.learn_from(
        transitions.consecutive(found.journeys, variant.reach), named, per_target=10_000
    )
    settings = Teaching(epochs=epochs, patience=1, batch_size=64, learning_rate=3e-3, seed=seed)
    logging.info("%s: %d transitions to learn from", variant.name, len(lessons.train))
    output = folder / "planner"
    version = teaching.teach(
        AnyModel(uri=small_planner.URI), lessons, named, output, settings, variant.style, _tell
    )
    planner = opening.open_planner(
        AnyModel(uri=str(version.path)), named, decoding=Decoding(samples=MOST, batch=256)
    )
    bulk.run(folder / "plans", planner, named, told=lambda c: logging.info("%s pairs", c))
    free = planner.drawing(Decoding(samples=1, constrained=False))
    pairs = bulk.all_pairs(named)
    some = [pairs[n] for n in spread(len(pairs), _FREE)]
    about = opening.read_about(version.path)
    planned = bulk.collect(folder / "plans", planner, named)
    said = measuring.freely(free, named, some)
    return Made(
        planned,
        planned.table(named),
        said.exact_match if said else None,
        [epoch["validationLoss"] for epoch in about.curve] if about else [],
    )


def _tell(numbers: dict[str, float]) -> None:
    logging.debug("%s", numbers)


def _numbered(clusters: Clusters) -> Clusters:
    plain = [c.model_copy(update={"name": f"interest {c.id}", "keywords": []}) for c in clusters.finest]
    return replace(clusters, levels=[*clusters.levels[:-1], plain])
