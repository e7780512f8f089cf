"""What is written appears whole or not at all, and is known by its digest."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.buckets import s3
from upath import UPath

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.storage import (
    Location,
    appearing,
    digest_files,
    existing,
    existing_local,
    files,
    local,
    resolve,
    version,
)
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


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket that every test here writes to, each below a name of its own."""
    with s3("shelf"):
        yield "s3://shelf"


@pytest.fixture(params=["a folder", "a bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where files can be: the same must hold in each."""
    if request.param == "a folder":
        return tmp_path / "place"
    return resolve(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def put(path: Location, data: bytes) -> None:
    with appearing(path) as temporary:
        temporary.write_bytes(data)


class TestAnyPlace:
    def test_what_appeared_can_be_read(self, place: Location) -> None:
        put(place / "deep" / "a.bin", b"1")
        put(place / "deep" / "a.bin", b"22")
        assert (place / "deep" / "a.bin").read_bytes() == b"22"

    def test_a_writer_that_fails_leaves_the_old_file(self, place: Location) -> None:
        def interrupted() -> None:
            with appearing(place / "a.bin") as path:
                path.write_text("half")
                raise RuntimeError("power cut")

        put(place / "a.bin", b"old")
        with pytest.raises(RuntimeError, match="power cut"):
            interrupted()
        assert (place / "a.bin").read_bytes() == b"old"

    def test_files_are_listed_by_name_hidden_ones_aside(self, place: Location) -> None:
        for name in ("b.bin", "a/z.bin", "a-b.bin", ".hidden/x", ".y"):
            put(place / name, name.encode())
        assert [(e.name, e.size) for e in files(place)] == [("a/z.bin", 7), ("a-b.bin", 7), ("b.bin", 5)]
        assert files(place)[0].path.read_bytes() == b"a/z.bin"

    def test_what_another_has_just_written_is_seen(self, place: Location) -> None:
        put(place / "a.bin", b"1")
        assert len(files(place)) == 1
        put(place / "b.bin", b"1")
        assert len(files(place)) == 2

    def test_a_files_version_changes_with_its_content(self, place: Location) -> None:
        put(place / "a.bin", b"1")
        before = version(place / "a.bin")
        assert version(place / "a.bin") == before
        assert files(place)[0].version == before
        put(place / "a.bin", b"2")
        assert version(place / "a.bin") != before

    def test_a_folder_is_sealed_and_verified(self, place: Location) -> None:
        put(place / "data.bin", b"1")
        assert manifest.read(place) is None
        sealed = manifest.write(place, "Model", counts={"rows": 1}, made_from={"model": "sha256:0"})
        assert manifest.verify(place) == sealed
        put(place / "data.bin", b"2")
        with pytest.raises(InvalidInputError, match="differs from its manifest"):
            manifest.verify(place)


def test_the_same_files_have_the_same_digest_in_a_bucket_and_in_a_folder(bucket: str, tmp_path: Path) -> None:
    digests = set[str]()
    for place in (tmp_path / "same", resolve(f"{bucket}/same")):
        put(place / "a" / "1", b"one")
        put(place / "a-", b"two")
        digests.add(manifest.write(place, "Model", counts={}, made_from={}).digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        pytest.param("s3://bucket/a.parquet", "s3", id="S3"),
        pytest.param("gs://bucket/a.parquet", "gs", id="Google Cloud Storage"),
        pytest.param("https://host/a.parquet", "https", id="a web server"),
    ],
)
def test_what_is_elsewhere_resolves_to_a_path_of_its_protocol(uri: str, kind: str) -> None:
    path = resolve(uri)
    assert isinstance(path, UPath)
    assert (path.protocol, path.name) == (kind, "a.parquet")


def test_what_must_be_on_this_machine_is_refused_elsewhere(tmp_path: Path) -> None:
    assert local("pvc://claim/x") == Path("/volumes/claim/x")
    assert existing_local(str(tmp_path)) == tmp_path
    with pytest.raises(InvalidInputError, match=r"s3://bucket/x: must be on a volume"):
        local("s3://bucket/x")


def test_a_web_server_cannot_be_written_to() -> None:
    with pytest.raises(InvalidInputError, match="cannot be written"), appearing(resolve("https://host/x")):
        pass


@pytest.mark.parametrize("uri", ["s3://shelf/none.parquet", "s3://no-such-bucket/x"])
def test_a_missing_object_is_named(uri: str, bucket: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{uri}: nothing there"):
        existing(uri)


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    # fsspec.registry is also the name of a read-only view in that module.
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(InvalidInputError, match=r"fathom-workloads\[remote\]"):
        resolve("s3://bucket/x")


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
