"""Caption tokens of a bundle in words, and what the items table says of items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute
from pyarrow import dataset

from fathom.errors import InvalidInputError
from fathom.features.coverage import NAME as COVERAGE
from fathom.features.coverage import Coverage
from fathom.features.vocabulary import FIRST
from fathom.ranking import captions
from fathom.ranking.captions import TokenIds
from fathom.ranking.encode import texts
from fathom.ranking.schema import FeatureField
from fathom.report.features import names
from fathom.report.text import clean
from fathom.storage import existing_local
from fathom_api.captioning import ASPECT
from fathom_api.learning import CaptionsFeature
from fathom_api.recmodel import Data

pc: Any = pyarrow.compute
_MOST_TEXTS: Final = 3
_LONGEST: Final = 80


@dataclass(frozen=True)
class Words:
    """What the token ids of one feature stand for; `known` is empty where that cannot be told.

    `unknown_share` is of the n-grams of all captions, None where it is not known.
    """

    known: Mapping[int, str]
    unknown_share: float | None = None

    def of(self, token: int) -> str:
        """Return the token with this id of the bundle's, in words."""
        return self.known.get(token, f"#{token}")


def read(field: FeatureField, folders: Mapping[str, str]) -> Words:
    """Return the words of a caption feature from the features that its CaptionJob left.

    Features that have changed since the bundle was made have other ids: their words are not used.
    """
    job, _, aspect = field.name.removeprefix("captions/").partition("/")
    if job not in folders:
        return Words({})
    feature = CaptionsFeature(caption_job=job, aspect=aspect or ASPECT)
    try:
        captioned = captions.read([feature], folders)[0]
    except InvalidInputError:
        return Words({})
    ids = TokenIds.of(captioned)
    if ids.field(captioned).vocabulary_digest != field.vocabulary_digest:
        return Words({})
    folder = existing_local(folders[job]) / feature.aspect
    found = names(folder, set(ids.tokens.tolist()))
    known = {FIRST + at: found[token] for at, token in enumerate(ids.tokens.tolist()) if token in found}
    counted = Coverage.model_validate_json((folder / COVERAGE).read_bytes())
    return Words(known, counted.unknown_share if counted.items else None)


def about(data: Data, item_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return up to three texts that the items table has of these items; nothing where there is no table."""
    if data.items is None:
        return {}
    path = existing_local(data.items.uri)
    kind = path.suffix.lstrip(".") if path.is_file() else "parquet"
    if kind not in {"parquet", "csv"}:
        return {}
    table = dataset.dataset(path, format=kind)
    readable = [
        f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
    ]
    columns = [name for name in readable if name != data.item_column][:_MOST_TEXTS]
    wanted, found = pa.array(sorted(set(item_ids)), pa.string()), dict[str, list[str]]()
    for batch in table.to_batches(columns=[data.item_column, *columns]):
        own = batch.filter(pc.is_in(texts(batch[data.item_column]), value_set=wanted))
        for name, *said in zip(
            texts(own[data.item_column]).to_pylist(), *(own[c].to_pylist() for c in columns), strict=True
        ):
            found.setdefault(name, [clean(text, _LONGEST) for text in said if text])
    return found
