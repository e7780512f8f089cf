"""Which frames of a video are seen, and when."""

from __future__ import annotations

from typing import Any

import av
import pytest
from builders.pictures import encoded
from builders.videos import fading, video
from PIL import Image

from fathom.captioning.media import Media, UnusableMediaError, decode
from fathom.captioning.media import video as videos
from fathom_api.captioning import Video
from fathom_api.tasks import AnySource

KINDS = [
    ("mp4", "libx264"), ("mov", "mpeg4"), ("matroska", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4"),
    ("mpegts", "mpeg2video"),
]  # fmt: skip
SCENES = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 24 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("kind", KINDS, ids="/".join)
def test_frames_are_spread_evenly_and_show_their_time(kind: tuple[str, str]) -> None:
    images, times = videos.frames(video(kind=kind), Video(frames=4))
    assert times == pytest.approx([0.7, 2.2, 3.7, 5.2], abs=0.11)
    assert all(near(i.getpixel((5, 5)), fading(round(t * 10))) for i, t in zip(images, times, strict=True))


@pytest.mark.parametrize("keyframes", [12, 1000], ids=["many key frames", "one key frame"])
def test_changes_of_scene_are_found(keyframes: int) -> None:
    data = video(60, colour=lambda number: SCENES[number // 20], keyframes=keyframes)
    images, times = videos.frames(data, Video(frames=3, sampling="SceneChange"))
    assert times == (0.0, 2.0, 4.0)
    assert all(near(i.getpixel((5, 5)), c) for i, c in zip(images, SCENES, strict=True))


@pytest.mark.parametrize("sampling", ["Uniform", "SceneChange"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_short_video_has_each_of_its_frames_once(sampling: str, count: int) -> None:
    _, times = videos.frames(video(count), Video.model_validate({"frames": 8, "sampling": sampling}))
    assert times == pytest.approx([n / 10 for n in range(count)])


def test_a_long_video_is_entered_not_decoded_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    original = videos._time

    def counting(*arguments: Any) -> float:
        nonlocal decoded
        decoded += 1
        return original(*arguments)

    monkeypatch.setattr(videos, "_time", counting)
    _, times = videos.frames(video(1000, keyframes=10), Video(frames=4))
    assert len(times) == 4
    assert decoded < 100


def test_all_frames_of_a_clip_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "CLIP_PIXELS", 2 * 32 * 24)
    images, _ = videos.frames(video(), Video(frames=2))
    assert [image.size for image in images] == [(32, 24), (32, 24)]


def test_a_video_that_takes_too_long_is_given_up() -> None:
    ticks = iter(range(0, 10_000, 10))
    with pytest.raises(UnusableMediaError, match="re-encode") as error:
        videos.frames(video(), Video(), clock=lambda: float(next(ticks)))
    assert error.value.reason == "VideoTooSlow"


def test_a_video_filmed_sideways_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    assert videos._picture(frame, videos.CLIP_PIXELS).size == (64, 48)

    class Turned:
        width, height, rotation = 64, 48, -90

        def reformat(self, *size: int, format: str) -> Any:
            return frame.reformat(*size, format=format)

    assert videos._picture(Turned(), videos.CLIP_PIXELS).size == (48, 64)


FRAMES = [Image.new("RGB", (16, 16), colour) for colour in [*SCENES, (255, 255, 0)]]


class TestAnimations:
    def clip(self, kind: str, **fields: Any) -> Any:
        data = encoded(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:], duration=500, lossless=True)
        source = AnySource.model_validate({"uri": "x", "mediaType": "Video", "video": fields})
        return decode(Media(data, ""), source)

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
    def test_an_animation_has_frames_and_times(self, kind: str) -> None:
        clip = self.clip(kind, frames=2)
        assert clip.times == (0.5, 1.5)
        assert near(clip.frames[0].getpixel((3, 3)), (0, 255, 0))
        assert near(clip.frames[1].getpixel((3, 3)), (255, 255, 0))

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
    def test_every_frame_is_what_a_viewer_shows(self, kind: str) -> None:
        clip = self.clip(kind, frames=8)
        assert clip.times == (0.0, 0.5, 1.0, 1.5)
        assert all(
            near(f.getpixel((3, 3)), i.getpixel((0, 0))) for f, i in zip(clip.frames, FRAMES, strict=True)
        )

    def test_changes_of_scene_are_found(self) -> None:
        assert self.clip("GIF", frames=2, sampling="SceneChange").times[0] == 0.0

    def test_one_that_is_too_long_is_refused(self) -> None:
        with pytest.raises(UnusableMediaError, match=r"video\.maxDuration"):
            self.clip("GIF", maxDuration="1s")
