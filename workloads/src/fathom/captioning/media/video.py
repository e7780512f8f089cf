"""Frames of videos and animations.

A video is gone through twice. First its packets are listed without decoding, which tells its true length and
where it can be entered, whatever its header claims. Then the frames that are wanted are decoded, beginning at
the nearest place before each where decoding can begin.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fathom.captioning.media import pictures, sniffing
from fathom.captioning.media.unusable import UnusableMediaError, printable
from fathom.errors import InvalidInputError
from fathom_api.captioning import Video
from fathom_api.types import seconds

#: Longest time spent on one video.
DECODE_SECONDS: Final = 60.0
#: Pixels of all frames of a clip together; larger frames are made smaller.
CLIP_PIXELS: Final = 64_000_000
MAX_PACKETS: Final = 2_000_000
MAX_ANIMATION_FRAMES: Final = 10_000
#: Frames looked at to find changes of scene.
SCENE_CANDIDATES: Final = 256
_SMALL: Final = (64, 36)
_LEVELS: Final = 4
#: Containers that hold their content themselves: playlists and the like would make the library open other
#: files and addresses.
_CONTAINERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,h264,hevc,m4v,mpegvideo,ivf"
)

Frames = tuple[tuple[Image.Image, ...], tuple[float, ...]]


def frames(data: bytes, wanted: Video, *, clock: Callable[[], float] = time.monotonic) -> Frames:
    """Return at most `wanted.frames` frames of the video or animation in `data`, RGB, and their times.

    Raises:
        UnusableMediaError: it is no video, has no frame, is damaged, or is too long, too large or too slow.
        InvalidInputError: PyAV is not installed.
    """
    deadline = _Deadline(clock, clock() + DECODE_SECONDS)
    if sniffing.is_animation(data):
        return _animation(data, wanted, deadline)
    try:
        import av
    except ImportError as error:
        raise InvalidInputError(
            "MissingLibrary", "videos need PyAV: pip install 'fathom-workloads[caption]' brings it"
        ) from error
    try:
        with _opened(av, data) as container:
            return _frames(container, wanted, deadline)
    except UnusableMediaError:
        raise
    except Exception as error:  # The library has an exception for each error of FFmpeg's.
        raise _damaged(error) from error


@dataclass(frozen=True)
class _Deadline:
    clock: Callable[[], float]
    end: float

    def check(self) -> None:
        if self.clock() > self.end:
            raise UnusableMediaError(
                "VideoTooSlow", f"decoding takes more than {DECODE_SECONDS:.0f} seconds; re-encode it"
            )


@dataclass(frozen=True)
class _Track:
    """Times of all frames as shown and of those where decoding can begin, in seconds from the first."""

    stream: Any
    start: float
    times: Sequence[float]
    entries: Sequence[float]
    length: float


def _opened(av: Any, data: bytes) -> Any:
    try:
        return av.open(
            BytesIO(data),
            metadata_errors="ignore",
            container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"},
        )
    except Exception as error:
        raise UnusableMediaError("NotAVideo", f"not a video of a known format: {printable(error)}") from error


def _frames(container: Any, wanted: Video, deadline: _Deadline) -> Frames:
    stream = _stream(container)
    limit = seconds(wanted.max_duration)
    track = _track(container, stream, limit, deadline)
    chosen = _spread(track, wanted.frames)
    if wanted.sampling == "SceneChange":
        chosen = _changes(container, track, wanted.frames, deadline)
    budget = CLIP_PIXELS // max(len(chosen), 1)
    found = [(_picture(frame, budget), at) for frame, at in _decoded(container, track, chosen, deadline)]
    if not found:
        raise UnusableMediaError("NoFrames", "no frame of the video can be decoded")
    return tuple(image for image, _ in found), tuple(at for _, at in found)


def _stream(container: Any) -> Any:
    # A cover in a sound file counts as a stream of pictures.
    streams = [s for s in container.streams.video if not int(s.disposition) & 0x400]
    if not streams:
        raise UnusableMediaError("NoVideo", "no moving pictures in it, only sound or data")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise UnusableMediaError("UnsupportedFormat", "the video's codec is not known; re-encode it as H.264")
    if context.width and context.height:
        pictures.check_size(context.width, context.height)
    context.thread_count = 1
    # The size may change in the middle.
    context.options = {"max_pixels": str(pictures.MAX_PIXELS)}
    return stream


def _track(container: Any, stream: Any, limit: float, deadline: _Deadline) -> _Track:
    """List the packets of `stream`; none is decoded."""
    times: list[float] = []
    entries: list[float] = []
    end = 0.0
    base = float(stream.time_base or 0) or 1e-3
    for number, packet in enumerate(_packets(container, stream)):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            continue
        times.append(stamp * base)
        end = max(end, (stamp + (packet.duration or 0)) * base)
        if packet.is_keyframe:
            entries.append(stamp * base)
        if number >= MAX_PACKETS or max(times[0], end) - min(times[0], times[-1]) > limit:
            raise UnusableMediaError("VideoTooLong", f"more than {limit:,.0f} seconds; see video.maxDuration")
        if number % 1000 == 0:
            deadline.check()
    if not times:
        raise UnusableMediaError("NoFrames", "the video has no frames")
    start = min(times)
    return _Track(
        stream,
        start,
        sorted({round(at - start, 6) for at in times}),
        sorted(round(at - start, 6) for at in entries) or [0.0],
        max([end, *times]) - start,
    )


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield what can be read of `stream`: a video that was cut off is as long as what is left of it."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except Exception as error:
            if "InvalidData" not in type(error).__name__ and "EOF" not in type(error).__name__:
                raise
            return
        if packet.size:
            yield packet


def _spread(track: _Track, count: int) -> list[float]:
    """Return the times of the frames that are seen in the middle of `count` equal stretches, each once."""
    middles = [(number + 0.5) * track.length / count for number in range(count)]
    places = {max(bisect_right(track.times, at) - 1, 0) for at in middles}
    return [track.times[place] for place in sorted(places)]


def _changes(container: Any, track: _Track, count: int, deadline: _Deadline) -> list[float]:
    """Return the times of the first frame and of those whose colours differ most from the frame before.

    Of a long video only key frames are decoded, if there are enough: encoders put them where pictures change.
    """
    short = len(track.times) <= SCENE_CANDIDATES
    candidates = track.times if short or len(track.entries) < 2 * count else track.entries
    step = -(-len(candidates) // SCENE_CANDIDATES)
    looked_at: list[float] = []
    changes: list[float] = []
    before: NDArray[np.float64] | None = None
    for frame, at in _decoded(container, track, list(candidates[::step]), deadline):
        colours = _colours(frame)
        looked_at.append(at)
        changes.append(0.0 if before is None else float(np.abs(colours - before).sum()))
        before = colours
    order = sorted(range(1, len(looked_at)), key=lambda place: (-changes[place], place))
    return sorted(looked_at[place] for place in [0, *order[: count - 1]]) if looked_at else []


def _colours(frame: Any) -> NDArray[np.float64]:
    """Return how often each of 64 colours occurs in a frame, in shares."""
    small = frame.reformat(*_SMALL, format="rgb24").to_ndarray().reshape(-1, 3).astype(np.int64)
    red, green, blue = (small * _LEVELS // 256).T
    bins = np.bincount((red * _LEVELS + green) * _LEVELS + blue, minlength=_LEVELS**3)
    return bins / len(small)


def _decoded(
    container: Any, track: _Track, targets: list[float], deadline: _Deadline
) -> Iterator[tuple[Any, float]]:
    """Yield the frames seen at `targets`, ascending, and their times, without those that are damaged."""
    waiting = list(targets)
    place = float("inf")
    while waiting:
        entry = track.entries[max(bisect_right(track.entries, waiting[0]) - 1, 0)]
        # Going on is cheaper than going back, unless there is an entry on the way.
        if not place <= waiting[0] or entry > place:
            _seek(container, track, entry)
        reached = False
        for frame in _rest(container, track.stream, deadline):
            place = _time(frame, track)
            if place + 1e-4 < waiting[0]:
                continue
            reached = True
            yield frame, round(place, 3)
            waiting = [at for at in waiting if at > place + 1e-4]
            if not waiting or track.entries[max(bisect_right(track.entries, waiting[0]) - 1, 0)] > place:
                break
        else:
            if not reached:
                waiting = waiting[1:]
        place = float("inf") if not reached else place


def _rest(container: Any, stream: Any, deadline: _Deadline) -> Iterator[Any]:
    """Decode on from where the container is, passing over packets that are damaged."""
    for packet in container.demux(stream):
        deadline.check()
        try:
            yield from packet.decode()
        except Exception as error:
            if "InvalidData" not in type(error).__name__:
                raise


def _seek(container: Any, track: _Track, at: float) -> None:
    base = float(track.stream.time_base or 0) or 1e-3
    # MPEG streams have no index and are entered somewhere near; their beginning must not be passed over.
    early = 10.0 if at == track.entries[0] and container.format.name.startswith("mpeg") else 0.0
    place = round((track.start + at - early) / base)
    container.seek(place, stream=track.stream, backward=True, any_frame=False)


def _time(frame: Any, track: _Track) -> float:
    if frame.pts is None:
        return track.length
    return frame.pts * (float(track.stream.time_base or 0) or 1e-3) - track.start


def _picture(frame: Any, budget: int) -> Image.Image:
    pictures.check_size(frame.width, frame.height)
    scale = min(1.0, (budget / (frame.width * frame.height)) ** 0.5)
    size = (max(int(frame.width * scale), 1), max(int(frame.height * scale), 1))
    image = cast(Image.Image, frame.reformat(*size, format="rgb24").to_image())
    # Telephones film in one direction and write down how they were held.
    turned = int(getattr(frame, "rotation", 0) or 0) % 360
    turns = {
        90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270
    }  # fmt: skip
    return image.transpose(turns[turned]) if turned in turns else image


def _animation(data: bytes, wanted: Video, deadline: _Deadline) -> Frames:
    """Return frames of a GIF, WebP or PNG; one that does not move is one frame."""
    try:
        with Image.open(BytesIO(data), formats=pictures.FORMATS) as image:
            pictures.check_size(*image.size)
            count = min(int(getattr(image, "n_frames", 1)), MAX_ANIMATION_FRAMES)
            shown = list(_shown(image, count, seconds(wanted.max_duration), deadline))
            chosen = _chosen_frames(image, shown, wanted, deadline)
            return tuple(_at_frame(image, n, len(chosen)) for n in chosen), tuple(shown[n] for n in chosen)
    except UnusableMediaError:
        raise
    except Image.DecompressionBombError as error:
        raise UnusableMediaError("TooManyPixels", str(error)) from error
    except Exception as error:
        raise _damaged(error) from error


def _shown(image: Image.Image, count: int, limit: float, deadline: _Deadline) -> Iterator[float]:
    at = 0.0
    for number in range(count):
        deadline.check()
        image.seek(number)
        # Some formats tell the duration of a frame only when it is decoded.
        image.load()
        yield round(at, 3)
        # Viewers show frames without a duration for a tenth of a second.
        at += float(image.info.get("duration") or 100) / 1000
        if at > limit:
            raise UnusableMediaError("VideoTooLong", f"more than {limit:,.0f} seconds; see video.maxDuration")


def _chosen_frames(image: Image.Image, shown: list[float], wanted: Video, deadline: _Deadline) -> list[int]:
    length = shown[-1] + float(image.info.get("duration") or 100) / 1000
    if wanted.sampling == "Uniform":
        middles = ((n + 0.5) * length / wanted.frames for n in range(wanted.frames))
        return sorted({max(bisect_right(shown, at) - 1, 0) for at in middles})
    step = -(-len(shown) // SCENE_CANDIDATES)
    before: NDArray[np.float64] | None = None
    changes: dict[int, float] = {}
    for number in range(0, len(shown), step):
        deadline.check()
        image.seek(number)
        small = np.asarray(pictures.rgb(image.copy()).resize(_SMALL), np.float64)
        changes[number] = float("inf") if before is None else float(np.abs(small - before).sum())
        before = small
    return sorted(sorted(changes, key=lambda n: (-changes[n], n))[: wanted.frames])


def _at_frame(image: Image.Image, number: int, count: int) -> Image.Image:
    image.seek(number)
    frame = pictures.rgb(image.copy())
    scale = min(1.0, (CLIP_PIXELS / count / (frame.width * frame.height)) ** 0.5)
    if scale == 1.0:
        return frame
    return frame.resize((max(int(frame.width * scale), 1), max(int(frame.height * scale), 1)))


def _damaged(error: Exception) -> UnusableMediaError:
    what = printable(error) or type(error).__name__
    return UnusableMediaError("DamagedVideo", f"the video cannot be decoded: {what}")
