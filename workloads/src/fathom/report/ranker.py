"""The report of a ranker's evaluation: `report.html`, one file that people look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fathom.ranking.figures import (
    ArmResult,
    Difference,
    EvaluationReport,
    Interval,
    ItemLift,
    SearchResult,
    TokenEffect,
)
from fathom.ranking.split import describe
from fathom.report import forest, page
from fathom.report.charts import Drawing, draw
from fathom.report.forest import Estimated, Forest
from fathom.report.model import Chart, Curve, Fact
from fathom.report.text import clean, shown_id

if TYPE_CHECKING:  # Pillow is in the captioner's image only.
    from fathom.report.pictures import Album, Seen

_NAMES: Final = {
    "Captions": "Captions",
    "WithoutCaptions": "Without captions",
    "ShuffledCaptions": "Shuffled captions",
    "Serving": "Serving now",
}
_SLICES: Final = {
    "head": "Head",
    "torso": "Torso",
    "tail": "Tail",
    "new": "New",
}
#: Differences besides AUC: name, and whether less is better.
_MORE: Final = {
    "relativeAuc": ("AUC, relative", False),
    "relaImpr": ("AUC, RelaImpr", False),
    "gauc": ("GAUC", False),
    "logLoss": ("log loss", True),
    "normalizedEntropy": ("NE", True),
}
_SHARES: Final = ("relativeAuc", "relaImpr")
_TOKENS: Final = 12
_TABLE: Final = 60
_TOKEN: Final = 60
_TRIALS: Final = 20
_ROW: Final = 200


@dataclass(frozen=True)
class Cell:
    """A figure in a table: what it says, and whether it is good, bad or unsure."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Card:
    """An item that captions helped or harmed."""

    lift: ItemLift
    name: str
    texts: list[str]
    tokens: list[str]
    seen: Seen | None


def document(
    found: EvaluationReport,
    title: str,
    *,
    album: Album | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> str:
    """Return the report of an evaluation as one HTML document; what is not known is left out."""
    against = _against(found)
    return page.document(
        "ranker.html.j2",
        title=clean(title, 80),
        made_at=now().strftime("%Y-%m-%d %H:%M UTC"),
        found=found,
        ours=found.arms["Captions"],
        names=_names(found),
        slices=_SLICES,
        against=against,
        verdict=_verdict(against),
        kind=forest.kind(Estimated("", against.auc, against.low, against.high)) if against else "unsure",
        compared=[_name(d.against) for d in found.differences],
        differences=_table(found.differences),
        gained=_gained(found),
        by_slice=_by_slice(found, against.against if against else None),
        calibration=_calibration(found.arms),
        curves=_curves(found.arms),
        tokens=_tokens(found),
        lifted=_cards(found.lifted, album),
        search=_search(found.arms["Captions"].search),
        samples=_samples(found),
        about=_about(found),
    )


def _samples(found: EvaluationReport) -> dict[str, list[str]]:
    """Return the first few rows left out, by why."""
    known = found.data.samples if found.data else {}
    return {why: [clean(row, _ROW) for row in rows] for why, rows in known.items()}


def _name(arm: str) -> str:
    return _NAMES.get(arm, clean(arm, 40))


def _names(found: EvaluationReport) -> dict[str, str]:
    return {arm: _name(arm) for arm in (*found.arms, *(d.against for d in found.differences))}


def _against(found: EvaluationReport) -> Difference | None:
    """Return the difference by which captions are judged: to the ranker without them, else the first."""
    known = {d.against: d for d in found.differences}
    return known.get("WithoutCaptions") or next(iter(known.values()), None)


def _verdict(against: Difference | None) -> str:
    if against is None:
        return "There is no other arm to compare with: add controls to spec.evaluation.controls."
    estimate = Estimated("", against.auc, against.low, against.high)
    other = {
        "WithoutCaptions": "the same ranker without captions",
        "ShuffledCaptions": "the same ranker with the captions of other items",
        "Serving": "the ranker that is served now",
    }.get(against.against, clean(against.against, 40))
    how = {
        "good": f"better than {other}: AUC {forest.said(estimate)}.",
        "bad": f"worse than {other}: AUC {forest.said(estimate)}.",
        "unsure": f"not told apart from {other}: AUC {forest.said(estimate)}, the interval holds 0.",
    }
    return f"The ranker with captions is {how[forest.kind(estimate)]}"


def _table(differences: Sequence[Difference]) -> list[tuple[str, list[Cell]]]:
    """Return a row for each metric, with a cell for each other arm."""
    rows = [("AUC", [_auc(d) for d in differences])]
    return rows + [(heading, [_cell(d, name) for d in differences]) for name, (heading, _) in _MORE.items()]


def _auc(difference: Difference) -> Cell:
    estimate = Estimated("", difference.auc, difference.low, difference.high)
    return Cell(forest.said(estimate), forest.kind(estimate))


def _cell(difference: Difference, name: str) -> Cell:
    interval = difference.more.get(name)
    if interval is None:
        return Cell("–")
    times, digits, unit = (100, 2, " %") if name in _SHARES else (1, 4, "")
    scaled = Estimated("", interval.value * times, interval.low * times, interval.high * times)
    low, high = (page.signed(end, digits) for end in (scaled.low, scaled.high))
    text = f"{page.signed(scaled.value, digits)}{unit} ({low} … {high})"
    return Cell(text, forest.kind(_turned(scaled) if _MORE[name][1] else scaled))


def _turned(found: Estimated) -> Estimated:
    return Estimated(found.name, -found.value, -found.high, -found.low)


def _gained(found: EvaluationReport) -> Forest | None:
    rows = [Estimated(f"over {_name(d.against)}", d.auc, d.low, d.high) for d in found.differences]
    return forest.draw("AUC gained by captions", "difference in AUC, 95 % interval", rows)


def _by_slice(found: EvaluationReport, against: str | None) -> Forest | None:
    if against is None:
        return None
    rows = [
        _estimated(_SLICES.get(s.name, s.name), s.differences[against])
        for s in found.slices
        if against in s.differences
    ]
    return forest.draw(f"AUC gained over {_name(against)}, by item", "difference in AUC, 95 % interval", rows)


def _estimated(name: str, interval: Interval) -> Estimated:
    return Estimated(name, interval.value, interval.low, interval.high)


def _calibration(arms: Mapping[str, ArmResult]) -> Drawing | None:
    curves = [
        Curve(_name(name), [(point["prediction"], point["label"]) for point in arm.calibration])
        for name, arm in arms.items()
    ]
    ends = [end for curve in curves for point in curve.points for end in point]
    if ends:
        curves.append(Curve("perfect", [(min(ends), min(ends)), (max(ends), max(ends))], reference=True))
    return draw(Chart("Calibration", "mean prediction, ten groups of equal size", "share of label 1", curves))


def _curves(arms: Mapping[str, ArmResult]) -> list[Drawing]:
    charts = [
        Chart(title, "epoch", title, [_curve(name, arm, key) for name, arm in arms.items() if arm.curve])
        for key, title in (("validation_auc", "Validation AUC"), ("loss", "Training loss"))
    ]
    return [drawing for chart in charts if (drawing := draw(chart))]


def _curve(name: str, arm: ArmResult, key: str) -> Curve:
    return Curve(_name(name), [(point["epoch"], point[key]) for point in arm.curve if key in point])


def _tokens(found: EvaluationReport) -> dict[str, Any] | None:
    """Return the tokens that raise predictions most, lower them most, and weigh most, with bars to scale."""
    if found.tokens is None or not found.tokens.tested:
        return None
    tested = found.tokens.tested
    raising = sorted((t for t in tested if t.effect > 0), key=lambda t: -t.effect)
    lowering = sorted((t for t in tested if t.effect < 0), key=lambda t: t.effect)
    heavy = sorted(tested, key=lambda t: -t.weight)
    most = max(abs(t.effect) for t in tested) or 1.0
    heaviest = heavy[0].weight or 1.0
    return {
        "method": found.tokens.method,
        "sample": found.tokens.sample,
        "tested": len(tested),
        "lists": [
            ("Raise the prediction", "up", _ranked(raising, [t.effect / most for t in raising])),
            ("Lower it", "down", _ranked(lowering, [-t.effect / most for t in lowering])),
            (
                "Largest weights",
                "",
                _ranked(heavy, [t.weight / heaviest for t in heavy], weight=True),
            ),
        ],
        "rows": [
            (clean(t.token, _TOKEN), page.signed(t.effect, 3), t, [shown_id(i) for i in t.examples])
            for t in sorted(tested, key=lambda t: -abs(t.effect))[:_TABLE]
        ],
    }


def _ranked(
    tokens: Sequence[TokenEffect], shares: Sequence[float], *, weight: bool = False
) -> list[tuple[str, float, str, str]]:
    """Return of the first tokens: name, length of the bar, figure, and what it is of."""
    return [
        (
            clean(token.token, _TOKEN),
            share,
            f"{token.weight:.2f}" if weight else page.signed(token.effect, 2),
            f"{token.items:,} items, {token.rows:,} interactions",
        )
        for token, share in zip(tokens[:_TOKENS], shares, strict=False)
    ]


def _cards(lifted: Sequence[ItemLift], album: Album | None) -> dict[str, list[Card]]:
    seen = album.show([item.item_id for item in lifted]) if album else {}
    cards = [
        Card(
            item,
            shown_id(item.item_id),
            [clean(text, 80) for text in item.texts],
            [clean(token, _TOKEN) for token in item.tokens],
            seen.get(item.item_id),
        )
        for item in lifted
    ]
    return {
        "Predicted better": [card for card in cards if card.lift.gain > 0],
        "Predicted worse": [card for card in cards if card.lift.gain <= 0],
    }


def _search(found: SearchResult | None) -> dict[str, Any] | None:
    """Return the best trials, and how all of them went."""
    if found is None or not found.trials:
        return None
    done = [trial for trial in found.trials if trial.value is not None and not trial.pruned]
    best = sorted(done, key=lambda trial: -(trial.value or 0.0))[:_TRIALS]
    by_number = Curve("trials", [(float(t.number), t.value) for t in done if t.value is not None])
    chart = Chart(f"{found.metric} of each trial", "trial", found.metric, [by_number])
    return {
        "trials": len(found.trials),
        "finished": len(done),
        "best": best,
        "taken": found.best,
        "names": sorted({name for trial in found.trials for name in trial.parameters}),
        "drawing": draw(chart) if done else None,
    }


def _about(found: EvaluationReport) -> list[Fact]:
    facts = [
        Fact("split", describe(found.split)),
        Fact("split digest", found.split_digest),
    ]
    facts += [Fact(f"{_name(name)}, digest", arm.digest) for name, arm in found.arms.items()]
    digests = found.data.digests if found.data else {}
    return facts + [Fact(f"made from {clean(name, 80)}", clean(d, 300)) for name, d in digests.items()]
