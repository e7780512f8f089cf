from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders.pictures import parquet, png

from fathom.captioning.items import as_id, count, items
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnySource

ROWS = [("a", "1.png"), ("b", "2.png"), ("c", "3.png")]


def source(uri: Path | str, **fields: str) -> AnySource:
    return AnySource.model_validate({"uri": str(uri), **fields})


def as_parquet(folder: Path) -> Path:
    return Path(
        parquet(
            folder / "t.parquet", item_id=[r[0] for r in ROWS], image=[r[1] for r in ROWS], more=[1, 2, 3]
        )
    )


def as_parquet_folder(folder: Path) -> Path:
    for number, (identity, image) in enumerate(ROWS):
        parquet(folder / f"part-{number}.parquet", item_id=[identity], image=[image])
    return folder


def as_csv(folder: Path) -> Path:
    (folder / "t.csv").write_text(
        "\ufeffmore,item_id,image\n" + "".join(f'"x, y",{i},{m}\n' for i, m in ROWS)
    )
    return folder / "t.csv"


def as_jsonl(folder: Path) -> Path:
    lines = [json.dumps({"item_id": i, "image": m}) for i, m in ROWS]
    (folder / "t.jsonl").write_text("\n\n".join(lines))
    return folder / "t.jsonl"


@pytest.mark.parametrize("write", [as_parquet, as_parquet_folder, as_csv, as_jsonl])
def test_every_format_yields_the_same_items(write: Any, tmp_path: Path) -> None:
    found = list(items(source(write(tmp_path)), 0, 1))
    assert [(item.id, item.media) for item in found] == ROWS
    assert count(source(write(tmp_path)), 0, 1) == 3


def test_a_folder_of_images_is_items_named_by_their_files(tmp_path: Path) -> None:
    for name in ("b.png", "deep/a.JPG", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png("red"))
    found = list(items(source(tmp_path), 0, 1))
    assert [(item.id, item.media) for item in found] == [("b", "b.png"), ("deep/a", "deep/a.JPG")]


def test_shards_share_out_every_item_once(tmp_path: Path) -> None:
    uri = parquet(tmp_path / "t.parquet", item_id=[str(n) for n in range(1000)], image=["x"] * 1000)
    dealt = [[item.id for item in items(source(uri), shard, 7)] for shard in range(7)]
    assert sorted(i for shard in dealt for i in shard if i) == sorted(str(n) for n in range(1000))
    assert [count(source(uri), shard, 7) for shard in range(7)] == [len(shard) for shard in dealt]
    assert min(map(len, dealt)) > 100, "no shard is much smaller than another"


def test_an_items_shard_does_not_depend_on_its_row(tmp_path: Path) -> None:
    forward = parquet(tmp_path / "f.parquet", item_id=[str(n) for n in range(50)], image=["x"] * 50)
    backward = parquet(tmp_path / "b.parquet", item_id=[str(49 - n) for n in range(50)], image=["x"] * 50)
    for shard in range(3):
        ids = [{item.id for item in items(source(uri), shard, 3)} for uri in (forward, backward)]
        assert ids[0] == ids[1]


def test_the_second_item_of_an_id_is_a_duplicate_in_the_same_shard(tmp_path: Path) -> None:
    uri = parquet(tmp_path / "t.parquet", item_id=["a", "b", "a", None, None], image=["x"] * 5)
    found = [item for shard in range(4) for item in items(source(uri), shard, 4)]
    assert {(item.row, item.id, item.duplicate) for item in found} == {
        (0, "a", False), (1, "b", False), (2, "a", True), (3, None, False), (4, None, False)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(12, "12", id="a whole number"),
        pytest.param(12.0, "12", id="a whole number in a column with gaps, as pandas writes it"),
        pytest.param("007", "007", id="text keeps its zeros"),
        pytest.param(b"x1", "x1", id="bytes"),
        pytest.param("  ", None, id="blanks are no id"),
        pytest.param(float("nan"), None, id="not a number is no id"),
        pytest.param(None, None, id="null"),
    ],
)
def test_ids_read_the_same_however_they_are_stored(value: Any, expected: str | None) -> None:
    assert as_id(value) == expected


def nothing(folder: Path) -> Path:
    return folder / "missing.parquet"


def text_file(folder: Path) -> Path:
    (folder / "t.xlsx").write_text("?")
    return folder / "t.xlsx"


def damaged_parquet(folder: Path) -> Path:
    (folder / "t.parquet").write_bytes(b"PAR1 not really")
    return folder / "t.parquet"


def truncated_parquet(folder: Path) -> Path:
    data = as_parquet(folder).read_bytes()
    (folder / "t.parquet").write_bytes(data[: len(data) // 2])
    return folder / "t.parquet"


def broken_jsonl(folder: Path) -> Path:
    (folder / "t.jsonl").write_text('{"item_id": 1, "image": "x"}\n{"item_id": ')
    return folder / "t.jsonl"


def empty_table(folder: Path) -> Path:
    pq.write_table(
        pa.table({"item_id": pa.array([], pa.string()), "image": pa.array([], pa.string())}),
        folder / "t.parquet",
    )
    return folder / "t.parquet"


def latin_csv(folder: Path) -> Path:
    (folder / "t.csv").write_bytes("item_id,image\né,x\n".encode("latin-1"))
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("write", "fields", "reason", "says"),
    [
        pytest.param(nothing, {}, "NotFound", "missing.parquet", id="nothing there"),
        pytest.param(
            text_file,
            {},
            "UnknownFormat",
            ".parquet, .csv, .jsonl",
            id="an unknown format names the known ones",
        ),
        pytest.param(damaged_parquet, {}, "UnreadableTable", "t.parquet", id="not Parquet"),
        pytest.param(truncated_parquet, {}, "UnreadableTable", "t.parquet", id="half of a Parquet file"),
        pytest.param(broken_jsonl, {}, "UnreadableTable", "line 2", id="broken JSON names its line"),
        pytest.param(latin_csv, {}, "UnreadableTable", "t.csv", id="CSV in another encoding"),
        pytest.param(empty_table, {}, "NoItems", "no items", id="an empty table"),
        pytest.param(
            as_parquet,
            {"idColumn": "id"},
            "MissingColumn",
            "'item_id', 'image', 'more'",
            id="no id column in Parquet",
        ),
        pytest.param(
            as_parquet, {"mediaColumn": "pic"}, "MissingColumn", "'pic'", id="no media column in Parquet"
        ),
        pytest.param(
            as_csv,
            {"mediaColumn": "pic"},
            "MissingColumn",
            "'more', 'item_id', 'image'",
            id="no media column in CSV",
        ),
        pytest.param(
            as_jsonl,
            {"mediaColumn": "pic"},
            "MissingColumn",
            "'item_id', 'image'",
            id="no media column in JSONL",
        ),
    ],
)
def test_a_wrong_source_is_refused_before_any_work(
    write: Any, fields: dict[str, str], reason: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError) as error:
        count(source(write(tmp_path), **fields), 0, 1)
    assert error.value.reason == reason
    assert says in str(error.value)


def test_a_line_may_leave_out_its_media(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"item_id": 1}\n{"item_id": 2, "image": "x"}\n')
    assert count(source(tmp_path / "t.jsonl"), 0, 1) == 2
    assert [item.media for item in items(source(tmp_path / "t.jsonl"), 0, 1)] == [None, "x"]
