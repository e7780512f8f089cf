"""Small videos, made while the tests run."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from io import BytesIO

import av
import numpy as np

Colour = tuple[int, int, int]


def fading(number: int) -> Colour:
    """Red comes, blue goes: the colour tells the frame."""
    return (number * 4 % 256, 0, 255 - number * 4 % 256)


def video(
    frames: int = 60,
    fps: int = 10,
    *,
    size: tuple[int, int] = (64, 48),
    kind: tuple[str, str] = ("mp4", "libx264"),
    keyframes: int = 12,
    colour: Callable[[int], Colour] = fading,
) -> bytes:
    """Return a video; `kind` is container and codec, `keyframes` how many frames apart key frames are."""
    data = BytesIO()
    with av.open(data, "w", format=kind[0]) as container:
        stream = container.add_stream(kind[1], rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = keyframes
        container.start_encoding()
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), colour(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return data.getvalue()


def sound() -> bytes:
    """Return a video file with sound and no picture."""
    data = BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return data.getvalue()
