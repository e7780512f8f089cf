"""The hours in which items move: open, closed, over midnight, when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fathom_operator.backfill.window import until_closed, until_open

HOUR = 3600


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "now", "opens", "closes"),
    [
        pytest.param("09:00-17:00", "2026-06-01T12:00", 0, 5 * HOUR, id="in the middle of the day"),
        pytest.param("09:00-17:00", "2026-06-01T09:00", 0, 8 * HOUR, id="it opens on the minute"),
        pytest.param("09:00-17:00", "2026-06-01T17:00", 16 * HOUR, 24 * HOUR, id="it closes on the minute"),
        pytest.param("22:00-06:00", "2026-06-01T23:30", 0, 6.5 * HOUR, id="before midnight"),
        pytest.param("22:00-06:00", "2026-06-01T05:00", 0, 1 * HOUR, id="after midnight"),
        pytest.param("22:00-06:00", "2026-06-01T06:00", 16 * HOUR, 24 * HOUR, id="in the morning"),
        pytest.param("22:00-06:00 Europe/Berlin", "2026-06-01T19:00", 1 * HOUR, 9 * HOUR, id="summer time"),
        pytest.param("22:00-06:00 Europe/Berlin", "2026-12-01T20:00", 1 * HOUR, 9 * HOUR, id="winter time"),
        pytest.param(
            "22:00-06:00 Europe/Berlin", "2026-03-28T22:00", 0, 6 * HOUR, id="a night without its third hour"
        ),
    ],
)
def test_how_long_it_is_until_it_opens_and_closes(window: str, now: str, opens: float, closes: float) -> None:
    assert until_open(window, at(now)) == opens
    assert until_closed(window, at(now)) == closes


@pytest.mark.parametrize("window", [None, "00:00-00:00"])
def test_without_hours_it_is_always_open(window: str | None) -> None:
    assert until_open(window, at("2026-06-01T12:00")) == 0
    assert until_closed(window, at("2026-06-01T12:00")) is None


def test_a_zone_that_is_none_is_refused_with_the_field() -> None:
    with pytest.raises(ValueError, match=r"spec\.pace\.window: there is no time zone Mars"):
        until_open("22:00-06:00 Mars", at("2026-06-01T12:00"))
