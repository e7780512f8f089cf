"""`fine-tuning.json` beside a fine-tuned model: how it was taught and what came of it.

Nothing in it depends on when it was written: the same training leaves the same file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from fathom.captioning.tuning.curves import Epoch, Place, Point, best
from fathom.captioning.tuning.examination import Examination
from fathom.captioning.tuning.pairs import Pairs, Part
from fathom_api.meta import StatusModel
from fathom_api.progress import Progress
from fathom_api.tasks import AnyFineTune, FinetuneTask

NAME: Final = "fine-tuning.json"


class Counts(StatusModel):
    """How many pairs and media there were."""

    media: int = Field(description="Different media.")
    training: int = Field(description="Pairs learned from.")
    held_out: int = Field(description="Pairs held out.")
    unusable: dict[str, int] = Field(description="Pairs left out, by reason.")

    @classmethod
    def of(cls, pairs: Pairs, kept: Part, held_out: Part) -> Counts:
        """Return the counts of `pairs`, split in two."""
        return cls(
            media=pairs.media_count,
            training=len(kept),
            held_out=len(held_out),
            unusable=dict(sorted(pairs.unusable.items())),
        )


class Report(StatusModel):
    """All there is to tell of a fine-tuning."""

    model: str = Field(description="URI of the model it started from.")
    prompt: str = Field(description="What the model was asked about each medium.")
    method: Literal["Full", "LoRA"] = Field(description="Which weights were taught.")
    settings: AnyFineTune = Field(description="The pairs and how they were learned from.")
    pairs: Counts = Field(description="How many pairs there were.")
    best_epoch: int = Field(description="The epoch whose weights were kept.")
    stopped_early: bool = Field(description="Whether patience ended it.")
    curve: list[Epoch] = Field(description="By epoch.")
    points: list[Point] = Field(description="Between epochs, a few hundred at most.")
    examination: Examination | None = Field(
        default=None, description="Captions of held-out media; unset where none were held out."
    )
    progress: Progress = Field(description="What the operator was told in the end.")


def made(
    task: FinetuneTask, counts: Counts, place: Place, examined: Examination | None, progress: Progress
) -> Report:
    """Return the report of the training that came to `place`."""
    return Report(
        model=task.model.place,
        prompt=task.model.questions()[0].prompt,
        method=task.fine_tune.method,
        settings=task.fine_tune,
        pairs=counts,
        best_epoch=best(place.curve).epoch,
        stopped_early=len(place.curve) < task.fine_tune.epochs,
        curve=place.curve,
        points=place.points,
        examination=examined,
        progress=progress.model_copy(update={"metrics": _metrics(place, examined)}),
    )


def write(folder: Path, report: Report) -> None:
    """Write `report` into `folder`."""
    (folder / NAME).write_text(report.model_dump_json(by_alias=True, indent=2) + "\n")


def read(folder: Path) -> Report:
    """Return the report of the version in `folder`."""
    return Report.model_validate_json((folder / NAME).read_bytes())


def _metrics(place: Place, examined: Examination | None) -> dict[str, float]:
    """Return the numbers of the epoch that was kept, and of what its model writes."""
    kept = best(place.curve)
    measured = {} if kept.validation_loss is None else {"validation_loss": kept.validation_loss}
    return {
        "epoch": float(len(place.curve)),
        "best_epoch": float(kept.epoch),
        "loss": kept.loss,
        "learning_rate": kept.learning_rate,
        **measured,
        **(examined.numbers() if examined else {}),
    }
