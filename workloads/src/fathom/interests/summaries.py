"""What a multimodal model says of each cluster, on disk: `summaries.parquet` (cluster, summary), sealed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from fathom import manifest
from fathom.captioning.store import parts
from fathom.errors import InvalidInputError
from fathom.storage import Location

KIND: Final = "Summaries"
TABLE: Final = "summaries.parquet"


def write(folder: Location, said: Mapping[int, str], made_from: dict[str, str]) -> manifest.Manifest:
    """Write what is `said` of each cluster, by id."""
    table = pa.table(
        {"cluster": pa.array([*said], pa.int32()), "summary": pa.array([*said.values()], pa.string())}
    )
    parts.write(folder / TABLE, table)
    return manifest.write(folder, KIND, counts={"clusters": len(said)}, made_from=made_from, only={TABLE})


def read(folder: Location) -> dict[int, str]:
    """Return what is said of each cluster.

    Raises:
        InvalidInputError: it is unfinished or damaged, or something else.
    """
    found = manifest.verify(folder)
    if found.kind != KIND:
        raise InvalidInputError("NotSummaries", f"{folder}: holds {found.kind}, not {KIND}")
    with (folder / TABLE).open("rb") as data:
        table = pq.read_table(data)
    return dict(zip(table["cluster"].to_pylist(), table["summary"].to_pylist(), strict=True))
