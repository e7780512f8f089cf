"""What training processes are given: one folder of arrays, made once, read by each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor

from fathom.ranking import split
from fathom.ranking.batches import Pairs, Tables
from fathom.ranking.columns import Columns
from fathom.ranking.layers import ColumnTensors
from fathom.ranking.prepare import Prepared
from fathom.ranking.schema import Schema
from fathom_api.meta import StatusModel
from fathom_api.recmodel import RankerModel, Training

JOB: Final = "job.json"
ARRAYS: Final = "arrays.safetensors"


class Job(StatusModel):
    """What to train, and where to keep checkpoints."""

    features: Schema = Field(description="The features.")
    model: RankerModel = Field(description="The architecture.")
    training: Training = Field(description="How.")
    checkpoints: str = Field(description="Folder of the checkpoints.")
    made_from: str = Field(description="Digest of everything the weights depend on.")


@dataclass(frozen=True)
class Inputs:
    """The arrays of a job."""

    tables: Tables
    train: Pairs
    validation: Pairs


def write(folder: Path, job: Job, prepared: Prepared) -> None:
    """Write a job and its arrays into `folder`."""
    arrays = _columns("users", prepared.users.columns) | _columns("items", prepared.items.columns)
    arrays["liked"] = prepared.item[prepared.histories.at]
    for name in ("train", "validation"):
        arrays |= _pairs(name, prepared, np.flatnonzero(prepared.parts == split.PARTS.index(name)))
    # The copies are contiguous and share no memory, as the format demands.
    save_file({name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}, folder / ARRAYS)
    (folder / JOB).write_text(job.model_dump_json(by_alias=True))


def read(folder: Path, device: torch.device) -> tuple[Job, Inputs]:
    """Return the job in `folder`, its arrays on `device`."""
    job = Job.model_validate_json((folder / JOB).read_bytes())
    arrays = load_file(folder / ARRAYS, device=str(device))
    tables = Tables(_tensors("users", arrays), _tensors("items", arrays), arrays["liked"])
    train, validation = (
        Pairs(**{field: arrays[key] for field in Pairs._fields if (key := f"{name}.{field}") in arrays})
        for name in ("train", "validation")
    )
    return job, Inputs(tables, train, validation)


def _columns(side: str, columns: Columns) -> dict[str, NDArray[np.generic]]:
    values: dict[str, NDArray[np.generic]] = {f"{side}.lists.{i}": v for i, v in enumerate(columns.lists)}
    values |= {f"{side}.weights.{i}": w for i, w in enumerate(columns.weights) if w is not None}
    return {f"{side}.ids": columns.ids, f"{side}.numeric": columns.numeric, **values}


def _pairs(name: str, prepared: Prepared, at: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    fields: dict[str, NDArray[np.generic]] = {
        "user": prepared.user[at],
        "item": prepared.item[at],
        "start": prepared.histories.start[at],
        "end": prepared.histories.end[at],
        "label": prepared.interactions.label[at],
    }
    if prepared.interactions.tasks is not None:
        fields["tasks"] = prepared.interactions.tasks[at]
    return {f"{name}.{field}": values for field, values in fields.items()}


def _tensors(side: str, arrays: dict[str, Tensor]) -> ColumnTensors:
    count = sum(name.startswith(f"{side}.lists.") for name in arrays)
    lists = [arrays[f"{side}.lists.{i}"] for i in range(count)]
    weights = [arrays.get(f"{side}.weights.{i}") for i in range(count)]
    return ColumnTensors(arrays[f"{side}.ids"], lists, arrays[f"{side}.numeric"], weights)
