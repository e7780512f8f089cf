from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from fathom.captioning import captioner, checkpoint
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnyModel

PICTURES = [
    Image.new("RGB", size, colour)
    for colour, size in (("red", (64, 48)), ("blue", (30, 90)), ("white", (56, 56)))
]


def model(uri: str, **fields: object) -> AnyModel:
    return AnyModel.model_validate({"uri": uri, "prompt": "What is it?", "maxNewTokens": 6, **fields})


def test_any_architecture_captions_through_the_same_code(any_checkpoint: str) -> None:
    speaker, _ = captioner.load(model(any_checkpoint))
    said = speaker.caption(PICTURES)
    assert len(said) == 3
    assert all(0 <= caption.tokens <= 6 and caption.milliseconds > 0 for caption in said)
    assert any(caption.text for caption in said)
    assert not any("What is it" in caption.text for caption in said), "the prompt is no part of a caption"


def test_decoding_is_greedy_so_the_same_picture_gets_the_same_words(any_checkpoint: str) -> None:
    speaker, _ = captioner.load(model(any_checkpoint))
    once, twice = speaker.caption(PICTURES), speaker.caption(PICTURES)
    assert [c.text for c in once] == [c.text for c in twice]


def test_words_depend_on_the_picture(llava_checkpoint: str) -> None:
    speaker, _ = captioner.load(model(llava_checkpoint))
    assert len({caption.text for caption in speaker.caption(PICTURES)}) > 1


def test_a_batch_says_what_each_picture_alone_gets(llava_checkpoint: str) -> None:
    speaker, _ = captioner.load(model(llava_checkpoint))
    alone = [speaker.caption([picture])[0].text for picture in PICTURES]
    assert [caption.text for caption in speaker.caption(PICTURES)] == alone


def test_the_digest_follows_the_files_not_their_place(llava_checkpoint: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(llava_checkpoint, copy)
    before = checkpoint.find(model(llava_checkpoint)).digest
    assert checkpoint.find(model(str(copy))).digest == before
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert checkpoint.find(model(str(copy))).digest != before


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param({}, True, id="nothing changed"),
        pytest.param({"batchSize": 3}, True, id="the batch size changes no caption"),
        pytest.param({"prompt": "And now?"}, False, id="another prompt"),
        pytest.param({"maxNewTokens": 7}, False, id="longer captions"),
    ],
)
def test_a_key_is_the_same_when_the_caption_would_be(changed: dict[str, object], same: bool) -> None:
    key = captioner.Keys.of(model("m"), "sha256:a").key("picture")
    assert (captioner.Keys.of(model("m", **changed), "sha256:a").key("picture") == key) is same


def test_a_key_differs_by_picture_and_model() -> None:
    keys = captioner.Keys.of(model("m"), "sha256:a")
    other = captioner.Keys.of(model("m"), "sha256:b")
    assert len({keys.key("1"), keys.key("2"), other.key("1")}) == 3


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        pytest.param({}, "NotACheckpoint", id="an empty folder"),
        pytest.param(
            {"config.json": b"{}", "pytorch_model.bin": b"x"}, "NoSafetensors", id="pickled weights only"
        ),
        pytest.param(
            {"config.json": b"{}", "model.safetensors": b"x"},
            "UnusableModel",
            id="no model transformers knows",
        ),
    ],
)
def test_an_unusable_checkpoint_is_an_error_of_the_task(
    files: dict[str, bytes], reason: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError) as error:
        captioner.load(model(str(tmp_path)))
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        pytest.param("/nowhere/at/all", "NotFound", id="a path with nothing there"),
        pytest.param("fathom://small-llava", "NotFineTuned", id="our small model before it has learned"),
        pytest.param("ftp://host/model", "InvalidUri", id="a scheme nobody knows"),
    ],
)
def test_a_missing_model_is_an_error_of_the_task(uri: str, reason: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        captioner.load(model(uri))
    assert error.value.reason == reason
