"""The page of a RecModel's rollouts: what it says, and in a real browser."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Opened, open_file
from builders.rollouts import Life, fault, spec
from playwright.sync_api import Browser

from fathom_api import RecModelStatus
from fathom_operator.analysis.trail import Point, Trail
from fathom_operator.kubectl.pages import history_page
from fathom_operator.times import text

EVIL = "</title></style><script>alert(1)</script><img src=x onerror=alert(2)> \u202egnirts \x00" + "Z" * 400


@pytest.fixture(scope="module")
def life() -> Life:
    """A good candidate, one with a long tail, and one that is under way and was paused for a while."""
    said = {6: {"pause": "1"}, 8: {"pause": "1", "resume": "2"}}
    lived = Life().roll_out("v-2").roll_out("v-3", fault("errors"), seed=3)
    return lived.roll_out("v-4", seed=5, told=said, until=lambda s: s.status.step == 1)


def page(life: Life, trail: Trail | None = None, status: RecModelStatus | None = None) -> str:
    return history_page("shop/movies", spec(), status or life.status, trail or life.trail, life.now)


def hostile(life: Life) -> str:
    """Return the page where names, messages and verdicts are what strangers wrote."""
    point = Point(
        time=text(life.now), verdict="Fail", delta=1e300, low=-1e300, margin=0.1, message=EVIL[:300]
    )
    told = life.trail.moves[0].model_copy(update={"phase": EVIL})
    bad = life.trail.model_copy(
        update={"candidate": EVIL, "points": {EVIL: [point]}, "moves": [told], "ending": EVIL[:300]}
    )
    refused = {"name": EVIL[:60], "reason": "Aborted", "message": EVIL, "at": text(life.now)}
    document = life.status.document() | {"rejected": [refused]}
    return page(life, bad, RecModelStatus.model_validate(document))


class Words(HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_tells_of_each_rollout_latest_first(life: Life) -> None:
    words = Words(page(life)).text
    assert [words.index(name) for name in ("v-4Stepping", "v-3RolledBack", "v-2Promoted")] == sorted(
        words.index(name) for name in ("v-4Stepping", "v-3RolledBack", "v-2Promoted")
    )
    assert "AnalysisFailed: errors: " in words
    assert "a person said pause" in words
    assert "Promoted, step 3, 100 % of the requests" in words


def test_each_check_of_each_rollout_is_plotted(life: Life) -> None:
    words = Words(page(life))
    plotted = sum(len(t.points) for t in (life.trail, *life.trail.earlier))
    assert plotted == 18
    # The shares, and the six marks of the key.
    assert words.tags.count("svg") == plotted + 3 + 6
    assert words.tags.count("circle") == sum(
        p.delta is not None
        for t in (life.trail, *life.trail.earlier)
        for points in t.points.values()
        for p in points
    )


def test_it_is_short_where_nothing_was_rolled_out() -> None:
    status = RecModelStatus.model_validate({"stage": "Training"})
    html = history_page("shop/movies", spec(), status, Trail(), Life().now + timedelta(days=1))
    assert "Nothing was rolled out yet that was measured." in html
    assert "<svg" not in html


def test_what_strangers_write_is_text(life: Life) -> None:
    words = Words(hostile(life))
    assert "script" not in words.tags
    assert "img" not in words.tags
    assert "\x00" not in words.text
    assert "\u202e" not in words.text
    assert "<script>alert(1)</script>" in words.text


def opened(chromium: Browser, html: str, folder: Path, width: int) -> Opened:
    file = folder / "history.html"
    file.write_text(html, encoding="utf-8")
    return open_file(chromium, file, width=width)


def test_the_browser_has_nothing_to_complain_of_and_asks_nobody(
    chromium: Browser, life: Life, tmp_path: Path
) -> None:
    found = opened(chromium, page(life), tmp_path, 1280)
    assert found.complaints == []
    assert found.requests == [(tmp_path / "history.html").resolve().as_uri()]
    drawn = found.page.locator(".card svg").first.bounding_box()
    assert drawn is not None
    assert drawn["height"] > 80
    colour = found.page.locator(".delta").first.evaluate("e => getComputedStyle(e).stroke")
    assert colour != "none", "the style is applied: its digest fits the policy"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["usual", "hostile"])
def test_nothing_sticks_out_of_the_window(
    chromium: Browser, life: Life, tmp_path: Path, width: int, kind: str
) -> None:
    found = opened(chromium, page(life) if kind == "usual" else hostile(life), tmp_path, width)
    for summary in found.page.locator("summary").all():
        summary.click()
    assert found.page.evaluate("document.documentElement.scrollWidth") == width
    assert found.complaints == []


def test_every_plot_says_in_words_what_it_shows(chromium: Browser, life: Life, tmp_path: Path) -> None:
    found = opened(chromium, page(life), tmp_path, 1280)
    plots = found.page.locator("svg[role=img]")
    labels = [plots.nth(n).get_attribute("aria-label") or "" for n in range(plots.count())]
    assert len(labels) == 21
    assert any(label.startswith("errors: ") and "Fail from" in label for label in labels)
    assert all(labels)
