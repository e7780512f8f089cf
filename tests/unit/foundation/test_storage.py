"""What is written appears whole or not at all, and is known by its digest."""

from pathlib import Path

import pytest

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.storage import appearing, digest_files, existing, resolve
from fathom_api.progress import ENV_VOLUMES


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        pytest.param(
            "pvc://media/a/b.parquet", "/mnt/v/media/a/b.parquet", id="a claim lies below the volumes' folder"
        ),
        pytest.param("pvc://media", "/mnt/v/media", id="a claim may be named without a path"),
        pytest.param("file:///tmp/x.csv", "/tmp/x.csv", id="a file URI is its path"),
        pytest.param("data/x.csv", "data/x.csv", id="a plain path is itself"),
    ],
)
def test_uris_resolve_to_paths(uri: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_VOLUMES, "/mnt/v")
    assert resolve(uri) == Path(path)


def test_an_unknown_scheme_is_refused_with_the_schemes_there_are() -> None:
    with pytest.raises(InvalidInputError, match=r"ftp://.*use pvc://"):
        resolve("ftp://host/file")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nothing there .*none\.csv"):
        existing(str(tmp_path / "none.csv"))


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out.txt"
    with appearing(target) as path:
        path.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [p.name for p in target.parent.iterdir()] == ["out.txt"]


def test_a_writer_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")

    def interrupted() -> None:
        with appearing(target) as path:
            path.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_a_digest_depends_on_names_and_contents_but_not_on_order(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_text("a")
    two.write_text("b")
    before = digest_files(tmp_path, [one, two])
    assert digest_files(tmp_path, [two, one]) == before
    two.write_text("c")
    assert digest_files(tmp_path, [one, two]) != before


class TestManifests:
    def test_a_folder_without_one_is_unfinished(self, tmp_path: Path) -> None:
        assert manifest.read(tmp_path) is None
        with pytest.raises(InvalidInputError, match="never finished"):
            manifest.verify(tmp_path)

    def test_a_sealed_folder_verifies_and_ignores_hidden_files(self, tmp_path: Path) -> None:
        (tmp_path / "data.bin").write_bytes(b"1")
        (tmp_path / ".checkpoints").mkdir()
        (tmp_path / ".checkpoints" / "x").write_text("changes all the time")
        sealed = manifest.write(tmp_path, "Model", counts={"rows": 1}, made_from={"model": "sha256:0"})
        (tmp_path / ".checkpoints" / "x").write_text("changed")
        assert manifest.verify(tmp_path) == sealed
        assert sealed.files == ["data.bin"]

    @pytest.mark.parametrize(
        ("harm", "complaint"),
        [
            pytest.param(
                lambda p: p.write_bytes(b"2"), "differs from its manifest", id="a changed file is noticed"
            ),
            pytest.param(lambda p: p.unlink(), "data.bin is missing", id="a missing file is named"),
        ],
    )
    def test_damage_is_found(self, harm, complaint: str, tmp_path: Path) -> None:
        (tmp_path / "data.bin").write_bytes(b"1")
        manifest.write(tmp_path, "Model", counts={}, made_from={})
        harm(tmp_path / "data.bin")
        with pytest.raises(InvalidInputError, match=complaint):
            manifest.verify(tmp_path)
