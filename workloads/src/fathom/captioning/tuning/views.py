"""Views of pictures to learn from: as they are, mirrored, cropped."""

from __future__ import annotations

import hashlib
from typing import Final

import torch
from PIL import Image

from fathom.captioning.tuning.pairs import Pairs
from fathom_api.captioning import Augmentation

#: Views of a picture where it is cropped; there is no more to mirroring than two.
_CROPPED: Final = 4
#: What a crop leaves of each side, at least. Much less, and what a caption speaks of is no longer there.
_LEAST: Final = 0.8


class Views:
    """Every picture of some pairs in a few views, the first of which is the picture as it is.

    They are as many for each picture and follow from its bytes, so that what a frozen vision part sees of
    them can be computed once, and a training that was interrupted goes on with the same ones.
    """

    def __init__(self, pairs: Pairs, augment: list[Augmentation]) -> None:
        """Take the pairs and what may be done to their pictures; nothing: the only view is the picture."""
        self._pairs = pairs
        self._crop, self._flip = "Crop" in augment, "Flip" in augment
        #: Views of each picture, V.
        self.count = _CROPPED if self._crop else 2 if self._flip else 1

    def __len__(self) -> int:
        return self._pairs.media_count * self.count

    def __getitem__(self, number: int) -> Image.Image:
        """Return a picture's view: `number` is the medium's × V + the view's."""
        medium, view = divmod(number, self.count)
        picture = self._pairs.image(medium)
        if self._crop and view:
            picture = picture.crop(_box(picture.size, f"{self._pairs.sha256(medium)}:{view}"))
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self._flip and view % 2 else picture

    def drawn(self, media: list[int], *, training: bool) -> list[int]:
        """Return the number of one view of each of `media`, drawn by torch's generator; else the first."""
        if self.count == 1 or not training:
            return [medium * self.count for medium in media]
        views = torch.randint(self.count, (len(media),)).tolist()
        return [medium * self.count + view for medium, view in zip(media, views, strict=True)]


def _box(size: tuple[int, int], name: str) -> tuple[int, int, int, int]:
    """Return left, upper, right and lower of a crop of a picture of `size`, drawn by `name`."""
    drawn = hashlib.blake2b(name.encode(), digest_size=4).digest()
    sides = [_side(length, *drawn[at : at + 2]) for length, at in zip(size, (0, 2), strict=True)]
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _side(length: int, share: int, place: int) -> tuple[int, int]:
    kept = max(1, round(length * (_LEAST + (1 - _LEAST) * share / 255)))
    start = round((length - kept) * place / 255)
    return start, start + kept
