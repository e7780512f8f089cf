#!/usr/bin/env python
"""Makes the documentation's picture of an interest map, in a real browser: docs/images/interest-map.png.

    PYTHONPATH=tests:examples .venv/bin/python scripts/interest_map_picture.py

The pictures are Debian's tuxpaint-stamps (GPL-2), their captions the labels that people gave them, and the
people who like them are simulated (`examples/demo/data/simulate.py`). Clusters, planner, plans, gates and
report are real.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from browser import pictures
from builders.catalogues import captioned
from builders.interests import World

from demo.data import stamps
from fathom.interests import bulk, clustering, gating, training, transitions
from fathom_api.meta import ApiModel

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "interest-map.png"
_COUNTS = (5, 18)


def example(root: Path) -> Path:
    """Make the interests of the stamps and where they lead below `root`, and return where the report is."""
    tables = stamps.make()[0]
    rows = tables.items.to_pylist()
    said = {r["item_id"]: f"{r['genres'].replace('|', ' ')} {r['title'].rstrip('.').lower()}" for r in rows}
    captioned(root / "catalogue", said)
    pq.write_table(tables.items, root / "items.parquet")
    liked = tables.interactions.rename_columns({"liked": "label"})
    pq.write_table(liked, root / "interactions.parquet")
    task = World(root, _COUNTS).tasks()
    clustering.cluster(task["cluster"])
    transitions.transitions(task["transitions"])
    plain = {"prompt": {"chainOfThought": False}, "fineTune": {"epochs": 6, "learningRate": 3e-3}}
    training.plan_train(_with(task["plan-train"], planner=plain))
    asked = {"planner": plain, "samples": 10}
    bulk.plan_bulk(_with(task["plan-bulk"], **asked), 0)
    gating.gate(_with(task["gate"], **asked))
    return root / "report" / "index.html"


def _with(task: ApiModel, **changes: object) -> Any:
    return type(task).model_validate({**task.document(), **changes})


if __name__ == "__main__":
    pictures.main(__doc__, PICTURE, example)
