"""A small catalogue of captioned items, and users who move from one interest to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from builders.catalogues import captioned
from fathom_api.interest_tasks import (
    ClusterTask,
    GateTask,
    PlanBulkTask,
    PlanTrainTask,
    PublishTask,
    TransitionsTask,
)

#: What items of each interest show, in words that their captions share.
THEMES: Final = ("rocket space star", "monster dark blood", "pony rainbow flower", "soup kitchen spoon",
                 "engine race wheel", "forest river bear")  # fmt: skip


#: So many of them are what users are satisfied with.
SATISFYING: Final = 3


@dataclass(frozen=True)
class World:
    """Tables and captions below a folder, and the tasks that use them, one after the other."""

    folder: Path
    counts: tuple[int, ...] = (6,)

    def at(self, name: str) -> str:
        """Return a place below the folder."""
        return str(self.folder / name)

    def tasks(self, best: int | None = None, **gates: Any) -> dict[str, Any]:
        """Return the task of each step; of each pair's answers the `best` are kept, all where it is None."""
        satisfying = {**self._liked, "satisfaction": "satisfied"}
        kept = {} if best is None else {"best": best, "interactions": satisfying}
        clusters, transitions = self.at("clusters"), self.at("transitions")
        # A short answer is soon learned: what a thought is worth is not tested here.
        planner = {
            "prompt": {"chainOfThought": False},
            "fineTune": {"epochs": 15, "patience": 15, "batchSize": 16, "learningRate": 5e-3},
        }
        taught = {"planner": planner, "trained": self.at("planner"), "samples": 3}
        return {
            "cluster": ClusterTask.model_validate(
                {
                    "captions": {"output": self.at("catalogue")},
                    "interactions": self._liked,
                    "clusters": {"counts": list(self.counts), "balance": 3},
                    "output": clusters,
                }
            ),
            "transitions": TransitionsTask.model_validate(
                {"clusters": clusters, "interactions": self._liked, "output": transitions}
            ),
            "plan-train": PlanTrainTask.model_validate(
                {
                    "clusters": clusters,
                    "transitions": transitions,
                    "planner": planner,
                    "output": self.at("planner"),
                }
            ),
            "plan-bulk": PlanBulkTask.model_validate(
                {"clusters": clusters, "transitions": transitions, **taught, "output": self.at("plans")}
            ),
            "gate": GateTask.model_validate(
                {
                    **kept,
                    "clusters": clusters,
                    "transitions": transitions,
                    "plans": self.at("plans"),
                    **taught,
                    "gates": gates,
                    "source": {"uri": self.at("items.parquet")},
                    "name": "t-0000beef",
                    "output": self.at("tables/t-0000beef"),
                    "report": self.at("report"),
                }
            ),
            "publish": PublishTask.model_validate(
                {"table": self.at("tables/t-0000beef"), "output": self.at("current")}
            ),
        }

    @property
    def _liked(self) -> Mapping[str, Any]:
        return {"uri": self.at("interactions.parquet")}


def make_world(folder: Path, *, each: int = 10, users: int = 80, seed: int = 0) -> World:
    """Write items of six themes, `each` of every one, their captions, and what `users` liked, to `folder`.

    A user begins somewhere and goes on to the next theme most of the time: so (n, n + 1) leads to n + 2.
    Items of the first three themes satisfy, those of the others do not.
    """
    draw = np.random.default_rng(seed)
    names = [f"i{theme}-{n}" for theme in range(len(THEMES)) for n in range(each)]
    captions = {name: " ".join(draw.permutation(THEMES[int(name[1])].split()).tolist()) for name in names}
    folder.mkdir(parents=True, exist_ok=True)
    captioned(folder / "catalogue", captions)
    pictures = [_picture(int(name[1])) for name in names]
    pq.write_table(pa.table({"item_id": names, "image": pictures}), folder / "items.parquet")
    rows: list[tuple[str, str, int, float]] = []
    for user in range(users):
        theme = int(draw.integers(len(THEMES)))
        for step in range(5):
            rows.append((f"u{user}", f"i{theme}-{draw.integers(each)}", 1, user + 100.0 * step))
            theme = (theme + (1 if draw.random() < 0.9 else 3)) % len(THEMES)
        rows.append((f"u{user}", f"i{draw.integers(len(THEMES))}-0", 0, user + 7.0))
    columns = zip(*rows, strict=True)
    table = dict(zip(("user_id", "item_id", "label", "timestamp"), map(list, columns), strict=True))
    table["satisfied"] = [int(int(item[1]) < SATISFYING) for item in table["item_id"]]
    pq.write_table(pa.table(table), folder / "interactions.parquet")
    return World(folder)


def _picture(theme: int) -> bytes:
    out = BytesIO()
    Image.new("RGB", (32, 24), (40 * theme, 255 - 40 * theme, 90)).save(out, "PNG")
    return out.getvalue()
