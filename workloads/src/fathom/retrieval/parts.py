"""Parts of a gallery: one Parquet file each, which appears whole, with the model that made its vectors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from fathom.errors import InvalidInputError
from fathom.retrieval.errors import MixedModelsError
from fathom.storage import Location, appearing
from fathom_api.meta import StatusModel

pc: Any = pyarrow.compute
Floats = NDArray[np.float32]
SpaceName = Literal["old", "new"]
#: Both, in the order in which they are searched.
SPACES: Final[tuple[SpaceName, SpaceName]] = ("old", "new")
#: Where a part says what it is, among Parquet's key-value metadata.
KEY: Final = b"fathom"
_COLUMNS: Final = ["id", "version", "vector"]


class Space(StatusModel):
    """The vectors of one model."""

    model: str = Field(
        pattern=r"^sha256:[0-9a-f]{64}$", description="Digest of the model that made the vectors."
    )
    dim: int = Field(ge=1, le=65_536, description="Components of a vector.")
    encoder: str = Field(default="", description="Where the model is, for people and for the retriever.")


class PartInfo(StatusModel):
    """What a part says of itself."""

    space: SpaceName
    model: str
    rows: int
    content: str


@dataclass(frozen=True)
class Rows:
    """Items with their vectors.

    Attributes:
        ids: strings without nulls, each once [n].
        vectors: float32 [n, dim].
        versions: int64 [n], of two rows with one id the higher is in force; zeros for a catalogue without
        versions.
    """

    ids: pa.StringArray
    vectors: Floats
    versions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.versions):
            object.__setattr__(self, "versions", np.zeros(len(self.ids), np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[Any]) -> Rows:
        """Return some of the rows, by number or by mask."""
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Rows(self.ids.take(pa.array(chosen)), self.vectors[chosen], self.versions[chosen])


def checked(rows: Rows, space: Space, model: str, where: str) -> Rows:
    """Return `rows` of `model` as `space` takes them.

    Raises:
        MixedModelsError: another model made them.
        InvalidInputError: shape, type or content is not what it should be.
    """
    if model != space.model:
        raise MixedModelsError(
            f"{where}: these vectors are of model {model}, the space is of {space.model}; vectors of two "
            "models "
            "cannot be compared: embed these items with the space's model, or start a gallery for the new one"
        )
    vectors = np.ascontiguousarray(rows.vectors, np.float32)
    if vectors.shape != (len(rows), space.dim):
        raise InvalidInputError(
            "WrongShape", f"{where}: vectors {list(vectors.shape)}, expected [{len(rows)}, {space.dim}]"
        )
    if len(rows.versions) != len(rows):
        raise InvalidInputError("WrongShape", f"{where}: {len(rows.versions)} versions for {len(rows)} items")
    if not np.isfinite(vectors).all():
        broken = rows.ids[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
        raise InvalidInputError(
            "NotFinite", f"{where}: the vector of {broken} holds NaN or infinity; leave it out"
        )
    if rows.ids.null_count or pc.any(pc.equal(rows.ids, "")).as_py():
        raise InvalidInputError("NoId", f"{where}: an item has no id; leave it out")
    counts = pc.value_counts(rows.ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise InvalidInputError(
            "Duplicate", f"{where}: {twice[0]['values']} is there twice; keep one of them"
        )
    return Rows(rows.ids, vectors, rows.versions.astype(np.int64))


def write(path: Location, rows: Rows, space: SpaceName, model: str) -> PartInfo:
    """Write a part; a reader sees all of it or none."""
    info = PartInfo(space=space, model=model, rows=len(rows), content=content(rows))
    flat = pa.array(rows.vectors.reshape(-1))
    table = pa.table(
        {
            "id": rows.ids,
            "version": pa.array(rows.versions),
            "vector": pa.FixedSizeListArray.from_arrays(flat, rows.vectors.shape[1]),
        }
    ).replace_schema_metadata({KEY: info.model_dump_json(by_alias=True)})
    with appearing(path) as temporary:
        # Vectors are noise to a compressor.
        pq.write_table(table, temporary, compression="none", use_dictionary=False, write_statistics=False)
    return info


def info(path: Location) -> PartInfo:
    """Return what the part at `path` says of itself; its rows are not read.

    Raises:
        InvalidInputError: it is no part of a gallery.
    """
    with path.open("rb") as file:
        try:
            return _info(path, pq.read_schema(file))
        except pa.ArrowInvalid as error:
            raise _damaged(path, str(error)) from error


def read(path: Location, space: Space) -> Rows:
    """Return the rows of the part at `path`, after checking them against its digest.

    Raises:
        MixedModelsError: it is of another model than `space`.
        InvalidInputError: it is no part of a gallery, or its content has changed.
    """
    try:
        with path.open("rb") as file:
            # Read at once: what is left of a Parquet file is then not needed beside its rows.
            table = pq.read_table(file, columns=_COLUMNS).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise _damaged(path, str(error)) from error
    said = _info(path, table.schema)
    if said.model != space.model:
        raise MixedModelsError(
            f"{path}: vectors of model {said.model} in a space of {space.model}; two models' vectors cannot "
            "be "
            "compared: take the file out and embed its items again"
        )
    vectors = _column(table, "vector")
    width = vectors.type.list_size if pa.types.is_fixed_size_list(vectors.type) else 0
    if width != space.dim:
        raise InvalidInputError("WrongShape", f"{path}: vectors have {width} components, not {space.dim}")
    flat: Floats = vectors.flatten().to_numpy(zero_copy_only=False)
    versions: NDArray[np.int64] = _column(table, "version").to_numpy(zero_copy_only=False)
    rows = Rows(_column(table, "id"), flat.reshape(-1, width), versions)
    if content(rows) != said.content:
        raise _damaged(path, "its content is not what its digest says")
    return rows


def ids(path: Location) -> tuple[pa.StringArray, NDArray[np.int64]]:
    """Return ids and versions of the part at `path`, unchecked; its vectors are not read.

    Raises:
        InvalidInputError: it is no part of a gallery.
    """
    try:
        with path.open("rb") as file:
            table = pq.read_table(file, columns=_COLUMNS[:2]).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise _damaged(path, str(error)) from error
    return _column(table, "id"), _column(table, "version").to_numpy(zero_copy_only=False)


def content(rows: Rows) -> str:
    """Return `sha256:` of ids, versions and vectors."""
    total = hashlib.sha256()
    for text in rows.ids.to_pylist():
        encoded = text.encode()
        total.update(len(encoded).to_bytes(4, "little") + encoded)
    total.update(rows.versions.astype("<i8").tobytes())
    total.update(np.ascontiguousarray(rows.vectors, "<f4").data)
    return f"sha256:{total.hexdigest()}"


def _column(table: pa.Table, name: str) -> Any:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks else column.type.wrap_array(pa.array([], column.type))


def _info(path: Location, schema: pa.Schema) -> PartInfo:
    try:
        return PartInfo.model_validate_json((schema.metadata or {})[KEY])
    except (KeyError, ValidationError) as error:
        raise InvalidInputError(
            "NotAPart", f"{path}: not a part of a gallery (no {KEY.decode()!r} in its metadata); take it out"
        ) from error


def _damaged(path: Location, why: str) -> InvalidInputError:
    return InvalidInputError("Damaged", f"{path}: {why}; write this part again")
