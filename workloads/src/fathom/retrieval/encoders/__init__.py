"""Embedding models: pictures or texts in, vectors out.

`fathom://efficientnet-lite0` needs no model hub; with a number behind a slash
(`fathom://efficientnet-lite0/96`) it looks at pictures of so many pixels, which is faster and sees less.
`hf://organisation/name`, `pvc://claim/path` and folders are opened with transformers: towers for pictures and
texts (CLIP, SigLIP), for pictures (DINOv2, ViT) or for
texts (BERT and its kin). Weights are safetensors, and no code comes with them.
"""

from __future__ import annotations

from typing import Literal, Protocol

from PIL.Image import Image

from fathom.errors import InvalidInputError
from fathom.retrieval.parts import Floats

Takes = Literal["image", "text"]


class Encoder(Protocol):
    """An embedding model. For one thread at a time."""

    @property
    def digest(self) -> str:
        """`sha256:` of what it computes with; vectors of two digests cannot be compared."""
        ...

    @property
    def dim(self) -> int:
        """Components of a vector."""
        ...

    @property
    def takes(self) -> frozenset[Takes]:
        """What it embeds."""
        ...

    def pictures(self, pictures: list[Image]) -> Floats:
        """Return float32 [n, dim], of unit length, of RGB pictures."""
        ...

    def texts(self, texts: list[str]) -> Floats:
        """Return float32 [n, dim], of unit length."""
        ...


def open_encoder(uri: str) -> Encoder:
    """Return the embedding model at `uri`, on a GPU if there is one.

    Raises:
        InvalidInputError: there is none, it has no safetensors, or it embeds neither pictures nor texts.
        OSError: the hub cannot be reached now; another try may help.
    """
    if uri.startswith("fathom://"):
        from fathom.retrieval.encoders import efficientnet

        return efficientnet.opened(uri)
    from fathom.retrieval.encoders import pretrained

    return pretrained.opened(uri)


def does_not_take(uri: str, kind: Takes) -> InvalidInputError:
    """Return why a model embeds no such thing."""
    what = "texts" if kind == "text" else "pictures"
    return InvalidInputError("UnusableEncoder", f"{uri} embeds no {what}; name a model that does")
