"""The report of a map of interests: what it shows, and that strangers' words do nothing in a browser."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from browser import open_file
from builders.found_interests import found_interests
from playwright.sync_api import Browser

from fathom.report.interests import document

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
NAMES = ("space rocket", "dark monster", "rainbow pony", "kitchen soup", "racing wheel", "river bear")
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def page(*names: str, summary: str = "", said: str = "no name") -> str:
    return document(found_interests(names or NAMES, summary=summary, said=said), "t-1", now=lambda: NOW)


def test_every_interest_has_a_circle_and_a_card_with_where_it_leads() -> None:
    html = page()
    assert html.count("<circle") - 1 == html.count('<article class="card"') == len(NAMES)
    assert html.count("Leads on to</p>") == len(NAMES)
    for name in NAMES:
        assert name in html


def test_gates_say_what_was_measured_and_a_refused_table_is_said_to_be() -> None:
    html = page()
    assert "A gate refuses this table" in html
    assert "30 % of pairs lead somewhere" in html


def test_journeys_mark_what_the_table_named() -> None:
    assert page().count(" ✓") == len(NAMES)


def test_answers_that_were_thrown_away_are_shown_with_why() -> None:
    html = page(said="a cat with a hat")
    assert "a cat with a hat" in html
    assert "NotAName" in html


def test_the_summaries_of_a_model_are_shown() -> None:
    assert page(summary="Rockets fly to far stars.").count("Rockets fly to far stars.") == len(NAMES)


def test_strangers_words_are_words() -> None:
    html = page(EVIL, *NAMES, summary=EVIL, said=EVIL)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser_it_asks_nobody_complains_of_nothing_and_fits(
    chromium: Browser, tmp_path: Path, width: int
) -> None:
    path = tmp_path / "index.html"
    path.write_text(page(EVIL, *NAMES, summary=EVIL, said=EVIL), encoding="utf-8")
    opened = open_file(chromium, path, width=width)
    try:
        opened.page.wait_for_load_state("networkidle")
        assert [url for url in opened.requests if not url.startswith("data:")] == [path.resolve().as_uri()]
        assert opened.complaints == []
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.page.locator("svg.map circle").count() == len(NAMES) + 1
    finally:
        opened.page.context.close()
