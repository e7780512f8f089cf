"""When a schedule is due: cron in a time zone; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}


def next_time(
    schedule: str,
    time_zone: str,
    after: datetime,
    *,
    field: str = "spec.refresh",
    name: str = "schedule",
) -> datetime:
    """Return the first time of `schedule` after `after`, in UTC.

    A time that the clocks skip in spring is taken right after the gap; one that they repeat comes once.
    `field` holds the schedule, under `name`, and `timeZone`.

    Raises:
        ValueError: there is no such schedule or time zone; the message says the fix.
    """
    begin = after.astimezone(zone(time_zone, f"{field}.timeZone"))
    try:
        return next(CronSim(_MACROS.get(schedule, schedule), begin)).astimezone(UTC)
    except StopIteration as error:
        raise ValueError(_refusal(f"{field}.{name}", schedule, "it never comes")) from error
    except CronSimError as error:
        raise ValueError(_refusal(f"{field}.{name}", schedule, str(error).lower())) from error


def zone(name: str, field: str) -> ZoneInfo:
    """Return the time zone `name`, which `field` of the spec names.

    Raises:
        ValueError: there is none; the message says the fix.
    """
    try:
        return ZoneInfo(name)
    # A name that is a folder, or leads out of the database, is no time zone either.
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"{field}: there is no time zone {name}: name one of the IANA database, such as "
            "Europe/Berlin or Etc/UTC"
        ) from error


def _refusal(field: str, schedule: str, why: str) -> str:
    return (
        f"{field}: {schedule} is no schedule ({why}): write minute, hour, day of month, month "
        "and day of week, as in 0 3 * * *"
    )
