"""When schedules are due, in time zones whose clocks change too."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from fathom_operator.schedule import next_time


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "due"),
    [
        pytest.param("0 3 * * *", "Etc/UTC", "2026-01-31T03:00", "2026-02-01T03:00", id="later, not now"),
        pytest.param("0 3 * * *", "Asia/Tokyo", "2026-01-31T12:00", "2026-01-31T18:00", id="elsewhere"),
        pytest.param("0 0 * * MON-FRI", "Etc/UTC", "2026-01-31T12:00", "2026-02-02T00:00", id="working days"),
        pytest.param("@hourly", "Etc/UTC", "2026-01-31T12:20", "2026-01-31T13:00", id="@hourly"),
        pytest.param("@weekly", "Etc/UTC", "2026-01-31T12:20", "2026-02-01T00:00", id="@weekly: Sunday"),
        pytest.param(
            "30 2 * * *", "Europe/Berlin", "2026-03-29T00:00", "2026-03-29T01:00", id="skipped: after the gap"
        ),
        pytest.param(
            "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30", "2026-10-26T01:30", id="repeated: only once"
        ),
    ],
)
def test_next(schedule: str, zone: str, after: str, due: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert next_time(schedule, zone, moment) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "zone", "sentence"),
    [
        pytest.param("61 3 * * *", "Etc/UTC", "refresh.schedule: 61 3 * * * is no schedule", id="minute"),
        pytest.param("0 0 31 2 *", "Etc/UTC", "spec.refresh.schedule", id="the 31st of February"),
        pytest.param("0 3 * * *", "Mars/Olympus", "there is no time zone Mars/Olympus", id="no such zone"),
        pytest.param("0 3 * * *", "../../etc/passwd", "spec.refresh.timeZone", id="a path"),
        pytest.param("0 3 * * *", "Europe", "spec.refresh.timeZone", id="a continent"),
    ],
)
def test_what_is_none(schedule: str, zone: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        next_time(schedule, zone, datetime(2026, 1, 31, tzinfo=UTC))
