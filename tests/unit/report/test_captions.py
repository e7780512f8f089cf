"""The report of a captioning run: what it counts, chooses and compares, and what data cannot do to it."""

import json
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from builders import captioned
from builders.captioned import Clip, Pictured, Shelf, caption, error
from PIL import Image

from fathom.captioning.media import UnusableMediaError
from fathom.errors import InvalidInputError
from fathom.report import captions
from fathom.report.comparison import compare, difference
from fathom.report.errors import collect
from fathom.report.pictures import Album
from fathom_api.tasks import FeaturiseTask

RED = Image.new("RGB", (640, 480), "red")


def task(**changes: Any) -> FeaturiseTask:
    document = {"output": "out/shoes", "run": 3, "model": {"uri": "hf://a/b", "prompt": "What is it?"}}
    return FeaturiseTask.model_validate(document | changes)


def report(root: Path, store: captioned.Files, album: Album | None = None, **changes: Any) -> str:
    source = {"source": {"uri": "items.parquet"}} if album else {}
    path = captions.write(
        root,
        task(**source, **changes),
        store,
        open_album=lambda _: album,  # type: ignore[arg-type,return-value]
        now=lambda: datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    )
    assert path == root / "report" / "index.html"
    return path.read_text(encoding="utf-8")


def words(html: str) -> str:
    """Return what the page says, without its style and script."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def card(html: str, item: str) -> str:
    return next(
        c for c in re.findall(r'<article class="card.*?</article>', html, re.S) if f">{item}</h3>" in c
    )


def some(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [
        caption(f"item-{n}", f"a {'very ' * (n % 5)}red shoe {n}", made_at=1.7e9 + n, **changes)
        for n in range(count)
    ]


def test_the_headline_counts_items_errors_speed_and_changes(tmp_path: Path) -> None:
    rows = some(90)
    earlier = [{**row, "caption": "a boot"} if n < 9 else row for n, row in enumerate(rows)]
    store = captioned.write(tmp_path, rows, [error(f"bad-{n}", "NotAnImage") for n in range(10)], earlier)
    said = words(report(tmp_path, store))
    assert "Items with captions 90 of 100" in said
    assert "Items with an error 10 10 %" in said
    assert "Captions a second 1.0" in said
    assert "Changed 10 % 9 captions since the last run" in said


def test_every_item_of_a_small_run_is_shown_with_its_tokens(tmp_path: Path) -> None:
    rows = some(20)
    captioned.write_features(tmp_path, {row["item_id"]: row["caption"].split() for row in rows})
    html = report(tmp_path, captioned.write(tmp_path, rows))
    assert len(re.findall('<article class="card', html)) == 20
    assert (
        re.findall(r'<button[^>]*class="token"[^>]*>([^<]+)<', card(html, "item-3"))
        == rows[3]["caption"].split()
    )


def test_aspects_are_told_apart(tmp_path: Path) -> None:
    rows = [
        caption("a", "a red shoe", aspect="subject"),
        caption("a", "calm and quiet", aspect="mood"),
        caption("b", "a hat", aspect="subject"),
    ]
    captioned.write_features(tmp_path, {"a": ["red", "shoe"], "b": ["hat"]}, "subject")
    captioned.write_features(tmp_path, {"a": ["calm"], "b": []}, "mood")
    html = report(tmp_path, captioned.write(tmp_path, rows))
    shown = words(card(html, "a"))
    assert shown.index("subject a red shoe red shoe") < shown.index("mood calm and quiet calm")
    assert "Items with tokens 50 % mood, the lowest" in words(html)


def test_what_stands_out_is_in_the_gallery_of_a_large_run(tmp_path: Path) -> None:
    rows = some(3000)
    rows[1234] = caption("the-longest", "very " * 90 + "long", made_at=1.7e9)
    rows[2345] = caption("the-shortest", "x", made_at=1.7e9)
    tokens = {row["item_id"]: ["shoe"] for row in rows}
    tokens["item-77"], tokens["item-88"] = [f"t{n}" for n in range(60)], []
    captioned.write_features(tmp_path, tokens)
    earlier = [{**row, "caption": "a boot"} if row["item_id"] == "item-99" else row for row in rows]
    errors = [error("broken", "DamagedImage", "ends early")]
    html = report(tmp_path, captioned.write(tmp_path, rows, errors, earlier))
    why = {
        "the-longest": "longest",
        "the-shortest": "shortest",
        "item-77": "most tokens",
        "item-88": "fewest tokens",
        "item-99": "changed",
        "broken": "failed",
    }
    for item, reason in why.items():
        assert reason in re.search('data-why="([^"]*)"', card(html, item))[1].split(",")  # type: ignore[index]
    assert len(re.findall('<article class="card', html)) < 150
    assert "28 more" in words(card(html, "item-77"))


def test_where_all_are_alike_none_stands_out(tmp_path: Path) -> None:
    rows = [caption(f"item-{n:03}", "a red shoe") for n in range(200)]
    captioned.write_features(tmp_path, {row["item_id"]: ["red", "shoe"] for row in rows})
    html = report(tmp_path, captioned.write(tmp_path, rows))
    assert set(re.findall('data-why="([^"]*)"', html)) == {"random"}


def test_a_report_is_the_same_however_the_rows_are_ordered(tmp_path: Path) -> None:
    rows = some(500)
    first = report(tmp_path / "1", captioned.write(tmp_path / "1", rows))
    second = report(tmp_path / "2", captioned.write(tmp_path / "2", rows[::-1]))
    ids = [re.findall(r'<h3 class="id" dir="auto">([^<]+)', html) for html in (first, second)]
    assert ids[0] == ids[1]


def test_captions_that_were_cut_off_are_pointed_out(tmp_path: Path) -> None:
    rows = [*some(3), caption("cut", "a shoe that is", finish="Length")]
    html = report(tmp_path, captioned.write(tmp_path, rows))
    assert "25 % were cut off at the longest length" in words(html)
    assert "cut off" in words(card(html, "cut"))


def test_errors_stand_by_reason_with_examples_and_what_to_do(tmp_path: Path) -> None:
    errors = [error(f"bad-{n}", "NotAnImage", f"page {n}") for n in range(30)]
    errors += [error("other", "OddReason", "odd", aspect="mood")]
    said = words(report(tmp_path, captioned.write(tmp_path, some(3), errors)))
    assert said.index("NotAnImage 30 · 96.8 % of the errors") < said.index("OddReason 1 ·")
    assert "Look at one of the files" in said
    assert "other (mood): odd" in said.replace(" :", ":")


def test_rows_without_an_id_are_items_of_their_own(tmp_path: Path) -> None:
    errors = [error("", "NoId"), error("", "NoId"), error("a", "NotTheSchema", aspect="x")]
    errors.append(error("a", "NotTheSchema", aspect="y"))
    assert collect(captioned.write(tmp_path, some(1), errors).errors()).items == 3


def test_endless_reasons_do_not_grow_the_page(tmp_path: Path) -> None:
    store = captioned.write(tmp_path, some(1), [error(f"{n}", f"Reason{n}") for n in range(2000)])
    found = collect(store.errors())
    assert len(found.reasons) <= 61
    assert sum(reason.count for reason in found.reasons) == found.items == 2000


def test_a_comparison_counts_what_is_same_changed_new_and_gone(tmp_path: Path) -> None:
    rows = some(10_000)
    earlier = [{**row, "caption": f"x {row['caption']}"} if n % 4 == 0 else row for n, row in enumerate(rows)]
    store = captioned.write(tmp_path, rows[100:], previous=earlier[:-300])
    found = compare(store)
    assert found
    assert (found.same, found.changed, found.new, found.gone) == (7200, 2400, 300, 100)
    assert {e.pieces[0] for e in found.examples} == {("old", "x")}


def test_without_an_earlier_run_there_is_no_comparison(tmp_path: Path) -> None:
    store = captioned.write(tmp_path, some(3))
    assert compare(store) is None
    assert 'id="changes"' not in report(tmp_path, store)


@pytest.mark.parametrize(
    ("old", "new", "pieces"),
    [
        ("a red shoe", "a red shoe", [("same", "a red shoe")]),
        ("a red shoe", "a blue shoe", [("same", "a"), ("old", "red"), ("new", "blue"), ("same", "shoe")]),
        ("", "a shoe", [("new", "a shoe")]),
        ("a shoe", "", [("old", "a shoe")]),
    ],
)
def test_captions_are_compared_word_by_word(old: str, new: str, pieces: list[tuple[str, str]]) -> None:
    assert difference(old, new) == pieces


def test_pictures_are_made_small_and_frames_carry_their_times(tmp_path: Path) -> None:
    film = Clip((RED, RED, RED), (0.0, 1.5, 65.0))
    shelf = Shelf([Pictured(0, "item-0", RED, {"title": "Loafer"}), Pictured(1, "item-1", film)])
    html = report(tmp_path, captioned.write(tmp_path, some(2)), Album(shelf, captioned.decode))
    assert 'width="360" height="270" alt="a red shoe 0"' in card(html, "item-0")
    assert "title: Loafer" in words(card(html, "item-0"))
    assert re.findall(r"<span>([\d:.]+)</span>", card(html, "item-1")) == ["0:00", "0:01.5", "1:05"]


def test_a_picture_that_cannot_be_had_says_why(tmp_path: Path) -> None:
    shelf = Shelf([Pictured(0, "item-0", UnusableMediaError("TooManyPixels", "9 × 9 pixels"))])
    html = report(tmp_path, captioned.write(tmp_path, some(2)), Album(shelf, captioned.decode))
    assert "No picture. TooManyPixels: 9 × 9 pixels" in words(card(html, "item-0"))
    assert "No picture. The source holds no such item any more." in words(card(html, "item-1"))


def test_a_source_that_is_gone_costs_the_pictures_and_not_the_report(tmp_path: Path) -> None:
    def gone(_: object) -> Album:
        raise InvalidInputError("NotFound", "items.parquet: nothing there")

    store = captioned.write(tmp_path, some(2))
    path = captions.write(tmp_path, task(source={"uri": "items.parquet"}), store, open_album=gone)
    assert "There are no pictures: items.parquet: nothing there" in words(path.read_text())


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_bytes": 10}, "Left out to keep the report small."),
        ({"max_seconds": 0.5}, "The time for pictures was used up."),
    ],
)
def test_pictures_are_bounded_in_size_and_time(limits: dict[str, Any], reason: str) -> None:
    shelf = Shelf([Pictured(n, f"i{n}", RED) for n in range(200)])
    ticks = iter(np.arange(0, 1000.0))
    album = Album(shelf, captioned.decode, clock=lambda: float(next(ticks)), **limits)
    seen = album.show(["i0", "i100", "i199"])
    assert seen["i199"].missing == reason
    assert seen["i199"].frames == ()


def test_only_rows_near_wanted_ones_are_read() -> None:
    shelf = Shelf([Pictured(n, f"i{n}", RED) for n in range(1000)])
    Album(shelf, captioned.decode).show(["i5", "i9", "i700"])
    assert shelf.asked == [(5, 10), (700, 701)]


def test_of_a_signed_uri_the_signature_stays_private(tmp_path: Path) -> None:
    shelf = Shelf([])
    source = {"uri": "https://host/items.parquet?X-Amz-Signature=secret"}
    path = captions.write(
        tmp_path,
        task(source=source),
        captioned.write(tmp_path, some(1)),
        open_album=lambda _: Album(shelf, captioned.decode),
    )
    assert "https://host/items.parquet" in path.read_text()
    assert "secret" not in path.read_text()


FINE_TUNING = {
    "method": "LoRA",
    "bestEpoch": 2,
    "stoppedEarly": True,
    "pairs": {"training": 1200, "heldOut": 60},
    "curve": [{"epoch": n, "loss": 3 / n, "validationLoss": 3.5 / n} for n in (1, 2, 3)],
    "examination": {
        "media": 40,
        "cider": 1.234,
        "bleu4": 21.9,
        "tokenF1": 0.51,
        "examples": [{"written": "a shoe", "people": ["a red shoe", "one shoe"], "tokenF1": 0.8}],
    },
}


@pytest.mark.parametrize("place", ["model", "model/versions/0123456789ab"])
def test_fine_tuning_is_shown_where_its_report_is(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "fine-tuning.json").write_text(json.dumps(FINE_TUNING))
    (tmp_path / "model" / "latest.json").write_text('{"version": "0123456789ab"}')
    said = words(report(tmp_path, captioned.write(tmp_path, some(2))))
    assert "epoch kept 2 of 3, stopped early" in said
    assert "loss on held-out pairs 1.750 nats a token" in said
    assert "CIDEr-D (0 to 10) 1.23" in said
    assert "a shoe a red shoe one shoe 0.80" in said


def test_a_version_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "fine-tuning.json").write_text(json.dumps(FINE_TUNING))
    (tmp_path / "model" / "versions").mkdir(parents=True)
    (tmp_path / "model" / "latest.json").write_text('{"version": "../.."}')
    assert 'id="tuning"' not in report(tmp_path, captioned.write(tmp_path, some(2)))


def test_drift_of_the_tokens_is_read_as_is_the_custom(tmp_path: Path) -> None:
    rows = some(2)
    captioned.write_features(tmp_path, {row["item_id"]: ["shoe"] for row in rows})
    drift = {
        **{"psi": 0.31, "jaccard": 0.9, "coverageBefore": 0.95, "coverageAfter": 0.97, "changedItems": 0.4},
        "shifts": [{"token": "shoe", "before": 0.1, "after": 0.5}],
    }
    (tmp_path / "features" / "drift.json").write_text(json.dumps({"aspects": {"caption": drift}}))
    said = words(report(tmp_path, captioned.write(tmp_path, rows)))
    assert "Tokens: another population" in said
    assert "shoe 10 % → 50 %" in said


HOSTILE = {
    "script": "</script><script>alert(1)</script>",
    "style": "</style><img src=x onerror=alert(1)>",
    "quotes": "\"'`><svg onload=alert(1)>",
    "template": "{{ 7 * 7 }} {% raw %} ${7*7}",
    "separators": "one\u2028two\u2029three",
    "reordering": "abc \u202egnirts\u202c \u2066x",
    "controls": "nul\x00 escape\x1b[31m delete\x7f bell\x07",
    "cdata": "<!--  ]]> --!> <![CDATA[",
    "entity": "&lt;b&gt; &#x3c;",
    "long": "a" * 100_000,
    "url": "javascript:alert(1)",
    "surrogate": "half \ud800 a pair",
}


def hostile_run(root: Path, text: str) -> captioned.Files:
    """Put `text` wherever a stranger's words go."""
    written = text.encode(errors="replace").decode()  # Parquet takes no half surrogates; see below for those.
    name = written[:5000]
    rows = [caption(name, written), caption("plain", "a shoe")]
    captioned.write_features(root, {name: [name[:200]], "plain": ["shoe"]})
    errors = [error(f"e{name}", name[:200], written)]
    previous = [{"item_id": name, "aspect": "caption", "caption": f"{written[:100]} before"}]
    return captioned.write(root, rows, errors, previous)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_strangers_words_stay_words(tmp_path: Path, text: str) -> None:
    store = hostile_run(tmp_path, text)
    model = {"uri": "hf://a/b", "prompt": text.encode(errors="replace").decode()[:4000]}
    html = report(tmp_path, store, model=model)
    plain = report(tmp_path / "plain", hostile_run(tmp_path / "plain", "a word"))
    found, expected = (set(re.findall(r"<[a-zA-Z!/][^\s>]*", page)) for page in (html, plain))
    assert found - expected <= {"<ins", "</ins", "<del", "</del"}
    assert html.count("<script") == 1
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert "before" in words(html)


def test_half_a_surrogate_in_what_the_source_says_is_written_as_unknown(tmp_path: Path) -> None:
    shelf = Shelf([Pictured(0, "item-0", RED, {"title": "half \ud800 a pair"})])
    html = report(tmp_path, captioned.write(tmp_path, some(1)), Album(shelf, captioned.decode))
    assert "title: half \ufffd a pair" in words(html)


def test_captions_that_are_no_unicode_are_shown_as_far_as_they_are(tmp_path: Path) -> None:
    class Raw(captioned.Files):
        def rows(self, columns: list[str]) -> Any:
            for batch in super().rows(columns):
                bad = pa.array([b"caf\xe9 noir"] * batch.num_rows, pa.binary()).view(pa.string())
                place = batch.schema.get_field_index("caption")
                yield batch.set_column(place, "caption", bad) if place >= 0 else batch

    store = captioned.write(tmp_path, some(2))
    assert "caf\ufffd noir" in words(report(tmp_path, Raw(store.folder, store.count, store.aspects)))


def test_the_page_stays_small_whatever_is_in_it(tmp_path: Path) -> None:
    noise = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8).astype(np.uint8)
    )
    worst = '"' * 50_000
    names = [f"{n}" + '"' * 400 for n in range(400)]
    rows = [caption(name, worst, aspect=f"aspect-{a}") for name in names for a in range(8)]
    for a in range(8):
        captioned.write_features(
            tmp_path, {n: [f"{k}{'&' * 300}" for k in range(100)] for n in names}, f"aspect-{a}"
        )
    earlier = [{**row, "caption": "&" * 5000} for row in rows]
    errors = [error(f"e{n}" + '"' * 900, f"Reason{n % 70}", worst) for n in range(300)]
    shelf = Shelf([Pictured(n, name, noise, {"title": worst}) for n, name in enumerate(names)])
    store = captioned.write(tmp_path, rows, errors, earlier)
    html = report(tmp_path, store, Album(shelf, captioned.decode))
    assert len(html.encode()) < 10_000_000
