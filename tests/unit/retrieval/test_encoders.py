"""Embedding models: what is brought along, and what Hugging Face's format holds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from builders.encoders import save_bert, save_clip, save_vit
from PIL import Image

from fathom.errors import InvalidInputError
from fathom.retrieval.encoders import Encoder, open_encoder

RED, NOISE = (
    Image.new("RGB", (40, 60), "red"),
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)),
)


@pytest.fixture(scope="module")
def small() -> Encoder:
    return open_encoder("fathom://efficientnet-lite0/96")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return open_encoder(str(save_clip(tmp_path_factory.mktemp("clip"))))


def test_what_is_brought_along_embeds_pictures_and_no_texts(small: Encoder) -> None:
    found = small.pictures([RED, NOISE, RED])
    assert found.shape == (3, small.dim) == (3, 1280)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.allclose(found[0], found[2], atol=1e-5)
    assert found[0] @ found[1] < 0.9
    with pytest.raises(InvalidInputError, match="embeds no texts"):
        small.texts(["a"])


def test_another_size_is_another_model(small: Encoder) -> None:
    assert open_encoder("fathom://efficientnet-lite0/64").digest != small.digest
    assert open_encoder("fathom://efficientnet-lite0/96").digest == small.digest


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0/100", "efficientnet-lite0/0", "resnet", "efficientnet-lite0/x"]
)
def test_what_is_not_brought_along_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="multiple of 32"):
        open_encoder(f"fathom://{name}")


def test_clip_embeds_pictures_and_texts_into_one_space(clip: Encoder) -> None:
    assert clip.takes == {"image", "text"}
    assert clip.pictures([RED, NOISE]).shape == clip.texts(["red", "a dog"]).shape == (2, clip.dim)
    assert np.allclose(clip.texts(["red"]), clip.texts(["red", "a dog " * 200])[:1], atol=1e-5)


def test_a_vision_model_embeds_pictures_only(tmp_path: Path) -> None:
    encoder = open_encoder(str(save_vit(tmp_path)))
    assert encoder.takes == {"image"}
    assert encoder.pictures([RED]).shape == (1, encoder.dim)
    with pytest.raises(InvalidInputError, match="embeds no texts"):
        encoder.texts(["a"])


def test_a_text_model_embeds_texts_only_whatever_they_are_padded_to(tmp_path: Path) -> None:
    encoder = open_encoder(str(save_bert(tmp_path)))
    assert encoder.takes == {"text"}
    assert np.allclose(encoder.texts(["red"]), encoder.texts(["red", "a dog a dog a dog"])[:1], atol=1e-5)
    with pytest.raises(InvalidInputError, match="embeds no pictures"):
        encoder.pictures([RED])


def test_other_weights_have_another_digest(tmp_path: Path, clip: Encoder) -> None:
    assert open_encoder(str(save_clip(tmp_path, seed=1))).digest != clip.digest


def test_pickled_weights_are_not_opened(tmp_path: Path) -> None:
    folder = save_vit(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(InvalidInputError, match="pickled weights are not opened"):
        open_encoder(str(folder))


def test_a_model_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = save_bert(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(InvalidInputError, match="missing beside the weights"):
        open_encoder(str(folder))


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nothing there"):
        open_encoder(str(tmp_path / "none"))
