"""What merging two embedding spaces needs, as two files: how a query meets old items, how scores compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from fathom.backfill.arrays import Floats, vectors
from fathom.backfill.transform import Transform
from fathom.errors import InvalidInputError
from fathom.storage import Location, appearing
from fathom_api.meta import StatusModel

INFO: Final = "compatibility.json"
WEIGHTS: Final = "compatibility.safetensors"
#: How a query becomes a vector of the old space: by ψ, by the old model (a second pass), or not at all.
OldQuery = Literal["Transformed", "OldModel", "Unchanged"]
#: What decides between an old and a new item: distance, rank among its own, or nothing before the end.
Merge = Literal["Distance", "Rank", "CutOver"]


class Info(StatusModel):
    """What a compatibility is and how well it did."""

    format: Literal[1] = 1
    method: str = Field(description="Name of the method, as `fathom.backfill.METHODS` lists them.")
    from_digest: str = Field(pattern=r"^sha256:", description="The old model's digest.")
    to_digest: str = Field(pattern=r"^sha256:", description="The new model's digest.")
    old_width: int = Field(ge=1, description="Width of the old vectors.")
    new_width: int = Field(ge=1, description="Width of the new vectors.")
    metric: Literal["cosine"] = "cosine"
    old_query: OldQuery = Field(description="How a query becomes a vector of the old space.")
    merge: Merge = Field(description="What decides between an old and a new item.")
    labels: str = Field(description="What said which items belong together: Classes, Pairs, Clusters, None.")
    seed: int = Field(description="Of all that was random.")
    pairs: int = Field(ge=0, description="Items embedded by both models that it learned from.")
    held_out: dict[str, float] = Field(
        default_factory=dict, description="Figures on pairs it did not learn from."
    )


@dataclass(frozen=True)
class Compatibility:
    """How queries and items of a new model live beside items of an old one.

    Attributes:
        info: what it is.
        query: ψ, new space → old space.
        gallery: ρ, new space → new space; what a gallery stores of new items. None: as they are.
        old_gallery: old space → new space, for methods that transform the old gallery before they start.
        steps: isotonic calibration of old distances, float32 [2, m]: distance, and what it compares to.
    """

    info: Info
    query: Transform | None = None
    gallery: Transform | None = None
    old_gallery: Transform | None = None
    steps: Floats | None = None

    @property
    def needs_old_query(self) -> bool:
        """Whether each query must be embedded by the old model too: two encoder passes in place of one."""
        return self.info.old_query == "OldModel"

    def old_query(self, new_queries: Floats) -> Floats:
        """Return queries for the old space, float32 [n, d_old] of unit length, of `new_queries` [n, d_new].

        Raises:
            InvalidInputError: the method has no such transform, or the vectors are not the new model's.
        """
        if self.needs_old_query:
            raise InvalidInputError(
                "NeedsOldModel",
                f"{self.info.method} embeds each query with the old model too: "
                "pass its vectors, or choose a method with a query transform, such as MetricCompatible",
            )
        given = vectors("queries", new_queries, width=self.info.new_width)
        if self.query is not None:
            return self.query(given)
        if self.old_gallery is not None:
            return self.new_vector(given)
        return _resized(self.new_vector(given), self.info.old_width)

    def new_vector(self, new: Floats) -> Floats:
        """Return what the new space stores and is asked with, float32 [n, d_new] of unit length: ρ, or `new`.

        Raises:
            InvalidInputError: the vectors are not the new model's.
        """
        given = vectors("new vectors", new, width=self.info.new_width)
        return given if self.gallery is None else self.gallery(given)

    def old_vector(self, old: Floats) -> Floats:
        """Return what is searched of old items: `old`, or where the method transforms the gallery [n, d_new].

        Raises:
            InvalidInputError: the vectors are not the old model's.
        """
        given = vectors("old vectors", old, width=self.info.old_width)
        return given if self.old_gallery is None else self.old_gallery(given)

    def merge_distance(self, old_distance: Floats) -> Floats:
        """Return cosine distances (1 − cosine, any shape) to old items such that they compare to new ones'.

        They do as they are, but for a method that calibrates them.
        """
        if self.steps is None:
            return old_distance
        return np.interp(old_distance, self.steps[0], self.steps[1]).astype(np.float32)

    def expect(self, from_digest: str, to_digest: str) -> None:
        """Make sure that this is between these two models.

        Raises:
            InvalidInputError: it was learned between others; vectors of equal width would mix silently.
        """
        if (self.info.from_digest, self.info.to_digest) != (from_digest, to_digest):
            raise InvalidInputError(
                "MixedModels",
                f"this compatibility is from {self.info.from_digest} to {self.info.to_digest}, the gallery "
                f"needs one from {from_digest} to {to_digest}: fit it again",
            )

    def save(self, folder: Location) -> None:
        """Write both files to `folder`, the description last: with it the compatibility exists."""
        from safetensors.numpy import save_file

        tensors: dict[str, Floats] = {} if self.steps is None else {"steps": np.ascontiguousarray(self.steps)}
        for name, transform in self._transforms().items():
            tensors |= transform.tensors(name) if transform else {}
        with appearing(folder / WEIGHTS) as path:
            save_file(tensors, path)
        with appearing(folder / INFO) as path:
            path.write_text(self.info.model_dump_json(by_alias=True, indent=2))

    @classmethod
    def load(cls, folder: Location) -> Compatibility:
        """Return the compatibility in `folder`.

        Raises:
            InvalidInputError: there is none, or it is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        if not (folder / INFO).is_file():
            raise InvalidInputError(
                "NotACompatibility", f"{folder}: no {INFO}; give the folder that a fit was saved to"
            )
        try:
            info = Info.model_validate_json((folder / INFO).read_bytes())
            tensors = load((folder / WEIGHTS).read_bytes())
            query, gallery, old_gallery = (
                Transform.of(name, tensors) for name in ("query", "gallery", "old_gallery")
            )
        except (FileNotFoundError, SafetensorError, ValidationError, KeyError, ValueError) as error:
            raise InvalidInputError("Damaged", f"{folder}: cannot be read ({error}); fit it again") from error
        if info.old_query == "Transformed" and query is None:
            raise InvalidInputError("Damaged", f"{folder}: its query transform is missing; fit it again")
        return cls(info, query, gallery, old_gallery, tensors.get("steps"))

    def _transforms(self) -> dict[str, Transform | None]:
        return {"query": self.query, "gallery": self.gallery, "old_gallery": self.old_gallery}


def _resized(given: Floats, width: int) -> Floats:
    """Return `given` cut or filled with zeros to `width`: what mixing two models by mistake amounts to."""
    kept = given[:, :width]
    return np.pad(kept, ((0, 0), (0, width - kept.shape[1])))
