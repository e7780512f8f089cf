"""The hours in which items move; pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from fathom_operator.schedule import zone


def until_open(window: str | None, now: datetime) -> float:
    """Return for how many seconds `window` stays closed, 0 while it is open.

    A window whose ends are equal is open all day. Where the clocks change, an end is the local time it names.

    Raises:
        ValueError: there is no such time zone; the message says the fix.
    """
    if window is None:
        return 0.0
    begin, end, local = _parsed(window, now)
    if _open(begin, end, local.time()):
        return 0.0
    opens = datetime.combine(local.date(), begin, local.tzinfo)
    if opens <= local:
        opens = datetime.combine(local.date() + timedelta(days=1), begin, local.tzinfo)
    # In UTC: between two moments of one zone Python takes the difference of the clocks' faces.
    return (opens.astimezone(now.tzinfo) - now).total_seconds()


def until_closed(window: str | None, now: datetime) -> float | None:
    """Return for how many seconds an open `window` stays open; None without one, or one of all day.

    Raises:
        ValueError: there is no such time zone; the message says the fix.
    """
    if window is None:
        return None
    begin, end, local = _parsed(window, now)
    if begin == end:
        return None
    closes = datetime.combine(local.date(), end, local.tzinfo)
    if closes <= local:
        closes = datetime.combine(local.date() + timedelta(days=1), end, local.tzinfo)
    return (closes.astimezone(now.tzinfo) - now).total_seconds()


def _parsed(window: str, now: datetime) -> tuple[time, time, datetime]:
    hours, _, name = window.partition(" ")
    begin, end = (time.fromisoformat(part) for part in hours.split("-"))
    return begin, end, now.astimezone(zone(name or "Etc/UTC", "spec.pace.window"))


def _open(begin: time, end: time, at: time) -> bool:
    if begin == end:
        return True
    return begin <= at < end if begin < end else at >= begin or at < end
