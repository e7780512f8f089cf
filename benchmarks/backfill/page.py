"""The page: what was measured, whether the bars are reached, how to measure it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import evidence
from benchmarks.backfill import plots
from benchmarks.backfill.summary import Line, Table
from benchmarks.lift.page import machine
from fathom.backfill import METHODS

NAME: Final = "backfill.md"
#: Relative gain of the area that was set as a goal, by trial.
BARS: Final = {"held-out drawings": 0.85, "unseen characters": 0.50}
_INTRO: Final = """# Backfilling while the gallery is searched, measured

Made by `python -m benchmarks.backfill`; do not edit. {machine}, shared with other work, one thread.

The gallery moves in random order; each item is also a query and left out of its own results. *Gain* is the
relative gain of the area under the mAP curve, (area − old) / (new − old): 0 is the old model until the end, 1
the new model from the start; *new* is the new model as it is, and methods with a head of their own (ρ) may
end above it. *To its own end* takes what the method itself ends with for *new*: how early it gains. After ±
is half of the 95 % interval over seeds (Student's t); a seed draws data, models and order anew. No choice
was made on what is tested here.
[Methods, readings and metrics](../design/2026-11-29-backfill-method.md).
"""


def write(folder: Path, tables: Sequence[Table], about: dict[str, str]) -> None:
    """Write the page and its plots into `folder`; `about` says of each data set what it is."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_INTRO.format(machine=machine())]
    data: list[str] = []
    for table in tables:
        if table.data not in data:
            data.append(table.data)
            parts.append(f"\n## {table.data}\n\n{about[table.data]}\n")
        plot = f"backfill-{_slug(table.data)}-{_slug(table.trial)}.svg"
        plots.write(folder / plot, table)
        parts.append(_section(table, plot))
    parts += [_missing(about), _costs(), _papers(), _again()]
    (folder / NAME).write_text("\n".join(parts))


def _section(table: Table, plot: str) -> str:
    rows = [
        [
            line.method, line.seeds, line.gain, line.own, line.cmc_gain, line.area, f"{line.curve[0]:.3f}",
            f"{line.curve[5]:.3f}", line.end, f"{line.drop:.3f}", f"{max(line.flips):.1%}",
            f"{line.seconds:.0f}",
        ]
        for line in table.lines
    ]  # fmt: skip
    head = (
        "method", "seeds", "gain (mAP)", "to its own end", "gain (CMC@1)", "mAP area",
        "mAP at β = 0", "β = ½", "β = 1", "largest drop", "most flips", "CPU s of the fit",
    )  # fmt: skip
    return (
        f"\n### {table.trial}\n\n![mAP over β]({plot})\n\n"
        f"mAP of the old model alone {table.old}, of the new one alone {table.new}.\n\n"
        f"{evidence.table(head, rows)}\n"
        f"{_verdict(table)}\n{_flips(table)}"
    )


def _verdict(table: Table) -> str:
    """Say what was reached, by the figures alone."""
    ours, naive = table.line("MetricCompatible"), table.line("NaiveMerge")
    if ours is None:
        return ""
    found = [f"- Relative gain {ours.gain} with MetricCompatible{_against(table.trial, ours)}."]
    rivals = [
        x for x in table.lines if x.method not in _OWN and not METHODS[x.method].cost.transforms_gallery
    ]
    if rivals:
        best = max(rivals, key=lambda x: x.gain.mean)
        ahead = "it is beaten" if ours.gain.mean > best.gain.mean else "it is **not beaten**"
        found.append(
            f"- The best baseline that leaves the old gallery as it is: {best.method}, {best.gain}; {ahead}."
        )
    found.append(f"- Its mean curve falls by {ours.drop:.3f} at most, from one β to a later one.")
    if naive:
        worse = [b for b, o, n in zip(table.betas, ours.flips, naive.flips, strict=True) if o > n]
        text = (
            "below naive merge's at every β"
            if not worse
            else f"**above naive merge's** at β = {_list(worse)}"
        )
        found.append(f"- Its negative flips are {text}; at most {max(ours.flips):.1%} of the queries.")
    return "\n".join(found) + "\n"


_OWN: Final = {"MetricCompatible", "MetricCompatibleFrozen"}


def _against(trial: str, ours: Line) -> str:
    bar = BARS.get(trial)
    if bar is None:
        return ""
    return f"; the goal of {bar:.2f} is {'reached' if ours.gain.mean >= bar else '**missed**'}"


def _flips(table: Table) -> str:
    shown = ("MetricCompatible", "MetricCompatibleFrozen", "QueryTransform", "RankMerge", "NaiveMerge")
    rows = [[x.method, *(f"{f:.1%}" for f in x.flips)] for x in table.lines if x.method in shown]
    return evidence.table(["negative flips at β", *(f"{b:g}" for b in table.betas)], rows)


def _missing(about: dict[str, str]) -> str:
    """Name what has not been measured, so that nobody takes its absence for a result."""
    others = {
        "Film posters": "posters", "Flickr8k": "photographs", "CIFAR-100": "cifar100", "imagenet": "imagenet",
        "places365": "places365", "Market-1501": "market1501",
    }  # fmt: skip
    lacking = ", ".join(
        f"{name} (`--galleries {flag}`)" for name, flag in others.items() if name not in about
    )
    return f"\n## Not measured yet\n\nWith two pretrained encoders: {lacking}.\n" if lacking else ""


def _costs() -> str:
    rows = [
        [
            name,
            method.cost.query_passes,
            "yes" if method.cost.pairs else "no",
            "yes" if method.cost.transforms_gallery else "no",
            "yes" if method.cost.transforms_new else "no",
            method.cost.note,
        ]
        for name, method in METHODS.items()
    ]
    head = (
        "method",
        "encoder passes a query",
        "sample in both",
        "old gallery transformed",
        "new items transformed",
        "",
    )
    return (
        "\n## What each method costs\n\nBesides embedding every item once with the new model.\n\n"
        + evidence.table(head, rows)
    )


def _papers() -> str:
    return """
## The papers' figures, on other data

From the papers and those who read them in full; not measured here. CIFAR-100, ImageNet, Places-365 and
Market-1501, old model on half of the classes.

| method | relative gain of the area (mAP) |
| --- | ---: |
| distance rank merge, nothing trained (2301.03767, table 1) | .36 – .45 |
| BCT (the same table) | .04 – .27 |
| BiCT (the same table) | .16 – .36 |
| FCT on ImageNet, without and with side information | .28, .62 |
"""


def _again() -> str:
    return """
## Measure it again

```
make bench-backfill DATA=FOLDER          # FOLDER holds omniglot_small/
python -m benchmarks.backfill --data FOLDER --seeds 5
```

Models' vectors and a line for each fit are kept in `build/backfill/`; what is there is not made again.
"""


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{v:g}" for v in values)


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
