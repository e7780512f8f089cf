"""One run: models' vectors in, every method's figures out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fathom.backfill import METHODS, fit, order
from fathom.backfill.arrays import Bools, Floats, Ints, unit
from fathom.backfill.curves import BETAS, Curve, curve
from fathom.backfill.merging import plain, scored

#: Those that are told what belongs together, those that are not, those that train nothing.
ARMS: Final = tuple(METHODS)
FIGURES: Final = ("map", "cmc1", "cmc5", "recall")


@dataclass(frozen=True)
class Trial:
    """Items that are both queries and gallery.

    Attributes:
        old, new: their vectors, [n, d_old] and [n, d_new].
        relevant: bool [n, n], false on the diagonal.
    """

    old: Floats
    new: Floats
    relevant: Bools

    @classmethod
    def of_classes(cls, old: Floats, new: Floats, labels: Ints) -> Trial:
        """Return a trial in which items of a class should find each other."""
        same = labels[:, None] == labels[None, :]
        np.fill_diagonal(same, val=False)
        return cls(unit(old), unit(new), same)


@dataclass(frozen=True)
class Episode:
    """What one draw of the data and the models comes to.

    Attributes:
        name: of the data set and the pair of models.
        seed: of the draw.
        old, new, labels: what methods learn from, in rows; labels as `fit` takes them.
        trials: what they are judged on, by name.
    """

    name: str
    seed: int
    old: Floats
    new: Floats
    labels: NDArray[Any] | None
    trials: dict[str, Trial]


class Results:
    """Rows of figures in a file: what is there is not measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []
        if path.is_file():
            self.rows = [json.loads(line) for line in path.read_text().splitlines()]

    def has(self, data: str, seed: int, method: str) -> bool:
        """Return whether this has been measured."""
        wanted = (data, seed, method)
        return any((r["data"], r["seed"], r["method"]) == wanted for r in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Keep `row`, on disk too."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.rows.append(row)


def measure(
    made: Episode, results: Results, tell: Callable[[str], None], methods: tuple[str, ...] = ARMS
) -> None:
    """Fit and judge every method of `methods` that `results` have not got yet."""
    for method in methods:
        if results.has(made.name, made.seed, method):
            continue
        began = time.process_time()
        fitted = fit(
            method, made.old, made.new, made.labels,
            from_digest=digest(made.old), to_digest=digest(made.new), seed=made.seed, validation=0,
        )  # fmt: skip
        seconds = time.process_time() - began
        row: dict[str, Any] = {"data": made.name, "seed": made.seed, "method": method, "seconds": seconds}
        for name, trial in made.trials.items():
            own = np.arange(len(trial.old), dtype=np.int64)
            scores = scored(fitted, trial.old, trial.new, trial.new, trial.old, own=own)
            row[name] = described(
                curve(
                    scores,
                    plain(trial.old, trial.old, own=own),
                    plain(trial.new, trial.new, own=own),
                    trial.relevant,
                    order("Random", len(own), seed=made.seed),
                )
            )
        results.add(row)
        gains = ", ".join(f"{name} {row[name]['gain_map']:.2f}" for name in made.trials)
        tell(f"{made.name}, seed {made.seed}, {method}: relative gain {gains}; {seconds:.0f} s")


def described(found: Curve) -> dict[str, Any]:
    """Return the figures of a curve as JSON can hold them."""
    row: dict[str, Any] = {"betas": list(BETAS), "flips": found.flips()}
    for figure in FIGURES:
        row[figure] = found.values(figure)
        row[f"old_{figure}"], row[f"new_{figure}"] = found.old.means()[figure], found.new.means()[figure]
        row[f"area_{figure}"] = found.area(figure)
        row[f"gain_{figure}"] = found.relative_gain(figure)
        row[f"drop_{figure}"] = found.largest_drop(figure)
    return row


def digest(vectors: Floats) -> str:
    """Return a digest for a model that is known by its vectors only."""
    return f"sha256:{hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()}"


def cached(path: Path, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return the arrays at `path`, made first if they are not there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial.npz")
        np.savez(temporary, **make())
        temporary.replace(path)
    with np.load(path) as held:
        return {name: held[name] for name in held.files}


def rows_of(results: Results, data: str, trial: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each method with its rows of `trial`, seeds ascending."""
    for method in ARMS:
        found = [r for r in results.rows if r["data"] == data and r["method"] == method and trial in r]
        if found:
            yield method, [r[trial] for r in sorted(found, key=lambda r: r["seed"])]
