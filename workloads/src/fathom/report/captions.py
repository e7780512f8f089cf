"""The report of a captioning run: `report/index.html`, one file that people look at."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from fathom import storage
from fathom.errors import InvalidInputError
from fathom.report import comparison, drift, errors, features, finetuning, gallery, page, pictures, work
from fathom.report.charts import Drawing, bars, draw
from fathom.report.distributions import Histogram
from fathom.report.features import Features
from fathom.report.model import Chart, Curve, Fact
from fathom.report.pictures import Album
from fathom.report.survey import Aspect, Store, Survey, survey
from fathom.report.text import clean
from fathom.report.throughput import Stretch
from fathom.storage import Location
from fathom_api.captioning import Source
from fathom_api.tasks import AnySource, FeaturiseTask

_log = logging.getLogger("fathom")
PATH: Final = "report/index.html"
_TOP_CAPTIONS: Final = 8
#: Opens the source of the pictures.
Opener = Callable[[AnySource], Album]


def write(
    root: Location,
    task: FeaturiseTask,
    captions: Store,
    *,
    open_album: Opener | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Location:
    """Write the report of the run below `root`, the CaptionJob's folder, and return where it is.

    Reads the captions three times, never more of them at once than a batch; the page shows a sample and stays
    below 10 MB whatever they hold. What is not there (features, an earlier run, a source) is left out.
    """
    found = survey(captions)
    failures = errors.collect(captions.errors())
    made = features.read(root, captions.aspects)
    changes = comparison.compare(captions)
    album, no_album = _album(task.source, open_album or pictures.open_album)
    tuning = finetuning.read(_models(root, task))
    html = page.document(
        "captions.html.j2",
        script="gallery.js",
        title=_title(task),
        made_at=now().strftime("%Y-%m-%d %H:%M UTC"),
        task=task,
        items=captions.count,
        work=work.read(root),
        survey=found,
        failures=failures,
        features={aspect.aspect: aspect for aspect in made},
        comparison=changes,
        drift=drift.read(root),
        cards=gallery.cards(captions, found, failures=failures, made=made, comparison=changes, album=album),
        no_album=no_album,
        aspects=[_charts(aspect, made) for aspect in found.aspects],
        stretches=found.pace.stretches(),
        pace=_pace(found.pace.stretches()),
        latency=_histogram("Time of one caption", "ms", found.milliseconds),
        tuning=tuning,
        tuning_chart=draw(tuning.chart) if tuning else None,
        about=_about(task, found),
    )
    path = root / PATH
    with storage.appearing(path) as temporary:
        temporary.write_text(html, encoding="utf-8", errors="replace")
    return path


def _album(source: AnySource | None, opened: Opener) -> tuple[Album | None, str]:
    """Return the pictures, or why there are none."""
    if source is None:
        return None, "The task names no source, so there are no pictures."
    try:
        return opened(source), ""
    except (InvalidInputError, OSError) as error:
        _log.warning("the report has no pictures: %s", error)
        return None, clean(f"There are no pictures: {error}", 300)


def _models(root: Location, task: FeaturiseTask) -> list[Location]:
    """Return where a fine-tuned model may be: the one that captioned, or the one made by this job."""
    uri = task.model.uri or ""
    near = "://" not in uri or uri.startswith(("pvc://", "file://"))
    return [*([storage.resolve(uri)] if uri and near else []), root / "model"]


def _title(task: FeaturiseTask) -> str:
    return clean(task.output.rstrip("/").rpartition("/")[2] or task.output, 80)


def _charts(aspect: Aspect, made: list[Features]) -> dict[str, Any]:
    """Return one aspect's part of the distributions."""
    own = next((features for features in made if features.aspect == aspect.name), None)
    drawings = [
        _histogram("Words of a caption", "words", aspect.words),
        _histogram("Model tokens of a caption", "model tokens", aspect.tokens),
        own and _histogram("Feature tokens of an item", "tokens", own.per_item, of="items"),
        own and _growth(own),
    ]
    top = own.top if own else []
    return {
        "counted": aspect,
        "features": own,
        "drawings": [drawing for drawing in drawings if drawing],
        "top": [(token, n, n / max(1, top[0][1])) for token, n in top],
        "repeated": [(clean(text, 160), n) for text, n in aspect.frequent.top(_TOP_CAPTIONS)],
    }


def _histogram(title: str, x: str, counted: Histogram, *, of: str = "captions") -> Drawing | None:
    bins = counted.bins()
    words = (
        f"Half have at most {counted.quantile(0.5):,} {x}, 95 % at most {counted.quantile(0.95):,}, "
        f"the most {counted.quantile(1):,}."
    )
    wide = bool(bins) and bins[0].high != bins[0].low
    ends = (bins[0].low, bins[-1].low + bins[1].low - bins[0].low) if wide and len(bins) > 1 else None
    return bars(title, x, of, [b.count for b in bins], [b.label for b in bins], ends=ends, summary=words)


def _growth(made: Features) -> Drawing | None:
    curve = Curve("different tokens", [(0.0, 0.0), *made.growth])
    return draw(Chart("Growth of the vocabulary", "items", "different tokens", [curve]))


def _pace(stretches: list[Stretch]) -> Drawing | None:
    if not stretches:
        return None
    last = stretches[-1]
    unit, seconds = ("min", 60.0) if last.seconds < 2 * 3600 else ("h", 3600.0)
    labels = [f"{n * last.width / seconds:.3g}" for n in range(len(last.bars))]
    words = f"{last.captions:,} captions in {page.lasted(last.seconds)}."
    ends = (0.0, len(last.bars) * last.width / seconds)
    return bars(
        *("Captions a second", f"{unit} after the start", "a second", last.bars, labels),
        ends=ends,
        summary=words,
    )


def _about(task: FeaturiseTask, found: Survey) -> list[Fact]:
    facts = [Fact("run", str(task.run)), Fact("output", clean(task.output, 300))]
    if task.source:
        facts.insert(0, Fact("source", _place(task.source)))
    model = task.model.uri or (task.model.endpoint.model if task.model.endpoint else "")
    facts.append(Fact("model", f"{clean(model, 200)} ({task.model.engine})"))
    facts += [Fact("model digest", f"{digest}, {n:,} captions") for digest, n in found.models.top()]
    facts += [Fact(f"prompt: {q.name}", clean(q.prompt, 1000)) for q in task.model.questions()]
    if task.model.samples:
        facts.append(Fact("samples", f"{task.model.samples} an item; tokens weigh the share that holds them"))
    return [*facts, Fact("tokenizer", task.features.tokenizer)]


def _place(source: Source) -> str:
    """Return the source's URI; what is behind a `?` may be a signature, which is nobody's business."""
    return clean(source.uri.partition("?")[0], 300)
