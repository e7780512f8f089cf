from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fathom import manifest
from fathom.captioning.tuning import versions
from fathom.captioning.tuning.versions import Version
from fathom.errors import InvalidInputError


def publish(model: Path, content: str, **made_from: str) -> Version:
    with versions.folder(model) as new:
        (new / "weights").write_text(content)
        version = versions.seal(model, new, counts={}, made_from=made_from)
    versions.point(model, version)
    return version


def test_a_version_is_named_by_its_content(tmp_path: Path) -> None:
    version = publish(tmp_path, "one")
    assert version.path == tmp_path / "versions" / version.manifest.digest[7:19]
    assert manifest.verify(version.path) == version.manifest
    assert version.uri("pvc://claim/model/") == f"pvc://claim/model/versions/{version.path.name}"


def test_versions_stand_side_by_side_and_the_last_is_the_latest(tmp_path: Path) -> None:
    one, two = publish(tmp_path, "one", recipe="1"), publish(tmp_path, "two", recipe="2")
    assert (one.path / "weights").read_text() == "one"
    assert versions.latest(tmp_path) == two.path
    assert versions.find(tmp_path, {"recipe": "1"}) == one
    assert versions.find(tmp_path, {"recipe": "3"}) is None


def test_a_folder_without_versions_is_itself_the_latest(tmp_path: Path) -> None:
    assert versions.latest(tmp_path) == tmp_path


def test_what_is_published_twice_is_there_once(tmp_path: Path) -> None:
    assert publish(tmp_path, "one") == publish(tmp_path, "one")
    assert [p.name for p in (tmp_path / "versions").iterdir()] == [versions.latest(tmp_path).name]


def test_a_damaged_version_is_not_found_and_is_replaced(tmp_path: Path) -> None:
    version = publish(tmp_path, "one", recipe="1")
    (version.path / "weights").write_text("?")
    assert versions.find(tmp_path, {"recipe": "1"}) is None
    assert publish(tmp_path, "one", recipe="1") == version
    assert versions.find(tmp_path, {"recipe": "1"}) == version


@pytest.mark.parametrize(
    ("hours", "stays"),
    [
        pytest.param(4, False, id="its writer was killed"),
        pytest.param(1, True, id="another pod may be at work"),
    ],
)
def test_what_was_half_written_is_no_version_and_is_cleaned_up(
    hours: int, stays: bool, tmp_path: Path
) -> None:
    left = tmp_path / "versions" / ".new-half"
    left.mkdir(parents=True)
    (left / "weights").write_text("half")
    long_ago = time.time() - hours * 3600
    os.utime(left, (long_ago, long_ago))
    assert versions.find(tmp_path, {}) is None
    publish(tmp_path, "one")
    assert left.exists() is stays


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), versions.folder(tmp_path):
        raise OSError("the volume is full")
    assert not list((tmp_path / "versions").iterdir())


@pytest.mark.parametrize("text", ["", "{}", '{"version": "../../../etc"}', '{"version": "0123456789ab/.."}'])
def test_a_pointer_cannot_lead_elsewhere(text: str, tmp_path: Path) -> None:
    (tmp_path / versions.LATEST).write_text(text)
    with pytest.raises(InvalidInputError, match="does not name a version"):
        versions.latest(tmp_path)
