from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from builders import hub
from huggingface_hub import constants
from PIL import Image

from fathom import storage
from fathom.captioning.engines import Answer, Question, open_engine
from fathom.captioning.media import Clip
from fathom.captioning.models import checkpoint
from fathom.errors import InvalidInputError
from fathom_api.progress import ENV_VOLUMES
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

        def download(name: str, **options: Any) -> str:
            options["cache_dir"] = options["cache_dir"] or tmp_path / "cache"
            return whole(name, **{"endpoint": address, **options})

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        monkeypatch.setenv(ENV_VOLUMES, str(tmp_path))
        yield folder, names


def model(uri: str = f"hf://{hub.REPOSITORY}", **fields: object) -> AnyModel:
    return AnyModel.model_validate({"uri": uri, "maxNewTokens": 4, **fields})


def test_a_model_from_a_hub_captions(fetched: tuple[Path, list[str]]) -> None:
    clip = Clip((Image.new("RGB", (30, 30), "red"),), ())
    [answer] = open_engine(model()).answer([Question("caption", "What is it?", clip, 4)])
    assert isinstance(answer, Answer)


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


def test_models_are_kept_where_the_task_says(fetched: tuple[Path, list[str]], tmp_path: Path) -> None:
    found = checkpoint.find(model(cache="pvc://models/hub"))
    assert found.path.is_relative_to(tmp_path / "models/hub")


def test_the_digest_of_a_fetched_model_reads_none_of_its_weights(
    fetched: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "digest_files", lambda *given: pytest.fail("read from end to end"))
    assert checkpoint.find(model()).digest.startswith("sha256:")


def test_the_digest_of_a_fetched_model_follows_its_files(
    fetched: tuple[Path, list[str]],
) -> None:
    before = checkpoint.find(model(cache="pvc://one/hub")).digest
    assert checkpoint.find(model(cache="pvc://two/hub")).digest == before
    template = fetched[0] / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert checkpoint.find(model(cache="pvc://three/hub")).digest != before


def test_a_hub_that_cannot_be_reached_is_worth_another_try(
    fetched: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = huggingface_hub.snapshot_download
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *names, **options: whole(*names, **{**options, "endpoint": "http://127.0.0.1:9"}),
    )
    with pytest.raises(OSError, match=r"."):
        checkpoint.find(model(cache="pvc://empty/hub"))
