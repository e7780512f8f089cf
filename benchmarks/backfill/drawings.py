"""Omniglot as an episode: a small old model of half of the characters, a larger new one of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.backfill import networks, omniglot
from benchmarks.backfill.protocol import Episode, Trial, cached

NAME: Final = "Omniglot"
TRIALS: Final = ("held-out drawings", "unseen characters")
#: Draws from here on are for choosing settings; those that are reported are below.
TUNING: Final = 100


def about() -> str:
    """Return what the page says of the data and the models."""
    small, large = networks.SMALL, networks.LARGE
    return (
        "Drawings of 242 characters by twenty people each (Lake et al. 2015, the two small background sets; "
        f"50 characters that are in both count once), {omniglot.SIDE} × {omniglot.SIDE} pixels. 180 are "
        "known, 42 are seen by no model and no transform, 20 are for choosing settings. Of a known "
        "character 13 drawings train, 2 are for choosing, 5 are tested. **Old model**: convolutions of "
        f"{small.channels} channels, width {small.width}, trained on 90 of the known characters; **new "
        f"model**: {large.channels}, width {large.width}, on all 180. Both are softmax classifiers, "
        f"{small.epochs} epochs. Transforms learn from the training drawings' vectors and characters."
    )


def episode(data: Path, folder: Path, seed: int) -> Episode:
    """Return the draw of `seed`: from `TUNING` on with validation drawings and characters as trials."""
    held = cached(folder / f"omniglot-{seed}.npz", lambda: _vectors(data, folder, seed))
    kinds = ("validation", "unseen_validation") if seed >= TUNING else ("test", "unseen_test")
    return Episode(
        name=NAME,
        seed=seed,
        old=held["old_training"],
        new=held["new_training"],
        labels=held["labels_training"],
        trials={
            trial: Trial.of_classes(held[f"old_{kind}"], held[f"new_{kind}"], held[f"labels_{kind}"])
            for trial, kind in zip(TRIALS, kinds, strict=True)
        },
    )


def _vectors(data: Path, folder: Path, seed: int) -> dict[str, NDArray[Any]]:
    read = cached(
        folder / f"omniglot-{omniglot.SIDE}.npz", lambda: {"drawings": omniglot.read(data / "omniglot_small")}
    )
    draw = omniglot.split(read["drawings"], seed)
    old = networks.train(draw.training.only(draw.old), networks.SMALL, 2 * seed)
    new = networks.train(draw.training, networks.LARGE, 2 * seed + 1)
    made: dict[str, NDArray[Any]] = {}
    for kind in ("training", "validation", "test", "unseen_validation", "unseen_test"):
        part: omniglot.Part = getattr(draw, kind)
        made |= {
            f"old_{kind}": networks.embed(old, part),
            f"new_{kind}": networks.embed(new, part),
            f"labels_{kind}": np.asarray(part.labels),
        }
    return made
