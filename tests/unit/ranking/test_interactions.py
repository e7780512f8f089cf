"""Interactions are read from what people have, and refused with a sentence that says what is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from builders.worlds import write

from fathom.errors import InvalidInputError
from fathom.ranking import interactions
from fathom_api.tasks import AnyData

GOOD: dict[str, Any] = {
    "user_id": ["a", "b"] * 200,
    "item_id": [7, 8] * 200,
    "label": [0, 1] * 200,
    "timestamp": list(range(400)),
}


def read(path: Path, columns: dict[str, Any], **fields: Any) -> interactions.Interactions:
    uri = write(path / "interactions.parquet", columns)
    return interactions.read(AnyData.model_validate({"interactions": {"uri": uri}, **fields}))


def with_bad(column: str, value: Any, count: int) -> dict[str, Any]:
    return GOOD | {column: [*GOOD[column][:-count], *[value] * count]}


def test_ids_of_any_type_are_names(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert (found.users, found.items) == (["a", "b"], ["7", "8"])
    assert len(found) == 400
    assert found.label[:2].tolist() == [0, 1]


@pytest.mark.parametrize(
    "ids",
    [
        pytest.param([7, 8], id="integers"),
        pytest.param(["7", "8"], id="strings"),
        pytest.param([7.0, 8.0], id="integers that a gap made floats"),
        pytest.param(pa.array(["7", "8"]).dictionary_encode(), id="dictionary-encoded strings"),
    ],
)
def test_the_same_id_has_the_same_name_whatever_its_type(ids: Any, tmp_path: Path) -> None:
    two = {"user_id": ["a", "b"], "item_id": ids, "label": [0, 1], "timestamp": [1, 2]}
    assert read(tmp_path, two).items == ["7", "8"]


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(pa.array([10, 20], pa.timestamp("s")), id="timestamps"),
        pytest.param(pa.array([10_000, 20_001], pa.timestamp("ns", tz="UTC")), id="timestamps with a zone"),
        pytest.param([10, 20], id="integers"),
        pytest.param([1.5, 2.5], id="floats"),
    ],
)
def test_times_may_be_numbers_or_timestamps(times: Any, tmp_path: Path) -> None:
    two = {"user_id": ["a", "b"], "item_id": [1, 2], "label": [False, True], "timestamp": times}
    time = read(tmp_path, two).time
    assert time is not None
    assert time[0] < time[1]


def test_csv_is_read_as_parquet_is(tmp_path: Path) -> None:
    path = tmp_path / "interactions.csv"
    path.write_text("user_id,item_id,label,timestamp\n1,10,1,100\n2,11,0,200\n")
    found = interactions.read(AnyData.model_validate({"interactions": {"uri": str(path)}}))
    assert (found.users, found.items, found.label.tolist()) == (["1", "2"], ["10", "11"], [1, 0])


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        pytest.param("user_id", None, "no user_id", id="no user"),
        pytest.param("item_id", None, "no item_id", id="no item"),
        pytest.param("label", 3, "label neither 0 nor 1", id="a label that is neither 0 nor 1"),
        pytest.param("label", None, "label neither 0 nor 1", id="no label"),
        pytest.param("timestamp", None, "no usable timestamp", id="no time"),
    ],
)
class TestUnusableRows:
    def test_few_are_left_out_and_counted(self, column: str, value: Any, why: str, tmp_path: Path) -> None:
        found = read(tmp_path, with_bad(column, value, 4))
        assert (len(found), found.unusable) == (396, {why: 4})

    def test_many_are_an_error(self, column: str, value: Any, why: str, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match=f"5 of 400 rows cannot be used.*5 with {why}"):
            read(tmp_path, with_bad(column, value, 5))


@pytest.mark.parametrize(
    ("columns", "fields", "reason", "complaint"),
    [
        pytest.param(
            GOOD,
            {"label": "liked"},
            "MissingColumn",
            "no column 'liked'; it has 'user_id', 'item_id', 'label', 'timestamp'",
            id="a column that is not there, with those that are",
        ),
        pytest.param(
            GOOD | {"label": ["yes", "no"] * 200},
            {},
            "NotNumeric",
            "column 'label' is neither",
            id="a label in words",
        ),
        pytest.param({n: v[:0] for n, v in GOOD.items()}, {}, "NoRows", "no rows", id="an empty table"),
    ],
)
def test_refusals(
    columns: dict[str, Any], fields: dict[str, Any], reason: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=complaint) as refused:
        read(tmp_path, columns, **fields)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("data.xlsx", "UnknownFormat", id="a format that is not read"),
        pytest.param("data.parquet", "UnreadableTable", id="a file that is not what its name says"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("not a table")
    with pytest.raises(InvalidInputError, match=name) as refused:
        interactions.read(AnyData.model_validate({"interactions": {"uri": str(tmp_path / name)}}))
    assert refused.value.reason == reason


def test_equal_rows_have_equal_fingerprints_and_others_do_not(tmp_path: Path) -> None:
    rows = {"user_id": ["a", "a", "b"], "item_id": ["x"] * 3, "label": [1, 1, 0], "timestamp": [5, 5, 5]}
    hashes = read(tmp_path, rows).hashes
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(np.unique(hashes)) == 2
