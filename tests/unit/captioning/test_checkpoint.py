from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fathom import manifest, storage
from fathom.captioning.engines import Question, open_engine
from fathom.captioning.media import Clip
from fathom.captioning.models import checkpoint
from fathom.captioning.models.identity import REMEMBERED
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnyModel


def model(uri: str, **fields: object) -> AnyModel:
    return AnyModel.model_validate({"uri": uri, **fields})


@pytest.fixture
def copy(llava_checkpoint: str, tmp_path: Path) -> Path:
    """A checkpoint that a test may spoil."""
    folder = tmp_path / "copy"
    shutil.copytree(llava_checkpoint, folder, ignore=shutil.ignore_patterns(".*"))
    return folder


def digest(folder: Path) -> str:
    return checkpoint.find(model(str(folder))).digest


def test_the_digest_follows_the_files_not_their_place(copy: Path, tmp_path: Path) -> None:
    before = digest(copy)
    moved = copy.rename(tmp_path / "moved")
    assert digest(moved) == before
    weights = moved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert digest(moved) != before


def test_a_folder_is_read_from_end_to_end_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(copy)
    assert (copy / REMEMBERED).is_file()
    monkeypatch.setattr(storage, "digest_files", lambda *given: pytest.fail("read again"))
    assert digest(copy) == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"no json"])
def test_a_spoiled_memory_is_not_believed(content: bytes, copy: Path) -> None:
    before = digest(copy)
    (copy / REMEMBERED).write_bytes(content)
    assert digest(copy) == before


def test_a_folder_that_may_only_be_read_is_read_each_time(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(storage, "appearing", refuse)
    assert digest(copy) == digest(copy)
    assert not (copy / REMEMBERED).exists()


def test_a_folder_that_we_sealed_has_its_seal_as_digest(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = manifest.write(copy, "Model", counts={}, made_from={})
    monkeypatch.setattr(storage, "digest_files", lambda *given: pytest.fail("read from end to end"))
    assert digest(copy) == sealed.digest


@pytest.mark.parametrize("sealed", [False, True])
def test_weights_that_were_cut_off_are_an_error_of_the_task(sealed: bool, copy: Path) -> None:
    if sealed:
        manifest.write(copy, "Model", counts={}, made_from={})
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InvalidInputError) as error:
        digest(copy)
    assert error.value.reason == "Damaged"


def test_a_sealed_folder_without_one_of_its_files_is_an_error_of_the_task(copy: Path) -> None:
    manifest.write(copy, "Model", counts={}, made_from={})
    (copy / "tokenizer.json").unlink()
    with pytest.raises(InvalidInputError, match=r"tokenizer\.json is missing"):
        digest(copy)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        pytest.param({}, "NotACheckpoint", id="an empty folder"),
        pytest.param(
            {"config.json": b"{}", "pytorch_model.bin": b"x"}, "NoSafetensors", id="pickled weights only"
        ),
        pytest.param(
            {"config.json": b"{}", "model.safetensors": b"x"}, "UnusableModel", id="no safetensors file"
        ),
        pytest.param(
            {"config.json": b"{}", "model.safetensors": b"\x02" + b"\0" * 7 + b"{}"},
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
    question = Question("caption", "What is it?", Clip((Image.new("RGB", (8, 8)),), ()), 4)
    with pytest.raises(InvalidInputError) as error:
        open_engine(model(str(tmp_path))).answer([question])
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"uri": "/nowhere/at/all"}, "NotFound", id="a path with nothing there"),
        pytest.param({"uri": "fathom://small-llava"}, "NotFineTuned", id="our small model before it learned"),
        pytest.param({"uri": "ftp://host/model"}, "InvalidUri", id="a scheme nobody knows"),
        pytest.param({"uri": "/models/vlm", "engine": "VLLM"}, "NoVllm", id="an image without vLLM"),
    ],
)
def test_a_model_that_cannot_be_had_is_an_error_of_the_task(fields: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        open_engine(AnyModel.model_validate(fields))
    assert error.value.reason == reason


def test_a_model_that_is_asked_nothing_is_not_opened(llava_checkpoint: str, tmp_path: Path) -> None:
    asked = "import sys\nfrom fathom.captioning.engines import open_engine\n"
    asked += "from fathom_api.tasks import AnyModel\n"
    asked += f"engine = open_engine(AnyModel(uri={llava_checkpoint!r}))\n"
    asked += "print(engine.digest, 'transformers' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert said.split() == [open_engine(model(llava_checkpoint)).digest, "False"]
