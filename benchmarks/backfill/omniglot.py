"""Omniglot's two small background sets (Lake et al. 2015): drawings of characters, and how they are split.

The old model learns half of the known characters, the new one all of them. Each character was drawn by
twenty people: some drawings train, some choose settings, some are only tested. Further characters are seen
by no model.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Ints = NDArray[np.int64]
SIDE: Final = 16
_ARCHIVES: Final = ("images_background_small1.zip", "images_background_small2.zip")
#: Of the twenty drawings of a character: these train, the next ones choose, the others are tested.
_TRAINING, _VALIDATION = 13, 2
#: Characters that no model sees, for choosing and for testing.
_UNSEEN_VALIDATION, _UNSEEN_TEST = 20, 42


@dataclass(frozen=True)
class Part:
    """Pictures float32 [n, 1, SIDE, SIDE] (ink is 1) with their character's number, int64 [n]."""

    pictures: NDArray[np.float32]
    labels: Ints

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, labels: Ints) -> Part:
        """Return what has one of `labels`."""
        kept = np.isin(self.labels, labels)
        return Part(self.pictures[kept], self.labels[kept])


@dataclass(frozen=True)
class Split:
    """One draw of who knows what.

    Attributes:
        old: characters the old model learns, half of those the new one does.
        training: drawings of all known characters that models and transforms learn from.
        validation, test: other people's drawings of the same characters.
        unseen_validation, unseen_test: all drawings of characters that nothing has learned from.
    """

    old: Ints
    training: Part
    validation: Part
    test: Part
    unseen_validation: Part
    unseen_test: Part


def read(folder: Path) -> NDArray[np.float32]:
    """Return the drawings, float32 [characters, 20, SIDE, SIDE].

    The two archives share two alphabets (Greek, Latin): a character that is in both counts once, or the same
    drawing would be in the gallery under two names.
    """
    found: dict[str, dict[int, NDArray[np.float32]]] = {}
    for name, content in _drawings(folder):
        alphabet, character, file = name.split("/")[1:]
        drawing = int(file.removesuffix(".png").split("_")[1])
        found.setdefault(f"{alphabet}/{character}", {})[drawing] = _picture(content)
    return np.stack([np.stack([own[n] for n in sorted(own)]) for _, own in sorted(found.items())])


def split(drawings: NDArray[np.float32], seed: int) -> Split:
    """Return the draw of `seed`; test drawings are the same people's in every draw, characters differ."""
    order = np.random.default_rng([seed, 7]).permutation(len(drawings))
    unseen_test, unseen_validation, known = np.split(order, [_UNSEEN_TEST, _UNSEEN_TEST + _UNSEEN_VALIDATION])
    ends = (_TRAINING, _TRAINING + _VALIDATION)
    return Split(
        old=np.sort(known[: len(known) // 2]),
        training=_part(drawings, known, slice(0, ends[0])),
        validation=_part(drawings, known, slice(*ends)),
        test=_part(drawings, known, slice(ends[1], None)),
        unseen_validation=_part(drawings, unseen_validation, slice(None)),
        unseen_test=_part(drawings, unseen_test, slice(None)),
    )


def _part(drawings: NDArray[np.float32], characters: Ints, which: slice) -> Part:
    own = drawings[np.sort(characters), which]
    return Part(own.reshape(-1, 1, SIDE, SIDE), np.repeat(np.sort(characters), own.shape[1]).astype(np.int64))


def _drawings(folder: Path) -> Iterator[tuple[str, bytes]]:
    for archive in _ARCHIVES:
        path = folder / archive
        if not path.is_file():
            raise SystemExit(f"{path}: not there; get it from github.com/brendenlake/omniglot, python/")
        with zipfile.ZipFile(path) as opened:
            for name in opened.namelist():
                if name.endswith(".png"):
                    yield name, opened.read(name)


def _picture(content: bytes) -> NDArray[np.float32]:
    opened = Image.open(io.BytesIO(content)).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return 1 - np.asarray(opened, np.float32) / 255
