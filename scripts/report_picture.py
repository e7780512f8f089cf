#!/usr/bin/env python
"""Makes the documentation's picture of a caption report, in a real browser: docs/images/caption-report.png.

    PYTHONPATH=tests:examples .venv/bin/python scripts/report_picture.py

The pictures are Debian's tuxpaint-stamps (GPL-2). So that the page looks the same for everybody, without a
GPU, the captions are the labels that people gave the stamps, and their times are made up; the report is real.
"""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from browser import pictures
from builders import captioned
from builders.captioned import Clip, Pictured, Shelf
from PIL import Image

from demo.data import stamps
from fathom.report import captions
from fathom.report.pictures import Album
from fathom_api.tasks import FeaturiseTask

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "caption-report.png"
_NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
_BROKEN = {
    "NotAnImage": "not an image of a known format",
    "DamagedImage": "the image cannot be decoded: image file is truncated (8 bytes not processed)",
    "MediaNotFound": "stamps/lost.png: no such file beside pvc://media/stamps",
}
TASK = {
    "source": {"uri": "pvc://media/stamps"},
    "output": "pvc://features/stamps",
    "run": 2,
    "model": {
        "uri": "hf://llava-hf/llava-1.5-7b-hf",
        "prompts": [
            {"name": "subject", "prompt": "What does this picture show?"},
            {"name": "kind", "prompt": "What kind of thing is it?"},
        ],
    },
}


def example(root: Path) -> Path:
    """Write a run over the stamps below `root`, and its report; return where that is."""
    chance = random.Random(0)  # noqa: S311 - a picture, not a secret
    table = stamps.make()[0].items.to_pylist()
    shelf = Shelf([Pictured(n, row["item_id"], _media(n, row)) for n, row in enumerate(table)])
    broken = {row["item_id"]: list(_BROKEN)[n % 3] for n, row in enumerate(table) if n % 40 == 7}
    said = [
        s for n, row in enumerate(table) if row["item_id"] not in broken for s in _sayings(n, row, chance)
    ]
    errors = [captioned.error(item, reason, _BROKEN[reason]) for item, reason in broken.items()]
    store = captioned.write(root / "run", said, errors, [_earlier(n, row) for n, row in enumerate(said)])
    for aspect in store.aspects:
        own = {row["item_id"]: _words(row["caption"]) for row in said if row["aspect"] == aspect}
        captioned.write_features(root, own, aspect)
    task = FeaturiseTask.model_validate(TASK)
    captions.write(root, task, store, open_album=lambda _: Album(shelf, captioned.decode), now=lambda: _NOW)
    return root / captions.PATH


def _media(number: int, row: dict[str, Any]) -> Any:
    picture = Image.open(io.BytesIO(row["image"]))
    if number % 11 != 3:
        return picture
    zoom = [picture.crop((n * 8, n * 8, 224 - n * 8, 224 - n * 8)).resize((224, 224)) for n in range(6)]
    return Clip(tuple(zoom), tuple(n * 1.5 for n in range(6)))


def _sayings(number: int, row: dict[str, Any], chance: random.Random) -> list[dict[str, Any]]:
    made_at = _NOW.timestamp() - 900 + number * 1.4 + 40 * chance.random()
    subject, kind = str(row["title"]).rstrip(".").lower(), str(row["genres"]).replace("|", ", ")
    return [
        captioned.caption(
            row["item_id"],
            text,
            aspect=aspect,
            tokens=round(1.4 * len(text.split())) + 1,
            milliseconds=chance.lognormvariate(5.4, 0.3),
            made_at=made_at,
        )
        for aspect, text in (("subject", subject), ("kind", kind))
    ]


def _earlier(number: int, row: dict[str, Any]) -> dict[str, Any]:
    words = str(row["caption"]).split()
    changed = row["aspect"] == "subject" and number % 12 == 0
    return {**row, "caption": " ".join(["a", "picture", "of", *words[-2:]] if changed else words)}


def _words(caption: str) -> list[str]:
    words = [word.strip(",.()") for word in caption.split()]
    return list(dict.fromkeys(w for w in words if len(w) > 2 and w not in {"the", "and", "with"}))


if __name__ == "__main__":
    pictures.main(__doc__, PICTURE, example)
