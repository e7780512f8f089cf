"""The map of interests can be read: what is alike is near, circles and names lie over nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from builders.found_interests import found_interests

from fathom.report import interest_map
from fathom.report.interest_map import HEIGHT, WIDTH, Dot

NAMES = tuple(f"interest number {n}" for n in range(18))


def drawn(names: tuple[str, ...]) -> list[Dot]:
    found = found_interests(names)
    return interest_map.dots(found.clusters, found.table)


def circle(dot: Dot) -> tuple[float, float, float, float]:
    return dot.x - dot.r, dot.y - dot.r, dot.x + dot.r, dot.y + dot.r


def name_of(dot: Dot) -> tuple[float, float, float, float]:
    """Return the box that a browser would need for the name, a little less than is reserved."""
    assert dot.label is not None
    width = 6.5 * len(dot.name)
    left = {"start": 0.0, "middle": -width / 2, "end": -width}[dot.label.anchor]
    return dot.label.x + left, dot.label.y - 10, dot.label.x + left + width, dot.label.y + 2


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("count", [3, 5, 6, 18], ids=lambda count: f"{count} interests")
def test_circles_and_names_are_on_the_map_and_over_no_other(count: int) -> None:
    found = drawn(NAMES[:count])
    boxes = [circle(dot) for dot in found] + [name_of(dot) for dot in found if dot.label]
    assert len(found) == count
    for left, top, right, bottom in boxes:
        assert left >= 0
        assert top >= 0
        assert right <= WIDTH
        assert bottom <= HEIGHT
    assert not [pair for pair in itertools.combinations(boxes, 2) if overlap(*pair)]


def test_most_names_find_a_place() -> None:
    assert sum(dot.label is not None for dot in drawn(NAMES)) >= len(NAMES) - 2


def test_circles_at_one_place_are_pushed_apart() -> None:
    place = interest_map.apart(np.full((7, 2), 300.0), np.full(7, 18.0))
    far = np.linalg.norm(place[:, None] - place[None, :], axis=2) + 1000 * np.eye(7)
    assert far.min() > 2 * 18


def test_interests_that_are_alike_are_near_each_other() -> None:
    draw = np.random.default_rng(0)
    kinds = np.repeat(np.eye(3, 16), 8, axis=0)
    place = interest_map.flat(kinds + 0.1 * draw.normal(size=kinds.shape))
    far = np.linalg.norm(place[:, None] - place[None, :], axis=2) + 1e9 * np.eye(24)
    assert (np.arange(24) // 8 == far.argmin(axis=1) // 8).all()


def test_the_same_interests_are_drawn_at_the_same_places() -> None:
    assert drawn(NAMES) == drawn(NAMES)


def test_a_circle_says_where_it_leads_and_has_a_line_there() -> None:
    found = drawn(NAMES[:6])
    [target, *_] = found[0].leads
    [other] = [dot for dot in found if (dot.x, dot.y) == target]
    assert f"leads on to {other.name}" in found[0].title
