"""The rollouts of a RecModel as one HTML page: what was measured, what was decided by it, who said what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Final
from xml.etree.ElementTree import Element

from fathom_api import RecModelSpec, RecModelStatus
from fathom_operator.analysis.trail import Move, Point, Trail
from fathom_operator.kubectl.checks import Check, checks
from fathom_operator.kubectl.markup import Node, document, tag
from fathom_operator.kubectl.plots import Frame, check_plot, frame, share_plot
from fathom_operator.kubectl.view import age, history_rows, number
from fathom_operator.times import parse, seconds_since

_ENDINGS: Final = {"Promoted": "pass", "RolledBack": "fail"}


def history_page(name: str, spec: RecModelSpec, status: RecModelStatus, trail: Trail, now: datetime) -> str:
    """Return the page.

    Args:
        name: Of the RecModel, with its namespace.
        spec: Its spec: which way is worse.
        status: Its status: what was served and rejected.
        trail: Its latest rollout and those before it.
        now: The time.
    """
    rollouts = [t for t in (trail, *reversed(trail.earlier)) if t.candidate]
    numbers, known = count(), checks(spec)
    stable = status.stable.name if status.stable else "nothing"
    return document(
        f"Rollouts of {name}",
        tag("h1", f"Rollouts of {name}"),
        tag("p", f"{status.stage}. {stable} is stable. As of {now:%Y-%m-%d %H:%M:%S} UTC.", class_="soft"),
        _key() if any(t.points for t in rollouts) else None,
        *(_rollout(each, known, numbers, now) for each in rollouts),
        None if rollouts else tag("p", "Nothing was rolled out yet that was measured.", class_="card wide"),
        _versions(status, now),
    )


def _rollout(trail: Trail, known: Mapping[str, Check], numbers: Iterable[int], now: datetime) -> Element:
    drawn = frame(trail, now)
    badge, words = _ending(trail)
    span = _span(trail, now)
    facts = tag("p", f"{trail.stable} was stable. {span}", class_="soft")
    cards = [
        _card(name, points, known.get(name, Check()), drawn, number)
        for (name, points), number in zip(trail.points.items(), numbers, strict=False)
        if points and drawn
    ]
    return tag(
        "section",
        tag("div", tag("h2", trail.candidate), badge, class_="head"),
        facts,
        tag("p", words) if words else None,
        tag(
            "div",
            tag("h3", "Share of the requests"),
            share_plot(drawn) if drawn and drawn.weights else None,
            _course(trail),
            class_="card wide",
        ),
        tag("div", *cards, class_="cards") if cards else tag("p", "Nothing was measured.", class_="soft"),
    )


def _card(name: str, points: Sequence[Point], check: Check, drawn: Frame | None, index: int) -> Element:
    last = points[-1]
    numbers = [
        ("stable", number(last.stable)),
        ("candidate", number(last.candidate)),
        ("difference", number(last.delta, sign=True)),
        ("bounds", f"{number(last.low, sign=True)} … {number(last.high, sign=True)}"),
        ("margin", number(last.margin)),
        ("samples", f"{last.samples:,}"),
    ]
    measured = last.delta is not None
    return tag(
        "div",
        tag("div", tag("h3", name), _badge(last.verdict, last.verdict), class_="head"),
        tag("p", ", ".join(filter(None, (check.what, check.unit))), class_="soft") if check.what else None,
        check_plot(drawn, points, check.harm, name, index) if drawn else None,
        tag("dl", *(tag("div", tag("dt", a), tag("dd", b)) for a, b in numbers), class_="numbers")
        if measured
        else None,
        tag("p", last.message) if last.message else None,
        class_="card",
    )


def _course(trail: Trail) -> Element:
    """Return what happened in order, for those who want it in words."""
    rows = [(move.time, _moved(move)) for move in trail.moves]
    rows += [(told.time, f"a person said {told.command}") for told in trail.told]
    return tag(
        "details",
        tag("summary", "Step by step"),
        tag("div", _table(("When (UTC)", "What"), sorted(rows)), class_="scroll"),
    )


def _moved(move: Move) -> str:
    where = "in the shadow" if move.step < 0 else f"step {move.step + 1}"
    return f"{move.phase}, {where}, {move.weight} % of the requests"


def _ending(trail: Trail) -> tuple[Element, str]:
    """Return how it ended, as a badge and in words."""
    last = trail.moves[-1].phase if trail.moves else "Starting"
    if trail.going:
        return _badge(last, "inconclusive" if last == "Paused" else ""), ""
    ended = last if last in {*_ENDINGS, "Replaced"} else "Replaced"
    return _badge(ended, _ENDINGS.get(ended, "")), trail.ending if ended == "RolledBack" else ""


def _span(trail: Trail, now: datetime) -> str:
    if trail.started_at is None:
        return ""
    begun = f"Begun {parse(trail.started_at):%Y-%m-%d %H:%M:%S} UTC"
    if trail.ended_at is None:
        return f"{begun}, {age(trail.started_at, now)} ago."
    lasted = seconds_since(trail.started_at, parse(trail.ended_at))
    return f"{begun}, over after {_lasted(lasted)}."


def _lasted(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s" if minutes else f"{left} s"


def _versions(status: RecModelStatus, now: datetime) -> Element | None:
    rows = history_rows(status, now)
    if not rows:
        return None
    table = _table(("Version", "What", "Age", ""), rows)
    return tag("section", tag("h2", "Versions"), tag("div", table, class_="scroll"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Element:
    top = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    return tag("table", top, tag("tbody", *(tag("tr", *(tag("td", c) for c in row)) for row in rows)))


def _badge(words: str, kind: str) -> Element:
    return tag("span", words, class_=f"badge {kind.lower()}".strip())


def _key() -> Element:
    """Return what the marks of the plots mean."""
    return tag(
        "p",
        _mark("delta", "difference of candidate and stable"),
        _mark("band", "what it may be, at all looks at once"),
        _mark("margin", "harm that is put up with"),
        *(_mark(f"bar {verdict.lower()}", verdict) for verdict in ("Pass", "Inconclusive", "Fail")),
        class_="key",
    )


def _mark(kind: str, words: str) -> Element:
    line: Node = tag("line", class_=kind, x1=0, x2=24, y1=5, y2=5)
    area: Node = tag("rect", class_=kind, x=0, y=1, width=24, height=8)
    drawn = line if kind in {"delta", "margin"} else area
    return tag("span", tag("svg", drawn, viewBox="0 0 24 10", aria_hidden="true"), words)
