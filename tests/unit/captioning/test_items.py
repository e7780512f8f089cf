"""Ids and texts read the same whatever they are stored in, and can break nothing."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fathom.captioning.items import as_id, as_ids, as_text

CASES = [
    pytest.param(12, "12", id="a whole number"),
    pytest.param(12.0, "12", id="a whole number in a column with gaps, as pandas writes it"),
    pytest.param("007", "007", id="text keeps its zeros"),
    pytest.param(" a b ", "a b", id="blanks around are not part of it"),
    pytest.param("  ", None, id="blanks are no id"),
    pytest.param(float("nan"), None, id="not a number is no id"),
    pytest.param(None, None, id="null"),
    pytest.param("\u00fc\U0001f600", "\u00fc\U0001f600", id="any Unicode"),
    pytest.param(b"x1", "x1", id="bytes"),
    pytest.param(b"caf\xe9", "caf\\xe9", id="bytes that are no UTF-8 are written out"),
]


@pytest.mark.parametrize(("value", "expected"), CASES)
def test_ids_read_the_same_however_they_are_stored(value: Any, expected: str | None) -> None:
    assert as_id(value) == expected
    assert as_ids(pa.array([value])).to_pylist() == [expected]


def test_half_of_a_character_is_written_out() -> None:
    assert as_id("a\ud800") == "a\\ud800"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_columns_of_every_layout_are_ids(kind: pa.DataType) -> None:
    assert as_ids(pa.array(["a", None, " "], pa.string()).cast(kind)).to_pylist() == ["a", None, None]


def test_text_that_claims_to_be_unicode_and_is_not_is_written_out() -> None:
    broken = pa.array([b"ok", b"caf\xe9", None], pa.binary()).view(pa.string())
    assert as_ids(broken).to_pylist() == ["ok", "caf\\xe9", None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a\r\n\tb\u2028c", "a b c", id="line ends and tabs are spaces"),
        pytest.param("a\x00\x1b[31mb", "a[31mb", id="control characters are dropped"),
        pytest.param("evil\u202egpj.e", "evilgpj.e", id="the direction of text cannot be turned"),
        pytest.param("x\ud800y", "xy", id="half a character is dropped"),
        pytest.param("0123456789abc", "0123456789", id="what is too long is cut"),
        pytest.param(["red", "blue"], "red, blue", id="a list is its entries"),
        pytest.param({"a": 1}, '{"a": 1}', id="a struct is JSON"),
        pytest.param(12, "12", id="a number"),
        pytest.param(" \n ", None, id="blanks are no text"),
        pytest.param(None, None, id="null"),
        pytest.param(float("nan"), None, id="not a number"),
        pytest.param("👩‍👩‍👧", "👩‍👩‍👧", id="joined characters stay joined"),
    ],
)
def test_texts_are_one_line_without_control(value: Any, expected: str | None) -> None:
    assert as_text(value, 10) == expected
