"""The same items come out of every kind of source, from any row on."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders.buckets import s3
from builders.pictures import parquet, png

from fathom import storage
from fathom.captioning.media import read
from fathom.captioning.sources import Index, open_source
from fathom.captioning.sources import index as indices
from fathom.captioning.sources.parquet import Parquet
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnySource

COUNT = 23
IDS = [f"item-{n:02d}" for n in range(COUNT)]
TITLES = [f'a "title",\nno {n}' for n in range(COUNT)]
Write = Callable[[Path], Path]


def source(uri: Path | str, **fields: Any) -> AnySource:
    return AnySource.model_validate({"uri": str(uri), **fields})


def media(number: int) -> bytes:
    return f"media {number}".encode()


def write_media(folder: Path) -> list[str]:
    for number in range(COUNT):
        (folder / f"{number}.png").write_bytes(media(number))
    return [f"{number}.png" for number in range(COUNT)]


def as_parquet(folder: Path) -> Path:
    columns = {"item_id": IDS, "image": write_media(folder), "title": TITLES, "more": list(range(COUNT))}
    pq.write_table(pa.table(columns), folder / "t.parquet", row_group_size=5)
    return folder / "t.parquet"


def as_inline_parquet(folder: Path) -> Path:
    images = [{"bytes": media(n), "path": None} for n in range(COUNT)]
    return Path(parquet(folder / "t.parquet", item_id=IDS, image=images, title=TITLES))


def as_parquet_folder(folder: Path) -> Path:
    names = write_media(folder)
    for number, start in enumerate(range(0, COUNT, 4)):
        rows = slice(start, start + 4)
        parquet(folder / f"part-{number}.parquet", item_id=IDS[rows], image=names[rows], title=TITLES[rows])
    return folder


def as_csv(folder: Path) -> Path:
    rows = [
        f'x,{i},"{t.replace(chr(34), chr(34) * 2)}",{m}'
        for i, t, m in zip(IDS, TITLES, write_media(folder), strict=True)
    ]
    (folder / "t.csv").write_text("\ufeffmore,item_id,title,image\r\n" + "\r\n".join(rows))
    return folder / "t.csv"


def as_jsonl(folder: Path) -> Path:
    rows = zip(IDS, TITLES, write_media(folder), strict=True)
    lines = [json.dumps({"item_id": i, "title": t, "image": m}) for i, t, m in rows]
    (folder / "t.jsonl").write_text("\n\n".join(lines))
    return folder / "t.jsonl"


def as_jsonl_folder(folder: Path) -> Path:
    lines = as_jsonl(folder).read_text().split("\n\n")
    (folder / "t.jsonl").unlink()
    for number, start in enumerate(range(0, COUNT, 10)):
        (folder / f"{number}.jsonl").write_text("\n".join(lines[start : start + 10]) + "\n")
    return folder


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def write_tar(path: Path, rows: range) -> None:
    with tarfile.open(path, "w") as tar:
        for n in rows:
            add(tar, f"deep/{IDS[n]}.png", media(n))
            add(tar, f"deep/{IDS[n]}.json", json.dumps({"item_id": IDS[n], "title": TITLES[n]}).encode())


def as_tar(folder: Path) -> Path:
    write_tar(folder / "t.tar", range(COUNT))
    return folder / "t.tar"


def as_tar_folder(folder: Path) -> Path:
    for number, start in enumerate(range(0, COUNT, 10)):
        write_tar(folder / f"{number:03d}.tar", range(start, min(start + 10, COUNT)))
    return folder


TABLES = [
    as_parquet, as_inline_parquet, as_parquet_folder, as_csv, as_jsonl, as_jsonl_folder, as_tar, as_tar_folder
]  # fmt: skip


def ids(found: AnySource, index: Index | None = None) -> list[str | None]:
    return [i for batch in open_source(found, index).ids() for i in batch["item_id"].to_pylist()]


@pytest.mark.parametrize("write", TABLES)
def test_every_format_yields_the_same_items(write: Write, tmp_path: Path) -> None:
    where = source(write(tmp_path), textColumns=["title"])
    found = list(open_source(where).items(0, 1000))
    assert [item.row for item in found] == list(range(COUNT))
    assert [item.id for item in found] == IDS == ids(where)
    assert [read(item.media, where).data for item in found] == [media(n) for n in range(COUNT)]
    assert [item.texts for item in found] == [{"title": f'a "title", no {n}'} for n in range(COUNT)]


@pytest.mark.parametrize("indexed", [False, True], ids=["counting", "with an index"])
@pytest.mark.parametrize("write", TABLES)
def test_any_range_of_rows_can_be_read_alone(
    write: Write, indexed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fathom.captioning.sources.files.STRIDE", 3)
    where = source(write(tmp_path), textColumns=["title"])
    everything = list(open_source(where).items(0, COUNT))
    index = None
    if indexed:
        reader = open_source(where)
        assert sum(batch.num_rows for batch in reader.ids()) == COUNT
        assert reader.index is not None
        reader.index.save(tmp_path / "index")
        index = indices.load(tmp_path / "index")
        assert index.rows == COUNT
    pick = random.Random(0)
    for _ in range(25):
        start, stop = sorted(pick.sample(range(COUNT + 3), 2))
        assert list(open_source(where, index).items(start, stop)) == everything[start:stop]


def test_a_folder_of_media_is_items_named_by_their_files(tmp_path: Path) -> None:
    for name in ("b.png", "deep/a.JPG", "note.txt", ".hidden.png", "b/c.d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    where = source(tmp_path)
    found = list(open_source(where).items(0, 10))
    assert [(item.id, read(item.media, where).data) for item in found] == [
        ("b/c.d", b"b/c.d.png"), ("b", b"b.png"), ("deep/a", b"deep/a.JPG")
    ]  # fmt: skip
    assert ids(where) == ["b/c.d", "b", "deep/a"]
    assert [item.id for item in open_source(where).items(1, 2)] == ["b"]


def test_the_kind_of_media_decides_which_files_are_items(tmp_path: Path) -> None:
    for name in ("a.png", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    assert ids(source(tmp_path)) == ["a"]
    assert ids(source(tmp_path, mediaType="Video")) == ["b"]


def test_a_table_beside_its_pictures_is_the_source(tmp_path: Path) -> None:
    assert ids(source(as_csv(tmp_path).parent)) == IDS


class TestReading:
    def test_only_row_groups_in_range_are_decoded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []
        original = pq.ParquetFile.iter_batches

        def spy(self: Any, *args: Any, **options: Any) -> Any:
            asked.append((options.get("row_groups"), options.get("columns")))
            return original(self, *args, **options)

        monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
        reader = open_source(source(as_parquet(tmp_path)))
        assert [item.id for item in reader.items(7, 12)] == IDS[7:12]
        assert asked == [([1], ["item_id", "image"]), ([2], ["item_id", "image"])]
        asked.clear()
        assert sum(batch.num_rows for batch in reader.ids()) == COUNT
        assert asked == [(None, ["item_id"])]

    def test_files_after_the_range_are_not_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Parquet, "counted_at_once", 1)
        reader = open_source(source(as_parquet_folder(tmp_path)))
        (tmp_path / "part-3.parquet").write_bytes(b"broken")
        assert [item.id for item in reader.items(2, 7)] == IDS[2:7]

    def test_large_media_are_held_a_few_at_a_time(self, tmp_path: Path) -> None:
        big = [random.Random(n).randbytes(2**20) for n in range(60)]
        table = pa.table({"item_id": range(60), "image": big})
        # A page is read as a whole, and writers put up to so many rows into one.
        pq.write_table(table, tmp_path / "t.parquet", write_batch_size=4, use_dictionary=False)
        uri = tmp_path / "t.parquet"
        del table
        before = pa.total_allocated_bytes()
        peak = 0
        for item in open_source(source(uri)).items(0, 60):
            assert item.media == big[item.row]
            peak = max(peak, pa.total_allocated_bytes() - before)
        assert peak < 40 * 2**20

    def test_a_tars_media_are_read_where_they_are_needed(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "t.tar", "w") as tar:
            add(tar, "a.jpg", b"1")
            add(tar, "a.txt", b"a red thing")
            add(tar, "b.cls", b"7")
            add(tar, "c.seg.PNG", b"3")
            link = tarfile.TarInfo("d.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
        where = source(tmp_path / "t.tar", textColumns=["txt"])
        found = list(open_source(where).items(0, 10))
        assert [(i.id, i.texts) for i in found] == [("a", {"txt": "a red thing"}), ("b", {}), ("c", {})]
        assert read(found[0].media, where).data == b"1"
        assert found[1].media is None
        assert read(found[2].media, where).data == b"3"


class TestFingerprint:
    def test_it_changes_when_a_file_does(self, tmp_path: Path) -> None:
        where = source(as_jsonl_folder(tmp_path))
        before = open_source(where).fingerprint
        assert open_source(where).fingerprint == before
        (tmp_path / "3.jsonl").write_text('{"item_id": "new", "image": "0.png"}')
        assert open_source(where).fingerprint != before

    def test_an_index_of_other_files_is_refused(self, tmp_path: Path) -> None:
        where = source(as_csv(tmp_path))
        reader = open_source(where)
        list(reader.ids())
        with (tmp_path / "t.csv").open("a") as file:
            file.write("\r\nx,new,t,0.png")
        with pytest.raises(InvalidInputError, match="begin a new run"):
            open_source(where, reader.index)


@pytest.fixture(scope="module")
def bucket() -> Iterator[None]:
    with s3("catalogue"):
        yield


@pytest.mark.usefixtures("bucket")
class TestBuckets:
    @pytest.mark.parametrize("write", [as_parquet, as_csv, as_jsonl_folder, as_tar_folder])
    def test_sources_in_a_bucket_read_the_same(self, write: Write, tmp_path: Path) -> None:
        local = write(tmp_path)
        uri = f"s3://catalogue/{write.__name__}"
        for entry in storage.files(tmp_path):
            with storage.appearing(storage.resolve(f"{uri}/{entry.name}")) as path:
                path.write_bytes(entry.path.read_bytes())
        where = source(uri if local == tmp_path else f"{uri}/{local.name}", textColumns=["title"])
        assert ids(where) == IDS
        found = list(open_source(where).items(9, 12))
        assert [item.id for item in found] == IDS[9:12]
        assert [read(item.media, where).data for item in found] == [media(n) for n in range(9, 12)]

    def test_a_folder_of_media_in_a_bucket(self) -> None:
        for name in ("a.png", "deep/b.png"):
            with storage.appearing(storage.resolve(f"s3://catalogue/media/{name}")) as path:
                path.write_bytes(name.encode())
        where = source("s3://catalogue/media")
        found = list(open_source(where).items(0, 5))
        assert [(i.id, read(i.media, where).data) for i in found] == [
            ("a", b"a.png"),
            ("deep/b", b"deep/b.png"),
        ]


def written(name: str, content: str | bytes) -> Write:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return write


def typed(**columns: pa.Array) -> Write:
    def write(folder: Path) -> Path:
        pq.write_table(pa.table(columns), folder / "t.parquet")
        return folder / "t.parquet"

    return write


def truncated(write: Write) -> Write:
    def cut(folder: Path) -> Path:
        path = write(folder)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path

    return cut


def mixed(folder: Path) -> Path:
    as_csv(folder)
    return as_jsonl(folder).parent


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fathom.captioning.sources.lines.next_line.__defaults__", (1000,))


PARQUET = {"item_id": pa.array(["a"]), "image": pa.array(["x"])}


@pytest.mark.parametrize(
    ("write", "fields", "expected"),
    [
        pytest.param(lambda f: f / "none.csv", {}, ("NotFound", "none.csv"), id="nothing there"),
        pytest.param(
            written("t.xlsx", "?"),
            {},
            ("UnknownFormat", ".parquet, .csv"),
            id="an unknown format names the known",
        ),
        pytest.param(lambda f: f, {}, ("NoItems", "no items"), id="an empty folder"),
        pytest.param(mixed, {}, ("AmbiguousSource", ".csv and .jsonl"), id="a folder of several formats"),
        pytest.param(
            written("t.parquet", "PAR1 not really"), {}, ("UnreadableTable", "t.parquet"), id="not Parquet"
        ),
        pytest.param(
            truncated(as_parquet), {}, ("UnreadableTable", "t.parquet"), id="half of a Parquet file"
        ),
        pytest.param(truncated(as_tar), {}, ("UnreadableTable", "t.tar"), id="half of a tar"),
        pytest.param(written("t.tar", b"x" * 2000), {}, ("UnreadableTable", "t.tar"), id="not a tar"),
        pytest.param(written("t.jsonl", "<html>"), {}, ("UnreadableTable", "line 1"), id="not JSON lines"),
        pytest.param(
            written("t.csv", "item_id,imag\u00e9".encode("latin-1")),
            {},
            ("UnreadableTable", "not UTF-8"),
            id="a header in another encoding",
        ),
        pytest.param(
            written("t.csv", "item_id,image\n" + "a" * 2000),
            {},
            ("UnreadableTable", "line 2"),
            id="a row that does not end",
        ),
        pytest.param(
            as_parquet,
            {"idColumn": "id"},
            ("MissingColumn", "'item_id', 'image'"),
            id="no id column in Parquet",
        ),
        pytest.param(
            as_parquet, {"mediaColumn": "pic"}, ("MissingColumn", "'pic'"), id="no media column in Parquet"
        ),
        pytest.param(
            as_csv,
            {"textColumns": ["text"]},
            ("MissingColumn", "'more', 'item_id'"),
            id="no text column in CSV",
        ),
        pytest.param(
            as_jsonl, {"mediaColumn": "pic"}, ("MissingColumn", "'item_id'"), id="no media column in JSONL"
        ),
        pytest.param(
            as_tar,
            {"mediaType": "Video"},
            ("MissingColumn", "'png', 'json'"),
            id="no media of this type in a tar",
        ),
        pytest.param(
            written("t.csv", "item_id,image,image\n"),
            {},
            ("AmbiguousColumn", "'image'"),
            id="two columns of one name",
        ),
        pytest.param(
            typed(item_id=pa.array([["a"]]), image=PARQUET["image"]),
            {},
            ("InvalidColumn", "list"),
            id="ids that are lists",
        ),
        pytest.param(
            typed(item_id=pa.array([{"a": 1}]), image=PARQUET["image"]),
            {},
            ("InvalidColumn", "struct"),
            id="ids that are structs",
        ),
        pytest.param(
            typed(item_id=PARQUET["item_id"], image=pa.array([7])),
            {},
            ("InvalidColumn", "int64"),
            id="media that are numbers",
        ),
        pytest.param(
            typed(item_id=PARQUET["item_id"], image=pa.array([{"a": {"b": 1}}])),
            {},
            ("InvalidColumn", "struct"),
            id="media in another struct",
        ),
        pytest.param(
            lambda f: write_media(f) and f,
            {"textColumns": ["title"]},
            ("MissingColumn", "name a table"),
            id="texts of a folder of media",
        ),
    ],
)
def test_a_wrong_source_is_refused_before_any_work(
    write: Write, fields: dict[str, Any], expected: tuple[str, str], short_lines: None, tmp_path: Path
) -> None:
    reason, says = expected
    with pytest.raises(InvalidInputError) as error:
        ids(source(write(tmp_path), **fields))
    assert error.value.reason == reason
    assert says in str(error.value)


def test_a_web_servers_folders_cannot_be_listed() -> None:
    with pytest.raises(InvalidInputError):
        open_source(source("ftp://host/items/"))


class TestOneBadRowCostsOneItem:
    def test_a_line_may_leave_out_its_media(self, tmp_path: Path) -> None:
        written("t.jsonl", '{"item_id": 1}\n{"item_id": 2, "image": "x"}\n')(tmp_path)
        where = source(tmp_path / "t.jsonl")
        assert [(i.id, i.media) for i in open_source(where).items(0, 9)] == [("1", None), ("2", "x")]

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param(b'{"item_id": ', id="half a line"),
            pytest.param(b"[1, 2]", id="no object"),
            pytest.param(b"[" * 100_000, id="brackets without end"),
            pytest.param(b'{"item_id": ' + b"9" * 10_000 + b"}", id="a number of ten thousand digits"),
            pytest.param(b"\xff\xfe\x00", id="no text"),
            pytest.param(b"x" * 200_000, id="a line that is too long"),
        ],
    )
    def test_a_broken_line_is_a_row_without_id(
        self, line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fathom.captioning.sources.lines.next_line.__defaults__", (150_000,))
        good = [b'{"item_id": "%d", "image": "x"}' % n for n in range(2)]
        written("t.jsonl", b"\n".join([good[0], line, good[1]]))(tmp_path)
        where = source(tmp_path / "t.jsonl")
        assert ids(where) == ["0", None, "1"]
        assert [item.id for item in open_source(where).items(1, 3)] == [None, "1"]

    def test_rows_of_csv_may_be_short_long_or_in_another_encoding(self, tmp_path: Path) -> None:
        written("t.csv", b"item_id,image\na\nb,x,y,z\nc\xe9,x\n,x\n\nd,\n")(tmp_path)
        where = source(tmp_path / "t.csv")
        found = list(open_source(where).items(0, 9))
        assert [(i.id, i.media) for i in found] == [
            ("a", None), ("b", "x"), ("c\\xe9", "x"), (None, "x"), ("d", None)
        ]  # fmt: skip
        assert ids(where) == [i.id for i in found]

    def test_text_of_parquet_that_is_not_unicode_costs_no_other_row(self, tmp_path: Path) -> None:
        broken = pa.array([b"ok", b"caf\xe9"], pa.binary()).view(pa.string())
        typed(item_id=broken, image=broken, title=broken)(tmp_path)
        where = source(tmp_path / "t.parquet", textColumns=["title"])
        assert ids(where) == ["ok", "caf\\xe9"]
        assert [i.media for i in open_source(where).items(0, 2)] == ["ok", "caf\\xe9"]

    def test_ids_of_numbers_with_gaps(self, tmp_path: Path) -> None:
        typed(item_id=pa.array([1.0, float("nan"), None, 2.5]), image=pa.array([png("red")] * 4))(tmp_path)
        assert ids(source(tmp_path / "t.parquet")) == ["1", None, None, "2.5"]
