"""The HTML report: what was seen, said, learned, judged and served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import words
from demo.artifacts import Artifacts
from demo.context import Context
from demo.steps.ask import Answer
from demo.steps.recommend import Person, shelf
from demo.timeline import Timeline
from fathom.report import (
    Arm,
    Chart,
    Curve,
    Fact,
    Gate,
    Item,
    Moment,
    Ranked,
    Report,
    User,
    render,
)
from fathom.report.finetuning import curves
from fathom_api.captionjob import CaptionJobStatus
from fathom_api.recmodel import RecModelStatus

_PICTURES = 24
_LIKED = 6
_FOLDERS = {
    "Captions": "captions",
    "WithoutCaptions": "without-captions",
    "ShuffledCaptions": "shuffled-captions",
}


@dataclass(frozen=True)
class Findings:
    """What the demo found, for the report."""

    captions: CaptionJobStatus
    model: RecModelStatus
    timeline: Timeline
    person: Person
    answer: Answer
    artifacts: Artifacts


def report(context: Context, found: Findings) -> Path:
    """Write the report and return where it is."""
    path = context.out / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(compose(context, found)), encoding="utf-8")
    return path


def compose(context: Context, found: Findings) -> Report:
    """Return the report."""
    about = context.data.about
    items = _Items(context, found.artifacts)
    version = found.model.stable.name if found.model.stable else ""
    return Report(
        title=about.title,
        made_at=words.now().strftime("%Y-%m-%d %H:%M UTC"),
        simulated=about.simulated,
        about=[
            Fact("interactions", about.about_interactions),
            Fact("captions", about.about_captions),
            Fact("terms", about.terms),
        ],
        items=[items.card(item) for item in items.some(_PICTURES)],
        coverage=_coverage(found.captions),
        charts=_charts(found.artifacts, version),
        test_split=f"Measured on {about.items_are} the ranker has never seen (split: ItemCold). "
        "All were trained with the same parameters and the same seed.",
        arms=[_arm(m, found.artifacts.evaluation(version)) for m in found.model.metrics],
        gates=[Gate(version, f"{g.against}, {g.metric}", g.verdict, g.message) for g in found.model.gates],
        timeline=[Moment(m.time, m.stable, m.candidate, m.weight, m.stage) for m in found.timeline.moments],
        user=User(
            f"user {found.person.user_id}",
            f"{found.person.about}.".capitalize(),
            [items.card(item) for item in found.person.liked[:_LIKED]],
        ),
        top=[
            Ranked(items.card(item), score)
            for item, score in zip(found.answer.items, found.answer.scores, strict=True)
        ],
        answered_by=found.answer.version,
        versions=_versions(found),
    )


class _Items:
    """Cards of items, from the data set and what Fathom made."""

    def __init__(self, context: Context, artifacts: Artifacts) -> None:
        self._shelf = shelf(context.data)
        self._captions = artifacts.captions()
        self._tokens = artifacts.tokens()

    def card(self, item: str) -> Item:
        return Item(
            item_id=item,
            title=self._shelf.name(item),
            caption=self._captions.get(item, ""),
            tokens=self._tokens.get(item, []),
            picture=self._shelf.rows[item]["image"],
        )

    def some(self, count: int) -> list[str]:
        """Return items from all over the catalogue."""
        ids = list(self._shelf.rows)
        return ids[:: max(1, len(ids) // count)][:count]


def _coverage(status: CaptionJobStatus) -> list[Fact]:
    made = status.features
    return [
        Fact("items", f"{status.items.done:,} captioned, {status.items.failed} failed"),
        *(
            [
                Fact("items with tokens", f"{made.coverage:.1%}"),
                Fact("tokens of an item, mean", f"{made.tokens_per_item:.1f}"),
                Fact("vocabulary", f"{made.vocabulary_size:,}"),
            ]
            if made
            else []
        ),
    ]


def _charts(artifacts: Artifacts, version: str) -> list[Chart]:
    bundles = {arm: artifacts.bundle(version, folder) for arm, folder in _FOLDERS.items()}
    return [
        Chart("Captioner: loss, nats a token", "epoch", "loss", curves(artifacts.fine_tuning())),
        Chart("Ranker: AUC on the validation split", "epoch", "AUC", _arms(bundles, "validation_auc")),
        Chart("Ranker: training loss, nats", "epoch", "loss", _arms(bundles, "loss")),
    ]


def _arms(bundles: dict[str, dict[str, Any]], metric: str) -> list[Curve]:
    curves = [
        Curve(words.ARMS[arm], [(p["epoch"], p[metric]) for p in bundle.get("curve", []) if metric in p])
        for arm, bundle in bundles.items()
    ]
    return [curve for curve in curves if curve.points]


def _arm(measured: Any, evaluation: dict[str, Any]) -> Arm:
    against = {d["against"]: d for d in evaluation.get("differences", [])}
    gain = against.get(measured.arm, {})
    return Arm(
        words.ARMS[measured.arm],
        measured.auc,
        measured.gauc,
        measured.log_loss,
        measured.normalized_entropy,
        measured.calibration,
        gain.get("auc"),
        gain.get("low"),
        gain.get("high"),
    )


def _versions(found: Findings) -> list[Fact]:
    facts = [
        Fact(f"model {v.name}", f"{v.digest or ''} · promoted {v.promoted_at or '–'}")
        for v in found.model.history
    ]
    named = {"captions": found.captions.captions, "caption features": found.captions.features}
    tuned = found.captions.fine_tune
    facts += [Fact(name, f"{made.digest} · {made.uri}") for name, made in named.items() if made]
    if tuned and tuned.model:
        facts.append(Fact("caption model", f"{tuned.model.digest} · {tuned.model.uri}"))
    return facts
