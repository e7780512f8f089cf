import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cluster import baseimage, debian, oci, systemimages


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program"
    file.write_text("#!/bin/sh\n")
    return file


def _read(folder: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
    return json.loads((folder / "blobs" / descriptor["digest"].replace(":", "/")).read_text())


def test_an_image_says_how_it_runs_and_as_whom(tmp_path: Path, program: Path):
    layout = oci.Layout(tmp_path / "layout")
    layer = layout.add_files({"/app": program})
    layout.add_image("dev.local/app:1", [layer], oci.Program(entrypoint=["/app"]))
    layout.finish()
    (manifest,) = json.loads((layout.folder / "index.json").read_text())["manifests"]
    assert manifest["annotations"]["io.containerd.image.name"] == "dev.local/app:1"
    config = _read(layout.folder, _read(layout.folder, manifest)["config"])
    assert config["config"]["Entrypoint"] == ["/app"]
    assert config["config"]["User"] == "65532"
    assert config["rootfs"]["diff_ids"] == [layer.digest]


def test_files_are_executable_and_root_owns_them(tmp_path: Path, program: Path):
    layout = oci.Layout(tmp_path / "layout")
    layer = layout.add_files({"/usr/bin/app": program})
    with tarfile.open(layout.folder / "blobs" / layer.digest.replace(":", "/")) as tar:
        (entry,) = tar.getmembers()
    assert (entry.name, entry.mode, entry.uid, entry.mtime) == ("usr/bin/app", 0o755, 0, 0)


def test_a_layer_that_two_images_share_is_stored_once(tmp_path: Path, program: Path):
    layout = oci.Layout(tmp_path / "layout")
    first, second = layout.add_files({"/app": program}), layout.add_files({"/app": program})
    assert first == second
    assert len(list((layout.folder / "blobs" / "sha256").iterdir())) == 1


def test_what_is_left_out_of_the_base_image_decides_its_key(monkeypatch: pytest.MonkeyPatch):
    before = baseimage.key()
    monkeypatch.setattr(debian, "INCLUDE", (*debian.INCLUDE, "curl"))
    assert baseimage.key() != before


def test_knative_does_not_ask_a_registry_about_our_images():
    assert systemimages.name("pause").startswith("dev.local/")
