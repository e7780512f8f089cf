"""From training's results to the bundle's parts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from torch import Tensor

from fathom.ranking import fingerprints, history, split
from fathom.ranking.bundle import BundleInfo, Parts
from fathom.ranking.checkpoint import State
from fathom.ranking.prepare import Prepared
from fathom_api.recmodel import Training
from fathom_api.tasks import TrainTask

#: Parts of `training` that say where it runs, which is no part of what comes out.
PLACE: Final = {"template", "backoff_limit", "queue_name", "nodes", "launcher", "max_restarts"}

#: Tables of the data, as `made_from` names them.
TABLES: Final = ("interactions", "items", "users")


def program() -> str:
    """Return the program and its version."""
    return f"fathom {version('fathom-workloads')}"


def info(
    task: TrainTask,
    prepared: Prepared,
    state: State,
    weights: dict[str, Tensor],
    made_from: Mapping[str, str],
) -> BundleInfo:
    """Return what the bundle is."""
    data = task.data
    return BundleInfo(
        created_by=program(),
        arm=task.arm,
        model=task.model,
        features=prepared.features,
        label=data.label,
        user_column=data.user_column,
        item_column=data.item_column,
        split=data.split,
        split_digest=split.digest(prepared.interactions, prepared.parts),
        data={name: made_from[name] for name in TABLES if name in made_from},
        caption_features=prepared.caption_digests,
        training=Training.model_validate(task.training.model_dump(exclude=PLACE)),
        sizes={**_sizes(prepared), "parameters": sum(w.numel() for w in weights.values())},
        metrics=state.curve[state.best - 1],
        curve=state.curve,
    )


def parts(prepared: Prepared, weights: dict[str, Tensor]) -> Parts:
    """Return what the bundle holds."""
    events = prepared.interactions
    latest = history.latest(events, prepared.features.history)
    histories: list[list[str]] = [[] for _ in prepared.users.names]
    rows = prepared.users.rows()
    for user, liked in zip(events.users, latest, strict=True):
        histories[rows[user] - 1] = liked
    return Parts(
        weights=weights,
        items=prepared.items,
        users=prepared.users,
        histories=histories,
        vocabularies=prepared.vocabularies,
        training_rows=fingerprints.sample(events.hashes, prepared.parts == split.TRAIN),
    )


def summary(prepared: Prepared) -> str:
    """Return the sizes of the data in a sentence."""
    sizes = _sizes(prepared)
    unusable = sum(prepared.interactions.unusable.values())
    listed = ", ".join(f"{sizes[name]:,} {name}" for name in split.PARTS)
    return (
        f"{sizes['users']:,} users, {sizes['items']:,} items, interactions: {listed}, {unusable:,} unusable"
    )


def _sizes(prepared: Prepared) -> dict[str, int]:
    counts = {name: int((prepared.parts == number).sum()) for number, name in enumerate(split.PARTS)}
    return {"users": len(prepared.users.names), "items": len(prepared.items.names), **counts}
