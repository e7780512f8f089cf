"""Durations, percentages and quantities: how they read and what is refused."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from fathom_api.types import IntOrPercent, Quantity, allowed_failures, seconds


@pytest.mark.parametrize(
    ("text", "length"),
    [
        pytest.param("250ms", 0.25, id="milliseconds"),
        pytest.param("30s", 30.0, id="seconds"),
        pytest.param("5m", 300.0, id="minutes are not milliseconds"),
        pytest.param("1h30m", 5400.0, id="parts add up"),
        pytest.param("0s", 0.0, id="no time at all"),
    ],
)
def test_a_duration_reads_as_seconds(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "30", "s", "1.5h", "5 m", "-3s", "30s later"])
def test_what_is_not_a_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write 30s, 5m or 1h30m"):
        seconds(text)


@pytest.mark.parametrize(
    ("limit", "total", "allowed"),
    [
        pytest.param(3, 1000, 3, id="a number is that number"),
        pytest.param(0, 1000, 0, id="none"),
        pytest.param("5%", 1000, 50, id="a percentage is of the total"),
        pytest.param("5%", 19, 0, id="rounded down: one of 19 is more than 5 %"),
        pytest.param("5%", 20, 1, id="exactly 5 %"),
        pytest.param("7%", 100, 7, id="not one less by rounding of floats"),
        pytest.param("32.30%", 1000, 323, id="nor with a part of a percent"),
        pytest.param("0.5%", 1000, 5, id="part of a percent"),
        pytest.param("100%", 7, 7, id="all may fail"),
        pytest.param("5%", 0, 0, id="of nothing, nothing"),
    ],
)
def test_the_failure_budget(limit: int | str, total: int, allowed: int) -> None:
    assert allowed_failures(limit, total) == allowed


@pytest.mark.parametrize("value", [0, 3, "0%", "5%", "99.5%", "100%"])
def test_a_number_or_a_percentage_is_taken_as_it_is(value: int | str) -> None:
    assert TypeAdapter(IntOrPercent).validate_python(value) == value


@pytest.mark.parametrize("value", [-1, "5", "101%", "100.5%", "%", "-1%", "five"])
def test_neither_number_nor_percentage(value: int | str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(IntOrPercent).validate_python(value)


@pytest.mark.parametrize("value", [1, "1", "500m", "4Gi", "1.5", "1e3", "0.1"])
def test_a_quantity_is_taken_as_it_is(value: int | str) -> None:
    assert TypeAdapter(Quantity).validate_python(value) == value


@pytest.mark.parametrize("value", ["", "plenty", "4 Gi", "4GiB", "1,5"])
def test_what_is_not_a_quantity(value: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Quantity).validate_python(value)
