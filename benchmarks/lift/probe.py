"""What the captioner's frozen encoder knows of genres and decades, by a ridge regression.

`python -m benchmarks.lift.probe --data FOLDER` looks only at posters of films that are not in MovieLens-100K,
a fifth of them held out, and prints the mean AUC over genres and over decades of each part of what is seen.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.lift import captioner, sources
from fathom.captioning.models.vision import CHANNELS
from fathom.ranking import metrics

HELD_OUT: Final = 0.2
#: Strengths of the ridge; each part is told with the best of them.
STRENGTHS: Final = (0.3, 1.0, 3.0, 10.0, 30.0)
#: Labels of fewer held-out posters are left out: their AUC is noise.
LEAST: Final = 5
Floats = NDArray[np.float64]


def main() -> None:
    """Look, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("FATHOM_DATA"))
    parser.add_argument("--folder", type=Path, default=Path("build/lift"))
    options = parser.parse_args()
    if options.data is None:
        raise SystemExit("name the folder that holds movielens-posters: --data FOLDER, or FATHOM_DATA")
    found = captioner.dataset(options.folder, options.data)
    pairs = found.table("pairs", ["image", "caption"])
    genres, decades = labels(pairs["caption"].to_pylist())
    seen = _kept(options.folder / "probe.npy", pairs["image"].to_pylist())
    held_out = np.random.default_rng(0).permutation(len(seen)) < HELD_OUT * len(seen)
    parts = {"last map": slice(CHANNELS), "style": slice(CHANNELS, None), "both": slice(None)}
    for name, part in parts.items():
        x = seen[:, part]
        print(f"{name}: genres {best(x, genres, held_out):.3f}, decades {best(x, decades, held_out):.3f}")


def labels(captions: list[str]) -> tuple[Floats, Floats]:
    """Return which genres [n, G] and which decade [n, D] each caption names, as 0 and 1."""
    named = [re.fullmatch(r"(.*) film of the (\d+)s", caption) for caption in captions]
    rows = [(set(m[1].split(", ")), m[2]) for m in named if m]
    genres = sorted(set[str]().union(*(own for own, _ in rows)))
    decades = sorted({decade for _, decade in rows})
    return (
        np.array([[float(genre in own) for genre in genres] for own, _ in rows]),
        np.array([[float(decade == known) for known in decades] for _, decade in rows]),
    )


def best(x: NDArray[Any], labels: Floats, held_out: NDArray[np.bool_]) -> float:
    """Return the best mean AUC over columns of `labels` [n, L] of a ridge from `x` [n, W], standardised."""
    learned = ~held_out
    scale = (x[learned].std(axis=0) + 1e-3) * np.sqrt(x.shape[1])
    z = (x - x[learned].mean(axis=0)) / scale
    own, across = z[learned] @ z[learned].T, z[held_out] @ z[learned].T
    wanted = labels[learned] - labels[learned].mean(axis=0)
    measured = np.flatnonzero(labels[held_out].sum(axis=0) >= LEAST)
    found: list[float] = []
    for strength in STRENGTHS:
        scores = across @ np.linalg.solve(own + strength * np.eye(len(own)), wanted)
        aucs = [metrics.auc(labels[held_out, n], scores[:, n]) for n in measured]
        found.append(float(np.mean(aucs)))
    return max(found)


def _kept(path: Path, pictures: list[bytes]) -> Floats:
    if not path.is_file():
        np.save(path, sources.seen(pictures))
    return np.load(path).astype(np.float64)


if __name__ == "__main__":
    main()
