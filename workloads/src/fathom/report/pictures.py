"""Pictures and frames of the items that are shown, made small; one that cannot be had says why."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from PIL import Image

from fathom.errors import InvalidInputError
from fathom.report import columns
from fathom.report.columns import pc
from fathom.report.text import clean
from fathom_api.tasks import AnySource

_SIDE: Final = 360
_FRAME_SIDE: Final = 176
_FRAMES: Final = 8
#: All pictures together, encoded: the report stays small enough to be mailed.
MAX_BYTES: Final = 5_000_000
#: Longest time spent on them: a slow store costs pictures, not the report.
MAX_SECONDS: Final = 120.0
#: Rows between two wanted ones that are read over rather than read around.
_GAP: Final = 32
_ABOUT: Final = 160


class Clip(Protocol):
    """Decoded media: frames and, of a video, their times in seconds."""

    @property
    def frames(self) -> tuple[Image.Image, ...]:
        """The pictures, RGB."""
        ...

    @property
    def times(self) -> tuple[float, ...]:
        """Where in the video they are; () for a picture."""
        ...


class Row(Protocol):
    """A row of the source."""

    @property
    def row(self) -> int:
        """Its place, from 0."""
        ...

    @property
    def id(self) -> str | None:
        """The item's id."""
        ...

    @property
    def media(self) -> Any:
        """What the media column holds."""
        ...

    @property
    def texts(self) -> Any:
        """The item's texts by column."""
        ...


class Reader(Protocol):
    """A source that is open."""

    def ids(self) -> Iterator[pa.RecordBatch]:
        """Yield the ids of all rows, in order."""
        ...

    def items(self, start: int, stop: int) -> Iterator[Row]:
        """Yield rows [start, stop)."""
        ...


#: Reads and decodes what a media column holds; raises an exception with `reason` and a message if it cannot.
Decode = Callable[[Any], Clip]


@dataclass(frozen=True)
class Frame:
    """A picture as a `data:` URI, its size in pixels, and its time (`1:05`) if it is of a video."""

    uri: str
    width: int
    height: int
    time: str = ""


@dataclass(frozen=True)
class Seen:
    """What an item looks like: frames, or why there is none; and what its text columns say."""

    frames: tuple[Frame, ...] = ()
    missing: str = ""
    texts: tuple[tuple[str, str], ...] = ()


class Album:
    """Takes small pictures of items until their bytes or the time are used up."""

    def __init__(
        self,
        reader: Reader,
        decode: Decode,
        *,
        max_bytes: int = MAX_BYTES,
        max_seconds: float = MAX_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader, self._decode = reader, decode
        self._bytes_left = max_bytes
        self._clock, self._until = clock, clock() + max_seconds

    def show(self, item_ids: Iterable[str]) -> dict[str, Seen]:
        """Return what each of the items looks like; those that the source does not hold (any more) lack."""
        places = places_of(self._reader, item_ids)
        found: dict[str, Seen] = {}
        for start, stop in ranges(sorted(places)):
            if self._clock() > self._until:
                left = (places[row] for row in places if row >= start)
                found |= dict.fromkeys(left, Seen(missing="The time for pictures was used up."))
                break
            try:
                for item in self._reader.items(start, stop):
                    if item.row in places:
                        found[places[item.row]] = self._see(item)
            except InvalidInputError as error:
                missing = Seen(missing=clean(str(error), _ABOUT))
                found |= {places[row]: missing for row in range(start, stop) if row in places}
        return found

    def _see(self, item: Row) -> Seen:
        texts = tuple((clean(k, 64), clean(v, _ABOUT)) for k, v in itertools.islice(item.texts.items(), 3))
        if self._bytes_left <= 0:
            return Seen(missing="Left out to keep the report small.", texts=texts)
        try:
            frames = small(self._decode(item.media))
        except Exception as error:
            reason = getattr(error, "reason", type(error).__name__)
            return Seen(missing=clean(f"{reason}: {error}", _ABOUT), texts=texts)
        self._bytes_left -= sum(len(frame.uri) for frame in frames)
        return Seen(frames=frames, texts=texts)


def places_of(reader: Reader, item_ids: Iterable[str]) -> dict[int, str]:
    """Return the first row of each of the items that `reader` holds, row → id."""
    wanted = pa.array(sorted(set(item_ids)), pa.string())
    places: dict[str, int] = {}
    start = 0
    for rows in reader.ids():
        hits = np.flatnonzero(pc.is_in(rows["item_id"], value_set=wanted).to_numpy(zero_copy_only=False))
        for place, item in zip(
            hits.tolist(), columns.texts(rows["item_id"].take(pa.array(hits))), strict=True
        ):
            places.setdefault(item, start + place)
        start += rows.num_rows
        if len(places) == len(wanted):
            break
    return {row: item for item, row in places.items()}


def open_album(source: AnySource) -> Album:
    """Return the pictures of the items of `source`.

    Raises:
        InvalidInputError: it cannot be read.
        ImportError: this image has nothing that decodes media.
    """
    from fathom.captioning import media
    from fathom.captioning.sources import open_source

    return Album(open_source(source), lambda value: media.decode(media.read(value, source), source))


def small(clip: Clip) -> tuple[Frame, ...]:
    """Return a picture, or up to eight frames of a video, as small WebP."""
    if not clip.times:
        return (_frame(clip.frames[0], _SIDE, ""),)
    every = np.linspace(0, len(clip.frames) - 1, min(_FRAMES, len(clip.frames))).round().astype(int).tolist()
    return tuple(_frame(clip.frames[n], _FRAME_SIDE, _minutes(clip.times[n])) for n in every)


def _frame(picture: Image.Image, side: int, moment: str) -> Frame:
    copy = picture.copy()
    copy.thumbnail((side, side))
    data = BytesIO()
    copy.save(data, "WEBP", quality=72, method=4)
    uri = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
    return Frame(uri, copy.width, copy.height, moment)


def _minutes(seconds: float) -> str:
    return (
        f"{int(seconds) // 60}:{seconds % 60:04.1f}"
        if seconds % 1
        else f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    )


def ranges(rows: list[int]) -> Iterator[tuple[int, int]]:
    """Yield ranges that hold all of `rows`; near ones share a range."""
    start = 0
    for place, row in enumerate(rows):
        if place + 1 == len(rows) or rows[place + 1] - row > _GAP:
            yield rows[start], row + 1
            start = place + 1
