"""Item tables for a bundle that is being served: items that came after it was trained, and their features.

A folder with `items.parquet` (item_id, and a column for each feature given: tokens as the CaptionJob's ids)
and `_manifest.json`, which says of which bundle and vocabularies. The model's own weights make rows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from fathom import manifest, storage
from fathom.errors import InvalidInputError
from fathom.features.coverage import NAME as COVERAGE
from fathom.features.coverage import Coverage
from fathom.features.tables import NAME as FEATURES
from fathom.ranking import bundle, tables
from fathom.ranking.bundle import BundleInfo
from fathom.ranking.encode import Vocabulary
from fathom.ranking.schema import ID, FeatureField, Schema, weights_name
from fathom.storage import Location, appearing, digest_bytes
from fathom_api.captioning import ASPECT

pc: Any = pyarrow.compute
KIND: Final = "Items"
ITEMS: Final = "items.parquet"
SCHEMA: Final = "itemSchema"


def schema_digest(schema: Schema) -> str:
    """Return the digest of the item's features and vocabularies: equal means that rows mean the same."""
    fields = [field.model_dump_json(by_alias=True) for field in schema.item]
    return digest_bytes("\n".join(fields).encode())


def write(
    folder: Path, bundle_folder: Path, features: Mapping[str, Path], items: str | None = None
) -> manifest.Manifest:
    """Write the items that the bundle does not know, with their features, to `folder`.

    Args:
        folder: where to; the manifest comes last.
        bundle_folder: the bundle.
        features: folder of the features of each CaptionJob.
        items: URI of a table with the items' other features; those of items not in it are unknown.

    Raises:
        InvalidInputError: features are missing, or of another vocabulary than the bundle's.
    """
    info = bundle.read_info(bundle_folder)
    sealed = manifest.verify(bundle_folder)
    known = pq.read_table(bundle_folder / bundle.ITEMS, columns=["item_id"])["item_id"]
    known_tokens = bundle.read_vocabularies(bundle_folder)["item"]
    captioned = {
        field.name: _captions(field, features, known_tokens.get(field.name))
        for field in info.features.item
        if field.type == "Tokens"
    }
    own = _own(items, info)
    named = [table["item_id"] for table in (*captioned.values(), *own)]
    names = pc.unique(pa.chunked_array([c for n in named for c in n.cast(pa.string()).chunks], pa.string()))
    new = names.filter(pc.invert(pc.is_in(names, value_set=known.combine_chunks())))
    columns: dict[str, Any] = {"item_id": new}
    for name, table in captioned.items():
        columns[name] = _aligned(table, "tokens", new)
        if "weights" in table.column_names:
            columns[weights_name(name)] = _aligned(table, "weights", new)
    for table in own:
        columns |= {name: _aligned(table, name, new) for name in table.column_names if name != "item_id"}
    with appearing(folder / ITEMS) as path:
        pq.write_table(pa.table(columns), path)
    made_from = {"bundle": sealed.digest, SCHEMA: schema_digest(info.features)}
    return manifest.write(folder, KIND, counts={"items": len(new)}, made_from=made_from)


def read(folder: Location, schema: Schema) -> pa.Table:
    """Return the table in `folder`: item_id and features of items.

    Raises:
        InvalidInputError: it is unfinished, damaged, or made for another bundle's vocabularies.
    """
    sealed = manifest.verify(folder)
    if sealed.kind != KIND:
        raise InvalidInputError("NotItems", f"{folder}: holds {sealed.kind}, not items; use fathom items")
    ours, theirs = schema_digest(schema), sealed.made_from.get(SCHEMA, "")
    if ours != theirs:
        raise InvalidInputError(
            "OtherVocabulary",
            f"{folder}: made for item features {theirs[:15]}, the bundle has {ours[:15]}; "
            "make it with this bundle: fathom items --bundle …",
        )
    with (folder / ITEMS).open("rb") as content:
        return pq.read_table(content)


def columns(table: pa.Table) -> dict[str, pa.Array]:
    """Return the features in a table of items, by name."""
    return {
        name: table[name].combine_chunks() if table[name].num_chunks != 1 else table[name].chunk(0)
        for name in table.column_names
        if name != "item_id"
    }


def _captions(field: FeatureField, folders: Mapping[str, Path], tokens: Vocabulary | None) -> pa.Table:
    """Return item_id and tokens of one caption feature, of the vocabulary that the model has learned."""
    job, _, aspect = field.name.removeprefix("captions/").partition("/")
    if job not in folders:
        raise InvalidInputError(
            "MissingFeatures", f"the bundle uses {field.name}: give --features {job}=FOLDER"
        )
    manifest.verify(folders[job])
    folder = folders[job] / (aspect or ASPECT)
    if not (folder / FEATURES).is_file():
        raise InvalidInputError("MissingAspect", f"{folders[job]}: has no aspect {aspect or ASPECT}")
    if tokens is None:
        raise InvalidInputError("NoTokens", "the bundle does not say what its tokens are; train it again")
    covered = Coverage.model_validate_json((folder / COVERAGE).read_bytes())
    digest = digest_bytes(covered.vocabulary.encode() + np.array(list(map(int, tokens)), np.int32).tobytes())
    if digest != field.vocabulary_digest:
        raise InvalidInputError(
            "OtherVocabulary",
            f"{folders[job]}: its vocabulary is {covered.vocabulary}, which is not the one that the bundle's "
            f"{field.name} was trained with; featurise with that vocabulary, or train again",
        )
    names = pq.read_schema(folder / FEATURES).names
    return tables.read(str(folder / FEATURES), [n for n in ("item_id", "tokens", "weights") if n in names])


def _own(items: str | None, info: BundleInfo) -> list[pa.Table]:
    names = [f.name for f in info.features.item if f.type != "Tokens" and f.name != ID]
    if items is None:
        return []
    table = tables.read(items, [info.item_column, *names])
    ids = pc.cast(table[info.item_column], pa.string())
    return [pa.table({"item_id": ids, **{name: table[name] for name in names}})]


def _aligned(table: pa.Table, column: str, names: pa.Array) -> pa.Array:
    ids = table["item_id"].cast(pa.string()).combine_chunks()
    return table[column].combine_chunks().take(pc.index_in(names, value_set=ids))


def command(
    bundle_uri: str, features: Mapping[str, str], output: str, items: str | None
) -> manifest.Manifest:
    """Run `fathom items`.

    Raises:
        InvalidInputError: as `write`.
    """
    folders = {job: storage.existing_local(uri) for job, uri in features.items()}
    return write(storage.local(output), storage.existing_local(bundle_uri), folders, items)
