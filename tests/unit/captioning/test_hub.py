from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

import huggingface_hub
import pytest
from builders import hub
from huggingface_hub import constants

from fathom.captioning import captioner, checkpoint, media
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnyModel


@pytest.fixture
def fetched(
    llava_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[tuple[Path, list[str]]]:
    """The folder that a hub serves, with a pickle and code in it, and the files that were fetched."""
    folder = tmp_path / "served"
    shutil.copytree(llava_checkpoint, folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling.py").write_text("raise SystemExit('code of the model')")
    with hub.serving(folder) as (address, names):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        whole = huggingface_hub.snapshot_download
        monkeypatch.setattr(
            huggingface_hub,
            "snapshot_download",
            lambda *names, **options: whole(
                *names, endpoint=address, cache_dir=tmp_path / "cache", **options
            ),
        )
        yield folder, names


def model(uri: str = f"hf://{hub.REPOSITORY}", **fields: object) -> AnyModel:
    return AnyModel.model_validate({"uri": uri, "maxNewTokens": 4, **fields})


def test_a_model_from_a_hub_captions(fetched: tuple[Path, list[str]]) -> None:
    speaker, _ = captioner.load(model())
    assert len(speaker.caption([media.Image.new("RGB", (30, 30), "red")])) == 1


@pytest.mark.parametrize("trusted", [False, True])
def test_pickles_are_never_fetched_and_code_only_if_it_is_trusted(
    trusted: bool, fetched: tuple[Path, list[str]]
) -> None:
    checkpoint.find(model(trustRemoteCode=trusted))
    assert "model.safetensors" in fetched[1]
    assert "pytorch_model.bin" not in fetched[1]
    assert ("modeling.py" in fetched[1]) is trusted


def test_what_was_fetched_is_not_fetched_again(fetched: tuple[Path, list[str]]) -> None:
    first = checkpoint.find(model())
    before = len(fetched[1])
    assert checkpoint.find(model()) == first
    assert len(fetched[1]) == before


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        pytest.param(model("hf://acme/other"), "acme/other", id="no such model"),
        pytest.param(model(revision="v9"), "at v9", id="no such revision"),
    ],
)
def test_what_the_hub_does_not_have_is_an_error_of_the_task(
    wanted: AnyModel, says: str, fetched: tuple[Path, list[str]]
) -> None:
    with pytest.raises(InvalidInputError, match=says) as error:
        checkpoint.find(wanted)
    assert error.value.reason == "ModelNotFound"


def test_pickled_weights_alone_are_refused(fetched: tuple[Path, list[str]]) -> None:
    (fetched[0] / "model.safetensors").unlink()
    with pytest.raises(InvalidInputError) as error:
        checkpoint.find(model())
    assert error.value.reason == "NoSafetensors"
