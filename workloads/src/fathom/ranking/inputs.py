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
from fathom.ranking.stream.scratch import chunks, where
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
    """Write a job into `folder`: tables as safetensors, what has a row for each interaction as .npy."""
    arrays = _columns("users", prepared.users.columns) | _columns("items", prepared.items.columns)
    # The copies are contiguous and share no memory, as the format demands.
    save_file({name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}, folder / ARRAYS)
    _save(folder, "liked", prepared.item, prepared.histories.at)
    histories = prepared.histories
    for number, name in enumerate(split.PARTS[:2]):
        at = where(lambda part, number=number: prepared.parts[part] == number, len(prepared.parts))
        events = prepared.interactions
        columns = (prepared.user, prepared.item, histories.start, histories.end, events.label, events.tasks)
        for field, values in zip(Pairs._fields, (*columns, *prepared.context.told), strict=True):
            if values is not None:
                _save(folder, f"{name}.{field}", values, at)
    (folder / JOB).write_text(job.model_dump_json(by_alias=True))


def read(folder: Path, device: torch.device) -> tuple[Job, Inputs]:
    """Return the job in `folder`: its tables on `device`, its interactions where they lie on disk."""
    job = Job.model_validate_json((folder / JOB).read_bytes())
    arrays = load_file(folder / ARRAYS, device=str(device))
    liked = _load(folder, "liked").to(device)
    tables = Tables(_tensors("users", arrays), _tensors("items", arrays), liked)
    train, validation = (_pairs(folder, name, device) for name in split.PARTS[:2])
    return job, Inputs(tables, train, validation)


def _save(folder: Path, name: str, values: NDArray[np.generic], at: NDArray[np.int64]) -> None:
    """Save `values[at]`, never all of them in memory."""
    shape = (len(at), *values.shape[1:])
    found = np.lib.format.open_memmap(_path(folder, name), mode="w+", dtype=values.dtype, shape=shape)
    for part in chunks(len(at)):
        found[part] = values[at[part]]


def _load(folder: Path, name: str) -> Tensor:
    return torch.from_numpy(np.load(_path(folder, name), mmap_mode="r+"))


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _pairs(folder: Path, name: str, device: torch.device) -> Pairs:
    names = [field for field in Pairs._fields if _path(folder, f"{name}.{field}").is_file()]
    # On a CPU `to` leaves them where they are, on disk.
    return Pairs(**{field: _load(folder, f"{name}.{field}").to(device) for field in names})


def _columns(side: str, columns: Columns) -> dict[str, NDArray[np.generic]]:
    values: dict[str, NDArray[np.generic]] = {f"{side}.lists.{i}": v for i, v in enumerate(columns.lists)}
    values |= {f"{side}.weights.{i}": w for i, w in enumerate(columns.weights) if w is not None}
    return {f"{side}.ids": columns.ids, f"{side}.numeric": columns.numeric, **values}


def _tensors(side: str, arrays: dict[str, Tensor]) -> ColumnTensors:
    count = sum(name.startswith(f"{side}.lists.") for name in arrays)
    lists = [arrays[f"{side}.lists.{i}"] for i in range(count)]
    weights = [arrays.get(f"{side}.weights.{i}") for i in range(count)]
    return ColumnTensors(arrays[f"{side}.ids"], lists, arrays[f"{side}.numeric"], weights)
