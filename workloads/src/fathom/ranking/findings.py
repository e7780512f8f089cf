"""All that an evaluation says, and what it writes: figures, report, model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fathom import manifest
from fathom.ranking import attribution, card, coverage, evaluation, split, words
from fathom.ranking.evaluation import Arm
from fathom.ranking.figures import EvaluationReport
from fathom.ranking.interactions import Interactions
from fathom.report import ranker
from fathom.report.albums import album_of
from fathom.storage import appearing, existing_local
from fathom_api.tasks import EvaluateTask

EVALUATION: Final = "evaluation.json"
REPORT: Final = "report.html"


def report(
    task: EvaluateTask, events: Interactions, parts: split.Parts, arms: Mapping[str, Arm]
) -> EvaluationReport:
    """Return the figures of `arms`, and what the candidate's captions do."""
    found = evaluation.report(events, parts, task.data.split, arms)
    folder = existing_local(task.bundles["Captions"])
    candidate = evaluation.load(folder, events, parts)
    spoken = [words.read(field, task.caption_features) for _, field in coverage.caption_fields(candidate)]
    sealed = manifest.read(folder)
    lifted = []
    if spoken and (against := baseline(arms)):
        scores = arms["Captions"].scores, arms[against].scores
        lifted = coverage.lifted(events, parts, candidate, spoken, scores)
        texts = words.about(task.data, [item.item_id for item in lifted])
        lifted = [item.model_copy(update={"texts": texts.get(item.item_id, [])}) for item in lifted]
    return found.model_copy(
        update={
            "coverage": coverage.reach(candidate, spoken),
            "tokens": attribution.explain(candidate, spoken),
            "lifted": lifted,
            "data": coverage.notes(events, parts, candidate, sealed.made_from if sealed else {}),
            "card": card.sections(candidate.info, found),
        }
    )


def baseline(arms: Mapping[str, Arm]) -> str | None:
    """Return the arm by which captions are judged: without them, else the first other one."""
    others = [name for name in arms if name != "Captions"]
    return "WithoutCaptions" if "WithoutCaptions" in others else next(iter(others), None)


def write(folder: Path, found: EvaluationReport, task: EvaluateTask) -> Path:
    """Write the evaluation, its report and the model card to `folder`, and return where the evaluation is."""
    title = task.output.rstrip("/").rpartition("/")[2]
    texts = {
        REPORT: ranker.document(found, title, album=album_of(task.source)),
        card.NAME: card.markdown(title, found.card),
        # Last of all: who finds it finds the others.
        EVALUATION: found.model_dump_json(by_alias=True, indent=2),
    }
    for name, text in texts.items():
        with appearing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="replace")
    return folder / EVALUATION
