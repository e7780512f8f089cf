"""The report in a real browser: it works, keeps to itself, fits windows, and strangers' words do nothing."""

from collections.abc import Generator
from pathlib import Path

import pytest
from browser import Opened, Scheme, open_file
from builders import captioned
from builders.captioned import Clip, Pictured, Shelf, caption, error
from builders.evaluations import a_lift, an_effect, an_evaluation
from builders.reports import a_report
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from fathom.ranking.figures import Tokens
from fathom.report import captions, render
from fathom.report.pictures import Album
from fathom.report.ranker import document
from fathom_api.tasks import FeaturiseTask

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \u202egnirts \u2028 \x00" + "Z̷" * 300
LONG = "x" * 100_000
CARDS = "#cards > .card"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    rows = [caption(f"item-{n:03}", f"a red shoe number {n}", made_at=1.7e9 + n) for n in range(60)]
    rows += [
        caption("evil", EVIL, made_at=1.7e9),
        caption("long", LONG, made_at=1.7e9),
        caption("blue", "a hat of blue straw with a ribbon", made_at=1.7e9),
        caption(f"id-{'w' * 3000}", "a hat", made_at=1.7e9),
        caption("film", "somebody runs", made_at=1.7e9),
    ]
    captioned.write_features(root, {row["item_id"]: row["caption"][:300].split()[:8] for row in rows})
    errors = [error(f"broken-{n}", "DamagedImage", f"ends early {EVIL}") for n in range(3)]
    errors.append(error("lost", "MediaNotFound", f"no such file {LONG}"))
    earlier = [{**row, "caption": f"before {row['caption'][1:200]}"} for row in rows[::2]]
    film = Clip(tuple(Image.new("RGB", (320, 180), c) for c in ("red", "green", "blue")), (0.0, 1.0, 2.0))
    shelf = Shelf(
        [
            Pictured(
                n, row["item_id"], film if row["item_id"] == "film" else Image.new("RGB", (90, 60), "teal")
            )
            for n, row in enumerate(rows)
        ]
    )
    task = FeaturiseTask.model_validate(
        {
            "source": {"uri": "items.parquet"},
            "output": f"out/{'o' * 300}",
            "run": 2,
            "model": {"uri": "hf://a/b", "prompt": f"{EVIL} what is it?"},
        }
    )
    store = captioned.write(root, rows, errors, earlier)
    return captions.write(root, task, store, open_album=lambda _: Album(shelf, captioned.decode))


@pytest.fixture
def opened(chromium: Browser, page_file: Path) -> Generator[Opened]:
    found = open_file(chromium, page_file, width=1280)
    yield found
    found.page.context.close()


def shown(page: Page) -> list[str]:
    return [text or "" for text in page.locator(f"{CARDS}:visible h3").all_text_contents()]


def why(page: Page, value: str) -> None:
    page.get_by_label("Why it is shown").select_option(value)


def test_the_page_has_nothing_to_complain_of_and_asks_nobody_for_anything(
    opened: Opened, page_file: Path
) -> None:
    opened.page.get_by_role("button", name="Show more").click()
    opened.page.wait_for_load_state("networkidle")
    outside = [url for url in opened.requests if not url.startswith("data:")]
    assert outside == [page_file.resolve().as_uri()]
    assert opened.complaints == []


def test_what_the_page_forbids_is_refused(opened: Opened) -> None:
    opened.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img id=evil src=x onerror=\"document.title=1\">"
        '<p id=p style="color:red">\')'
    )
    expect(opened.page.locator("#evil")).to_have_js_property("complete", True)
    assert opened.page.title() != "1"
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


def test_text_filters_captions_ids_and_messages(opened: Opened) -> None:
    field = opened.page.get_by_label("Text, id or message")
    field.fill("STRAW")
    assert shown(opened.page) == ["blue"]
    field.fill("fILm")
    assert shown(opened.page) == ["film"]
    field.fill("no such file")
    assert shown(opened.page) == ["lost"]
    assert (
        opened.page.get_by_role("status").text_content()
        == f"Showing 1 of 1 that match, of {opened.page.locator(CARDS).count()} in all."
    )


def test_errors_filter_by_their_reason(opened: Opened) -> None:
    opened.page.get_by_role("combobox", name="Error").select_option("DamagedImage")
    assert sorted(shown(opened.page)) == ["broken-0", "broken-1", "broken-2"]


def test_a_length_filters_captions_by_their_words(opened: Opened) -> None:
    opened.page.get_by_label("Fewest words").fill("8")
    opened.page.get_by_label("Most words").fill("8")
    assert shown(opened.page) == ["blue"]


def test_a_token_that_is_pressed_shows_the_items_that_have_it_and_pressed_again_all(opened: Opened) -> None:
    opened.page.get_by_label("Text, id or message").fill("straw")
    chip = opened.page.locator("button.token:visible", has_text="ribbon")
    chip.focus()
    opened.page.keyboard.press("Enter")
    opened.page.get_by_label("Text, id or message").fill("")
    assert shown(opened.page) == ["blue"]
    assert chip.get_attribute("aria-pressed") == "true"
    chip.click()
    assert len(shown(opened.page)) == 24


def test_reset_shows_the_beginning_and_more_shows_more(opened: Opened) -> None:
    why(opened.page, "failed")
    assert len(shown(opened.page)) == 4
    opened.page.get_by_role("button", name="Reset").click()
    expect(opened.page.locator(CARDS).locator("visible=true")).to_have_count(24)
    opened.page.get_by_role("button", name="Show more").click()
    assert len(shown(opened.page)) == 48


def test_nothing_found_is_said(opened: Opened) -> None:
    opened.page.get_by_role("searchbox", name="Token").fill("no such token")
    assert shown(opened.page) == []
    assert "Nothing matches" in (opened.page.get_by_role("status").text_content() or "")


def test_a_hostile_caption_is_text_and_nothing_else(opened: Opened) -> None:
    opened.page.get_by_label("Text, id or message").fill("evil")
    said = opened.page.locator("#cards .card:visible .caption").first
    assert "</script><script>alert(1)</script><img src=x onerror=alert(2)>" in (said.text_content() or "")
    assert said.locator("*").count() == 0
    assert opened.page.locator("script").count() == 1
    assert opened.complaints == []


def test_every_picture_has_its_caption_as_alternative_text(opened: Opened) -> None:
    assert opened.page.locator("img:not([alt]), img[alt='']").count() == 0
    assert opened.page.locator("img[alt='a hat of blue straw with a ribbon']").count() == 1
    opened.page.get_by_label("Text, id or message").fill("film")
    assert opened.page.get_by_role("list", name="Frames of the video: somebody runs").count() == 1


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["captions", "demo", "ranker"])
def test_nothing_sticks_out_of_the_window(
    chromium: Browser, page_file: Path, tmp_path: Path, width: int, kind: str
) -> None:
    file = page_file
    if kind == "demo":
        file = tmp_path / "demo.html"
        file.write_text(render(a_report(title="A very long title " + "x" * 400)), encoding="utf-8")
    if kind == "ranker":
        file = tmp_path / "ranker.html"
        file.write_text(a_wide_ranker(), encoding="utf-8")
    found = open_file(chromium, file, width=width)
    page = found.page
    for button in page.get_by_role("button", name="Show more").all():
        while button.is_visible():
            button.click()
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter((e) => {
            const box = e.getBoundingClientRect();
            const out = box.width && (box.right > innerWidth + 1 || box.left < -1);
            return out && !e.closest('.scroll, .strip');
        }).map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert outside == []
    assert found.complaints == []
    page.context.close()


def a_wide_ranker() -> str:
    """Return a report of a ranker whose names are long and hostile, with pictures of its items."""
    lifted = [a_lift(f"{n} {EVIL}", texts=[LONG, EVIL], tokens=[LONG, EVIL, *"abcdefgh"]) for n in range(3)]
    picture = Pictured(0, lifted[0].item_id, Image.new("RGB", (90, 60), "teal"))
    found = an_evaluation(
        lifted=lifted,
        tokens=Tokens(sample=9, method="Occlusion.", tested=[an_effect(LONG), an_effect(EVIL, -0.1)]),
        notes=[LONG],
    )
    return document(found, "v" * 400, album=Album(Shelf([picture]), captioned.decode))


def test_a_ranker_s_report_shows_words_as_words_and_asks_nobody_for_anything(
    chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "ranker.html"
    file.write_text(a_wide_ranker(), encoding="utf-8")
    found = open_file(chromium, file, width=1280)
    assert [url for url in found.requests if not url.startswith("data:")] == [file.resolve().as_uri()]
    assert found.page.locator("script").count() == 0
    assert found.page.locator("#items ~ .cards img").count() == 1
    assert found.page.locator("svg[role=img][aria-label]").count() == found.page.locator("figure").count()
    assert found.complaints == []
    found.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_ranker_s_verdict_can_be_read_by_day_and_by_night(
    chromium: Browser, tmp_path: Path, scheme: Scheme
) -> None:
    file = tmp_path / "ranker.html"
    file.write_text(document(an_evaluation(), "v-1"), encoding="utf-8")
    found = open_file(chromium, file, width=1280, scheme=scheme)
    read = [".verdict", ".tile.good .value", "td.good", ".meters dt", ".prose p", ".prose code"]
    assert {s: contrast(found.page, s) for s in read if contrast(found.page, s) < 4.5} == {}
    found.page.context.close()


def contrast(page: Page, selector: str) -> float:
    return page.evaluate(
        """(selector) => {
            const light = (colour) => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => c / 255)
                    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const element = document.querySelector(selector);
            const ground = (e) => getComputedStyle(e).backgroundColor;
            let behind = element;
            while (ground(behind) === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
            const [a, b] = [getComputedStyle(element).color, ground(behind)].map(light);
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        }""",
        selector,
    )


READ = [
    "h1",
    ".caption",
    ".lead",
    ".tile dt",
    ".tile .note",
    ".token",
    ".tag",
    ".error b",
    ".menu a",
    "del",
    "ins",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them_by_day_and_by_night(
    chromium: Browser, page_file: Path, scheme: Scheme
) -> None:
    found = open_file(chromium, page_file, width=1280, scheme=scheme)
    assert {s: contrast(found.page, s) for s in READ if contrast(found.page, s) < 4.5} == {}
    dark = found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 20, 26)"
    assert dark == (scheme == "dark")
    found.page.context.close()


def test_without_scripts_all_is_still_there(chromium: Browser, page_file: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.resolve().as_uri())
    assert page.locator(f"{CARDS}:visible").count() == page.locator(CARDS).count() > 60
    assert not page.locator("#filters").is_visible()
    context.close()
