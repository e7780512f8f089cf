"""How the caption model was fine-tuned, from what its training left beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fathom.report.model import Chart, Curve, Fact

_LOSSES: Final = (("loss", "training"), ("validation_loss", "held-out pairs"))
_METRICS: Final = {"cider": "CIDEr-D", "bleu4": "BLEU-4", "token_f1": "token F1"}


@dataclass(frozen=True)
class FineTuning:
    """The curve of the loss, and numbers of the epoch that was kept."""

    chart: Chart
    facts: list[Fact]


def read(model: Path) -> FineTuning | None:
    """Return what is known of the fine-tuning of the model in the folder `model`, or None where it was not."""
    curve = _load(model / "curve.json")
    if not isinstance(curve, list) or not curve:
        return None
    metrics = _metrics(_load(model / "training.json"))
    chart = Chart("Loss, nats a token", "epoch", "loss", curves(curve))
    return FineTuning(chart, _facts(metrics))


def curves(epochs: list[dict[str, Any]]) -> list[Curve]:
    """Return the losses of a fine-tuning by epoch, those that were measured."""
    found = [
        Curve(title, [(float(e["epoch"]), float(e[name])) for e in epochs if e.get(name) is not None])
        for name, title in _LOSSES
    ]
    return [curve for curve in found if curve.points]


def _facts(metrics: dict[str, float]) -> list[Fact]:
    facts = [Fact("best epoch", f"{metrics['best_epoch']:.0f}")] if "best_epoch" in metrics else []
    if "validation_loss" in metrics:
        facts.append(Fact("loss on held-out pairs", f"{metrics['validation_loss']:.3f} nats a token"))
    facts += [Fact(name, f"{metrics[key]:.3g}") for key, name in _METRICS.items() if key in metrics]
    return facts


def _metrics(progress: Any) -> dict[str, float]:
    metrics = progress.get("metrics", {}) if isinstance(progress, dict) else {}
    return {key: float(value) for key, value in metrics.items() if isinstance(value, int | float)}


def _load(path: Path) -> Any:
    return json.loads(path.read_bytes()) if path.is_file() else None
