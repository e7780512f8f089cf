"""Answering queries while items move: one encoder pass, ψ for the old space, one answer of both."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from PIL import Image

from fathom.backfill.compatibility import Compatibility
from fathom.errors import InvalidInputError
from fathom.retrieval.encoders import Encoder, Takes
from fathom.retrieval.errors import MixedModelsError
from fathom.retrieval.gallery import GalleryInfo
from fathom.retrieval.merging import Hit, Queries, Store, merged, ranked, unit
from fathom.retrieval.parts import Floats, Space, SpaceName
from fathom.retrieval.queries import Known, Query


class Searched(Store, Protocol):
    """A store that knows how many items it has."""

    def sizes(self) -> dict[SpaceName, int]:
        """Return how many items each space has."""
        ...


@dataclass(frozen=True)
class Encoders:
    """The models that embed queries; None where queries come as vectors."""

    new: Encoder | None = None
    old: Encoder | None = None


def searched_spaces(info: GalleryInfo, compatibility: Compatibility | None) -> dict[SpaceName, Space]:
    """Return the spaces as they are searched: a method may bring the old vectors into the new space."""
    brought = compatibility is not None and compatibility.old_gallery is not None
    dim = info.new.dim if brought else info.old.dim
    return {"old": info.old.model_copy(update={"dim": dim}), "new": info.new}


class Retriever:
    """Finds items for queries. For any number of threads."""

    def __init__(
        self, info: GalleryInfo, store: Searched, compatibility: Compatibility | None, encoders: Encoders
    ) -> None:
        """Take what is searched and what makes its two spaces comparable.

        Raises:
            InvalidInputError: something is of another model, or cannot serve items that move one by one.
        """
        self.info, self.store = info, store
        self._compatibility, self._encoders = compatibility, encoders
        self._encoding = threading.Lock()
        self._check()

    @property
    def known(self) -> Known:
        """What queries can be about."""
        encoder = self._encoders.new
        # Each picture or text is embedded by both models, or not at all.
        takes: frozenset[Takes] = frozenset() if encoder is None else encoder.takes
        if self._needs_old:
            takes = takes & self._encoders.old.takes if self._encoders.old else frozenset()
        return Known(self.info.old, self.info.new, takes, self._needs_old)

    @property
    def progress(self) -> float:
        """β: the share of items that are searched under the new model."""
        sizes = self.store.sizes()
        return sizes["new"] / max(1, sizes["old"] + sizes["new"])

    def model(self, space: SpaceName) -> str:
        """Return the digest of the model of a space."""
        return self.info.space(space).model

    def find(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the items for each query, best first."""
        new, old = self._vectors(queries)
        asked = self._asked(new, old)
        k = max(query.k for query in queries)
        return [
            merged(self._comparable(hits), query.k)
            for query, hits in zip(queries, self.store.search(asked, k), strict=True)
        ]

    def self_test(self) -> None:
        """Look for something.

        Raises:
            InvalidInputError: nothing is found.
        """
        vectors = [np.eye(1, space.dim, dtype=np.float32)[0] for space in (self.info.new, self.info.old)]
        if not self.find([Query(1, new=vectors[0], old=vectors[1])])[0]:
            raise InvalidInputError("NoItems", "the gallery has no items to find; import it again")

    @property
    def _needs_old(self) -> bool:
        return self._compatibility is not None and self._compatibility.needs_old_query

    def _asked(self, new: Floats, old: Floats | None) -> Queries:
        """Return the queries as each space understands them.

        The old space is asked even when it has no items: one may just be on its way back.
        """
        if self._compatibility is None:
            if self.store.sizes()["old"]:
                raise self._incomparable()
            return Queries(None, unit(new))
        if old is None:
            old = self._compatibility.old_query(unit(new))
        return Queries(unit(old), unit(self._compatibility.new_vector(unit(new))))

    def _comparable(self, hits: list[Hit]) -> list[Hit]:
        """Return hits whose scores compare across spaces."""
        compatibility = self._compatibility
        if compatibility is None:
            return hits
        if compatibility.info.merge == "Rank":
            return ranked(hits)
        if compatibility.steps is None:
            return hits
        scores = 1 - compatibility.merge_distance(1 - np.array([hit.score for hit in hits], np.float32))
        return [
            replace(hit, score=float(score)) if hit.space == "old" else hit
            for hit, score in zip(hits, scores, strict=True)
        ]

    def _vectors(self, queries: Sequence[Query]) -> tuple[Floats, Floats | None]:
        """Return the queries by the new model, and by the old one where it is needed or all came with it."""
        new = self._embedded(queries, self._encoders.new, "new")
        if self._needs_old:
            return new, self._embedded(queries, self._encoders.old, "old")
        old = [query.old for query in queries if query.old is not None]
        # What both models say of the query itself is better than what ψ makes of one; for all or for none.
        forward = self._compatibility is not None and self._compatibility.old_gallery is not None
        return new, None if forward or len(old) < len(queries) else np.stack(old)

    def _embedded(self, queries: Sequence[Query], encoder: Encoder | None, space: SpaceName) -> Floats:
        """Return float32 [n, dim]: what came as vectors as it is, the rest in one pass of the encoder."""
        found = np.zeros((len(queries), self.info.space(space).dim), np.float32)
        images: dict[int, Image.Image] = {}
        texts: dict[int, str] = {}
        for row, query in enumerate(queries):
            vector = query.new if space == "new" else query.old
            if vector is not None:
                found[row] = vector
            elif query.image is not None:
                images[row] = query.image
            elif query.text is not None:
                texts[row] = query.text
        if encoder is None:
            return found
        # Models are for one thread at a time, which then has all cores.
        with self._encoding:
            if images:
                found[list(images)] = encoder.pictures(list(images.values()))
            if texts:
                found[list(texts)] = encoder.texts(list(texts.values()))
        return found

    def _check(self) -> None:
        info, compatibility = self.info, self._compatibility
        if compatibility is not None:
            compatibility.expect(info.old.model, info.new.model)
            if compatibility.info.merge == "CutOver":
                raise InvalidInputError(
                    "NotServable",
                    f"{compatibility.info.method} searches nothing of the new space before all items are "
                    "there: "
                    "serve the old embeddings until then, or choose a method that merges, such as "
                    "MetricCompatible",
                )
        elif self.store.sizes()["old"]:
            raise self._incomparable()
        for encoder, space in ((self._encoders.new, info.new), (self._encoders.old, info.old)):
            if encoder is not None and encoder.digest != space.model:
                raise MixedModelsError(
                    f"the encoder is {encoder.digest}, the gallery's vectors are by {space.model}; vectors "
                    "of two "
                    f"models cannot be compared: bring {space.encoder or 'that model'} back as it was"
                )

    def _incomparable(self) -> MixedModelsError:
        return MixedModelsError(
            f"items are under {self.info.old.model} and queries are by {self.info.new.model}, and nothing "
            "makes "
            "them comparable: give --compatibility, the folder that `fathom backfill fit` has written"
        )
