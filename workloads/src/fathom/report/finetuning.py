"""How the caption model was fine-tuned, from the `fine-tuning.json` beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from fathom.report.model import Chart, Curve, Fact
from fathom.report.text import clean
from fathom.storage import Location

_NAME: Final = "fine-tuning.json"
_LATEST: Final = "latest.json"
_EXAMPLES: Final = 12
_CAPTION: Final = 300


@dataclass(frozen=True)
class Example:
    """A medium that was held out: what the model wrote of it, and what people wrote."""

    written: str
    people: list[str]
    token_f1: float


@dataclass(frozen=True)
class FineTuning:
    """The curve of the loss, numbers of the model that was kept, and captions of media it had not learned."""

    chart: Chart
    facts: list[Fact]
    examples: list[Example]


def read(folders: Iterable[Location]) -> FineTuning | None:
    """Return what is known of the fine-tuning of the first model in `folders` that was; None if none was."""
    for folder in folders:
        if (path := _find(folder)) is not None:
            return _tuning(json.loads(path.read_bytes()))
    return None


def curves(epochs: Iterable[dict[str, Any]]) -> list[Curve]:
    """Return the losses of a fine-tuning by epoch, those that were measured."""
    by_epoch = list(epochs)
    found = [
        Curve(title, [(float(e["epoch"]), float(e[name])) for e in by_epoch if e.get(name) is not None])
        for name, title in (("loss", "training"), ("validationLoss", "held-out pairs"))
    ]
    return [curve for curve in found if curve.points]


def _find(folder: Location) -> Location | None:
    """Return the report of the model in `folder`, or of the latest of its versions."""
    if (folder / _NAME).is_file():
        return folder / _NAME
    if not (folder / _LATEST).is_file():
        return None
    version = str(json.loads((folder / _LATEST).read_bytes()).get("version"))
    path = folder / "versions" / version / _NAME
    return path if re.fullmatch("[0-9a-f]{12}", version) and path.is_file() else None


def _tuning(report: dict[str, Any]) -> FineTuning:
    curve, examined = report["curve"], report.get("examination") or {}
    examples = [
        Example(
            clean(e["written"], _CAPTION), [clean(p, _CAPTION) for p in e["people"][:5]], float(e["tokenF1"])
        )
        for e in examined.get("examples", [])[:_EXAMPLES]
    ]
    chart = Chart("Loss, nats a token", "epoch", "loss", curves(curve))
    return FineTuning(chart, _facts(report, examined), examples)


def _facts(report: dict[str, Any], examined: dict[str, Any]) -> list[Fact]:
    kept = next(epoch for epoch in report["curve"] if epoch["epoch"] == report["bestEpoch"])
    early = ", stopped early" if report["stoppedEarly"] else ""
    facts = [
        Fact("method", str(report["method"])),
        Fact("epoch kept", f"{report['bestEpoch']} of {len(report['curve'])}{early}"),
        Fact("pairs", f"{report['pairs']['training']:,} learned, {report['pairs']['heldOut']:,} held out"),
    ]
    if kept.get("validationLoss") is not None:
        facts.append(Fact("loss on held-out pairs", f"{kept['validationLoss']:.3f} nats a token"))
    if examined:
        facts += [
            Fact("CIDEr-D (0 to 10)", f"{examined['cider']:.2f}"),
            Fact("BLEU-4 (0 to 100)", f"{examined['bleu4']:.1f}"),
            Fact("F1 of words (0 to 1)", f"{examined['tokenF1']:.2f}"),
            Fact("measured on", f"{examined['media']:,} media held out"),
        ]
    return facts
