"""Reading media from where they lie, and decoding pictures to what a person would see."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.buckets import s3
from builders.pictures import encoded, parquet, png
from PIL import Image

from fathom import storage
from fathom.captioning import media
from fathom.captioning.media import Media, UnusableMediaError
from fathom_api.tasks import AnySource


def source(uri: str = "items.csv", **fields: Any) -> AnySource:
    return AnySource.model_validate({"uri": uri, **fields})


def picture(data: bytes) -> Image.Image:
    clip = media.decode(Media(data, ""), source())
    assert clip.times == ()
    return clip.frames[0]


class TestPictures:
    def test_a_picture_is_turned_upright(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        image = picture(encoded(Image.new("RGB", (40, 30)), "JPEG", exif=exif))
        assert (image.size, image.mode) == ((30, 40), "RGB")

    @pytest.mark.parametrize(
        "image",
        [
            pytest.param(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), id="an alpha channel"),
            pytest.param(Image.new("LA", (4, 4), (0, 0)), id="grey with alpha"),
            pytest.param(
                Image.new("RGBA", (4, 4), (0, 0, 0, 0)).quantize(), id="a palette with transparency"
            ),
        ],
    )
    def test_what_is_transparent_is_white(self, image: Image.Image) -> None:
        assert picture(encoded(image)).getpixel((1, 1)) == (255, 255, 255)

    def test_what_is_half_transparent_is_mixed_with_white(self) -> None:
        image = picture(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128))))
        assert image.getpixel((1, 1)) == (255, 127, 127)

    @pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "I;16", "I", "F"])
    def test_every_kind_of_pixel_becomes_rgb(self, mode: str) -> None:
        assert picture(encoded(Image.new(mode, (4, 4)), "TIFF")).mode == "RGB"

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_grey_of_16_bits_keeps_its_brightness(self, kind: str) -> None:
        image = Image.fromarray(np.array([[0, 65_535], [32_768, 257]], np.uint16).repeat(4, 0).repeat(4, 1))
        found = picture(encoded(image, kind))
        assert [found.getpixel((x, y))[0] for x, y in ((0, 0), (4, 0), (0, 4), (4, 4))] == [0, 255, 127, 1]

    @pytest.mark.parametrize("adobe", [True, False], ids=["as Adobe writes it, inverted", "as it is"])
    def test_cmyk_has_its_colours(self, adobe: bool) -> None:
        ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
        data = encoded(ink, "JPEG", quality=95)
        marker = data.find(b"Adobe") - 4
        if not adobe:
            # Without Adobe's marker, the ink is written as it is.
            plain = encoded(Image.eval(ink, lambda level: 255 - level), "JPEG", quality=95)
            length = int.from_bytes(plain[marker + 2 : marker + 4]) + 2
            data = plain[:marker] + plain[marker + length :]
        red, green, blue = picture(data).getpixel((8, 8))
        assert red > 240
        assert green < 15
        assert blue < 15

    def test_of_an_animation_it_is_the_first_frame(self) -> None:
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
        for kind in ("GIF", "PNG", "TIFF"):
            assert picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:])).getpixel(
                (1, 1)
            ) == (255, 0, 0)


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FATHOM_VOLUMES", str(tmp_path))
    for path in ("media/tables/pictures/1.png", "media/1.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(path.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"abc", b"abc", id="bytes"),
        pytest.param({"bytes": b"abc", "path": "x"}, b"abc", id="a struct of bytes and path"),
        pytest.param({"bytes": None, "path": "/1.png"}, b"media/1.png", id="a struct of a path"),
        pytest.param("pictures/1.png", b"media/tables/pictures/1.png", id="a path beside the table"),
        pytest.param("../1.png", b"media/1.png", id="a path that stays in the claim"),
        pytest.param("/1.png", b"media/1.png", id="an absolute path is in the table's claim"),
        pytest.param("pvc://media/1.png", b"media/1.png", id="a URI of the table's own claim"),
    ],
)
def test_media_are_bytes_a_path_or_a_uri(value: Any, expected: bytes, volumes: Path) -> None:
    assert media.read(value, source("pvc://media/tables/items.csv")).data == expected


def test_on_ones_own_machine_paths_lead_anywhere(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"1")
    (tmp_path / "tables").mkdir()
    for value in ("../1.png", str(tmp_path / "1.png"), f"file://{tmp_path}/1.png"):
        assert media.read(value, source(str(tmp_path / "tables" / "items.csv"))).data == b"1"


@pytest.fixture(scope="module")
def bucket() -> Iterator[None]:
    with s3("own", "allowed", "other"):
        for uri in ("own/tables/1.png", "own/1.png", "allowed/1.png", "own/empty.png", "own/large.png"):
            size = media.MAX_BYTES + 10 if "large" in uri else 0
            with storage.appearing(storage.resolve(f"s3://{uri}")) as path:
                path.write_bytes(bytes(size) if "large" in uri or "empty" in uri else uri.encode())
        yield


class TestBuckets:
    OWN = "s3://own/tables/items.csv"

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param("1.png", b"own/tables/1.png", id="a path beside the table"),
            pytest.param("/1.png", b"own/1.png", id="an absolute path is in the table's bucket"),
            pytest.param("../1.png", b"own/1.png", id="a path that stays in the bucket"),
            pytest.param("s3://own/1.png", b"own/1.png", id="a URI of the table's own bucket"),
            pytest.param("s3://allowed/1.png", b"allowed/1.png", id="a URI of an allowed bucket"),
        ],
    )
    def test_media_lie_in_buckets_that_are_allowed(self, value: str, expected: bytes, bucket: None) -> None:
        assert media.read(value, source(self.OWN, allowedOrigins=["s3://allowed"])).data == expected

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            pytest.param("s3://other/1.png", "OriginNotAllowed", id="another bucket"),
            pytest.param("s3://allowed.evil/1.png", "OriginNotAllowed", id="a bucket of a longer name"),
            pytest.param("../../other/1.png", "OutsideVolume", id="a path that climbs out"),
            pytest.param("none.png", "MediaNotFound", id="no such object"),
            pytest.param("/empty.png", "EmptyMedia", id="an object of 0 bytes"),
            pytest.param("/large.png", "MediaTooLarge", id="an object that is too large"),
            pytest.param("pvc://claim/1.png", "OriginNotAllowed", id="a claim"),
        ],
    )
    def test_others_are_refused(self, value: str, reason: str, bucket: None) -> None:
        with pytest.raises(UnusableMediaError) as error:
            media.read(value, source(self.OWN, allowedOrigins=["s3://allowed"]))
        assert (error.value.reason, error.value.transient) == (reason, False)

    def test_a_server_that_is_not_there_is_a_passing_error(
        self, bucket: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*arguments: object, **options: object) -> None:
            raise ConnectionError("no route to host")

        monkeypatch.setattr("s3fs.S3FileSystem.open", down)
        with pytest.raises(UnusableMediaError) as error:
            media.read("1.png", source(self.OWN))
        assert (error.value.reason, error.value.transient) == ("MediaUnreachable", True)


def test_an_error_survives_the_way_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(UnusableMediaError("MediaUnreachable", "down", transient=True)))
    assert (error.reason, str(error), error.transient) == ("MediaUnreachable", "down", True)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    uri = parquet(tmp_path / "t.parquet", item_id=["a"], image=["1.png"])
    (tmp_path / "1.png").write_bytes(png("red"))
    assert media.read("1.png", source(uri)) == media.read(png("red"), source(uri))
