"""What a search leaves behind, and a trial's job; needs no Optuna to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fathom.errors import InvalidInputError
from fathom.ranking.figures import SEARCH, SearchResult
from fathom.ranking.inputs import Job
from fathom.storage import digest_bytes
from fathom_api.recmodel import RankerModel, Training


def read(checkpoints: Path) -> SearchResult | None:
    """Return what a search in this folder has found, None before it is done."""
    path = checkpoints / SEARCH
    return SearchResult.model_validate_json(path.read_bytes()) if path.is_file() else None


def folder_of(checkpoints: Path, number: int) -> Path:
    """Return the folder of a trial's checkpoints."""
    return checkpoints / f"trial-{number:05d}"


def with_parameters(job: Job, number: int, parameters: dict[str, float]) -> Job:
    """Return the job of a trial: `job` with `parameters`, and checkpoints of its own.

    Raises:
        pydantic.ValidationError: a parameter cannot have this value.
    """
    training, model = job.training.document(), job.model.document()
    for name, value in parameters.items():
        (training if name in training else model)[name] = _whole(value)
    made_from = digest_bytes(repr([job.made_from, sorted(parameters.items())]).encode())
    return job.model_copy(
        update={
            "training": Training.model_validate(training),
            "model": RankerModel.model_validate(model),
            "checkpoints": str(folder_of(Path(job.checkpoints), number)),
            "made_from": made_from,
        }
    )


def check(job: Job) -> None:
    """Check that the ends of the space are values that the fields may have.

    Raises:
        InvalidInputError: one is not.
    """
    for parameter in job.training.search.space if job.training.search else ():
        for value in parameter.choices or [parameter.low or 0.0, parameter.high or 0.0]:
            try:
                with_parameters(job, 0, {parameter.name: value})
            except ValidationError as error:
                said = "; ".join(str(e["msg"]) for e in error.errors())
                raise InvalidInputError(
                    "InvalidSearch",
                    f"training.search.space: {parameter.name} cannot be {value:g}: {said}",
                ) from error


def _whole(value: float) -> Any:
    """Return a whole number as one: fields that hold no others take no 8.0."""
    return int(value) if float(value).is_integer() else value
