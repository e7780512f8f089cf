"""The page: tables and plots of what was measured, and how to measure it again."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Final

from benchmarks import evidence
from benchmarks.lift import captioner, plots, sources
from benchmarks.lift.arms import ARMS, CAPTIONS
from benchmarks.lift.matrix import Matrix
from benchmarks.lift.runs import SETTINGS
from benchmarks.lift.summary import RESAMPLES, SLICES, Difference, Row

NAME: Final = "lift.md"
_TITLES: Final = {
    "ItemCold": "Unseen items: 20 % of the films, three draws",
    "Random": "Random split",
    "Time": "Time split: the latest 10 % of the ratings",
}
_COLUMNS: Final = (
    "arm", "AUC", "SD", "Δ to none", "relative", "RelaImpr", "Δ to shuffled",
    "GAUC", "NE", "log loss", "id dropout",
)  # fmt: skip
_INTRO: Final = """# What captions give a ranker: MovieLens-100K and its posters

Made by `python -m benchmarks.lift`; do not edit. {machine}, one thread, shared with other work (that changes
times, not figures).

**Data.** {interactions:,} ratings of {items:,} films by {users} people (MovieLens-100K, of films whose
poster we have); the label is a rating of four stars or more. **Captioner.** `fathom://small-llava`,
fine-tuned on {pairs:,} posters of films that are *not* in MovieLens-100K, with sentences of genres and
decade. It captions MovieLens-100K's posters from their pixels alone: {samples} samples each; a token weighs
the share of the samples that hold it. **Ranker.** DCN V2 with `pooling: Weighted` and user profiles from
history, trained by the product's own trainer. All arms have the same {parameters:,} parameters: each has
tables for caption tokens, metadata, semantic ids and vectors, and what an arm is not told is empty.
**Shuffled** gives each film the tokens of another one: what it gains is not meaning. **Tuning.** Id dropout
({settings}) was chosen for each arm alike, by validation AUC of the first seed on the first draw. Training
stops by validation AUC. No choice was made on test rows.

ΔAUC is the mean over draws and {seeds} seeds each; in brackets the 95 % interval, paired bootstrap over
users ({resamples} resamples). *Relative* is of the AUC, *RelaImpr* of AUC − ½.
GAUC: AUC of each user, weighted by rows. NE: log loss over that of the base rate. SD: of the AUC over seeds.
"""


def write(folder: Path, matrix: Matrix, tables: dict[str, list[Row]]) -> None:
    """Write the page and its plots into `folder`; splits without a finished arm are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_intro(matrix, tables)]
    for strategy, rows in tables.items():
        if not rows:
            continue
        plots.write(folder / f"lift-{strategy.lower()}.svg", _TITLES[strategy], rows)
        parts += [_section(strategy, rows, f"lift-{strategy.lower()}.svg")]
    parts += [_verdict(tables), _missing(tables), _again()]
    (folder / NAME).write_text("\n".join(parts))


def _intro(matrix: Matrix, tables: dict[str, list[Row]]) -> str:
    sizes = {n: matrix.found.table(n).num_rows for n in ("interactions", "items", "users", "pairs")}
    first = next(row for rows in tables.values() for row in rows)
    told = json.loads(sources.describe(matrix.known.captions))
    return (
        _INTRO.format(
            **sizes,
            machine=machine(),
            samples=captioner.SAMPLES,
            parameters=first.parameters,
            settings=", ".join(f"{s.id_dropout:g}" for s in SETTINGS),
            seeds=matrix.seeds,
            resamples=RESAMPLES,
        )
        + f"\nCaption tokens: vocabulary {told['vocabulary']}, {told['tokens']:.1f} tokens a film, "
        + f"together of weight {told['weight']:.1f}.\n"
    )


def machine() -> str:
    """Return the processor's name and count."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.processor()


def _section(strategy: str, rows: list[Row], plot: str) -> str:
    table = evidence.table(
        list(_COLUMNS),
        [
            [
                row.arm,
                f"{row.means['auc']:.4f}",
                f"{row.spread:.4f}",
                delta(row.over_none),
                f"{row.over_none.relative:+.2%}" if row.over_none else "",
                f"{row.over_none.rela_impr:+.1%}" if row.over_none else "",
                delta(row.over_shuffled),
                f"{row.means['gauc']:.4f}",
                f"{row.means['ne']:.4f}",
                f"{row.means['log_loss']:.4f}",
                row.setting,
            ]
            for row in rows
        ],
    )
    slices = evidence.table(
        ["AUC by how often training saw the film", *SLICES],
        [[row.arm, *(f"{row.slices[n]:.4f}" if n in row.slices else "" for n in SLICES)] for row in rows],
    )
    draws = _draws(rows)
    return f"\n## {_TITLES[strategy]}\n\n![AUC of each arm]({plot})\n\n{table}\n{draws}\n{slices}"


def _draws(rows: list[Row]) -> str:
    if not rows or not rows[-1].over_none or len(rows[-1].over_none.draws) < 2:
        return ""
    listed = [
        [row.arm, *(f"{d:+.4f}" for d in row.over_none.draws), *_against(row.over_shuffled)]
        for row in rows
        if row.over_none
    ]
    count = len(rows[-1].over_none.draws)
    head = [f"Δ to {name}, draw {n + 1}" for name in ("none", "shuffled") for n in range(count)]
    return "\n" + evidence.table(["arm", *head], listed)


def _against(found: Difference | None) -> list[str]:
    return [f"{d:+.4f}" for d in found.draws] if found else []


def delta(found: Difference | None) -> str:
    """Return a difference with its interval."""
    return f"{found.auc:+.4f} ({found.low:+.4f} … {found.high:+.4f})" if found else ""


def _verdict(tables: dict[str, list[Row]]) -> str:
    """Say for each arm and split whether it helps, by the intervals alone."""
    lines = ["\n## Where it helps and where it does not\n"]
    for strategy, rows in tables.items():
        for row in rows:
            if row.over_none:
                lines.append(f"- {_TITLES[strategy].partition(':')[0]}, {row.arm}: {says(row.over_none)}.")
    found = {strategy: {row.arm: row for row in rows} for strategy, rows in tables.items()}
    cold = found.get("ItemCold", {}).get(CAPTIONS)
    if cold and cold.over_none and cold.over_shuffled:
        lines.append(
            f"\nOn unseen films caption tokens give {delta(cold.over_none)} over none and "
            f"{delta(cold.over_shuffled)} over shuffled."
        )
    return "\n".join(lines)


def says(found: Difference) -> str:
    """Return whether an arm helps, by its interval alone."""
    if found.low > 0:
        return f"helps, {delta(found)}"
    if found.high < 0:
        return f"**hurts**, {delta(found)}"
    return f"no difference that the data show, {delta(found)}"


def _missing(tables: dict[str, list[Row]]) -> str:
    """Name what has not been measured, so that nobody takes its absence for a result."""
    lacking = {
        _TITLES[strategy].partition(":")[0]: [arm for arm in ARMS if arm not in {row.arm for row in rows}]
        for strategy, rows in tables.items()
    }
    lines = [f"- {title}: {', '.join(own)}." for title, own in lacking.items() if own]
    return "\n## Not measured yet\n\n" + "\n".join(lines) + "\n" if lines else ""


def _again() -> str:
    return """
## Measure it again

```
make bench-lift DATA=FOLDER          # FOLDER holds movielens-posters/
python -m benchmarks.lift --data FOLDER --seeds 5
```

Ratings come with the Python package recbole. Everything made lies in `build/lift/`: tables, captioner,
captions, a line for each run in `results.jsonl`, the scores of the test rows. What is there is not made
again; an interrupted run goes on. The posters are the studios' and the ratings GroupLens': neither is in
this repository.
"""
