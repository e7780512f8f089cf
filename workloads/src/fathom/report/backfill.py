"""The report of a backfill: how search did from the first item moved to the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fathom.report import page
from fathom.report.charts import draw
from fathom.report.model import Chart, Curve, Fact
from fathom.report.text import clean

_MOST_ERRORS = 50
_TEXT = 300


@dataclass(frozen=True)
class Unread:
    """An item that could not be embedded, and why."""

    name: str
    reason: str
    message: str


@dataclass(frozen=True)
class BackfillReport:
    """What a backfill came to.

    Attributes:
        curve: by percent, `recall` and `flips`; empty without probes. Percent 0 is the old model alone.
        k: how many answers of a probe count.
        moved, added: items.
        unread: items that could not be embedded.
        facts: models, method, figures on held-out pairs.
    """

    curve: Mapping[int, Mapping[str, float]]
    k: int
    moved: int
    added: int
    unread: Sequence[Unread]
    facts: Sequence[Fact]


def render(report: BackfillReport) -> str:
    """Return `report` as one HTML document that needs nothing else."""
    curve = [report.curve[percent] for percent in sorted(report.curve)]
    errors = [
        Unread(clean(e.name, _TEXT), e.reason, clean(e.message, _TEXT)) for e in report.unread[:_MOST_ERRORS]
    ]
    return page.document(
        "backfill.html.j2",
        title="A gallery under a new model",
        verdict=_verdict(curve),
        moved=report.moved,
        added=report.added,
        failed=len(report.unread),
        before=curve[0]["recall"] if curve else None,
        now=curve[-1]["recall"] if curve else None,
        flips=max((point["flips"] for point in curve), default=0.0),
        drawings=[drawn for chart in _charts(report) if (drawn := draw(chart))],
        facts=report.facts,
        errors=errors,
    )


def _verdict(curve: Sequence[Mapping[str, float]]) -> str:
    if len(curve) < 2:
        return "Nothing was asked on the way: there were no probes."
    before, now = curve[0]["recall"], curve[-1]["recall"]
    least = min(point["recall"] for point in curve)
    how = "better than" if now > before else "as good as" if now == before else "worse than"
    never = "never worse" if least >= before else f"at worst {before - least:.3f} below it"
    return f"The gallery now answers {how} before (recall {now:.3f} after {before:.3f}); on the way {never}."


def _charts(report: BackfillReport) -> list[Chart]:
    if not report.curve:
        return []
    percents = sorted(report.curve)
    before = report.curve[percents[0]]["recall"]
    recall = [(float(percent), report.curve[percent]["recall"]) for percent in percents]
    flips = [(float(percent), report.curve[percent]["flips"]) for percent in percents]
    level = [(float(percents[0]), before), (float(percents[-1]), before)]
    return [
        Chart(
            f"Recall at {report.k}",
            "moved, percent",
            "recall",
            [Curve("old and new together", recall), Curve("the old model alone", level, reference=True)],
        ),
        Chart("Negative flips", "moved, percent", "share of the probes", [Curve("flips", flips)]),
    ]
