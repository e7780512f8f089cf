"""The report: one file, nothing from outside, strangers' words escaped, simulated data called simulated."""

import re
from html.parser import HTMLParser

import pytest
from builders.reports import a_report

from fathom.report import Arm, Chart, Curve, Item, Report, render


class Elements(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_is_loaded_from_outside() -> None:
    html = render(a_report())
    links = [
        a for _, attributes in Elements(html).found for n, a in attributes.items() if n in {"src", "href"}
    ]
    loads = [link for link in links if link != "#main"]
    assert loads
    assert all(value and value.startswith("data:image/") for value in loads)
    assert "script" not in {tag for tag, _ in Elements(html).found}
    assert not re.search(r"@import|url\(", html)


@pytest.mark.parametrize("place", ["title", "caption", "tokens"])
def test_words_from_data_are_escaped(place: str) -> None:
    evil = "<script>alert('x')</script>"
    fields: dict[str, object] = {"title": "t", "caption": "c", "tokens": ["t"]}
    fields[place] = [evil] if place == "tokens" else evil
    html = render(a_report(items=[Item("1", **fields)]))  # type: ignore[arg-type]
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_simulated_people_are_called_so_wherever_they_show() -> None:
    assert "SIMULATED" not in render(a_report())
    html = render(a_report(simulated=True))
    headings = re.findall(r"<h[12]>.*?</h[12]>", html)
    speaks_of_people = [h for h in headings if re.search("A demo|recommends|captions give|Training|Gates", h)]
    assert len(speaks_of_people) == 5
    assert all("SIMULATED PEOPLE" in h for h in speaks_of_people)


def test_a_metric_that_was_not_measured_is_a_dash_and_not_zero() -> None:
    html = render(a_report(arms=[Arm("with captions", None)]))
    row = re.search(r"<tr><td>with captions</td>.*?</tr>", html, re.S)
    assert row
    assert re.findall(r'<td class="n">(.*?)</td>', row[0], re.S) == ["–", "", "–", "–", "–", "–"]


def test_what_captions_gain_is_told_with_its_interval() -> None:
    assert "+0.0500 (+0.0300 … +0.0700)" in render(a_report())


def test_curves_stay_inside_their_chart_and_rise_with_the_numbers() -> None:
    html = render(a_report())
    points = re.search(r'points="([^"]+)"', html)
    assert points
    (x1, y1), (x2, y2) = (tuple(map(float, p.split(","))) for p in points[1].split())
    assert 0 < x1 < x2 < 440
    assert 240 > y1 > y2 > 0


@pytest.mark.parametrize(
    "curve",
    [
        pytest.param(Curve("one point", [(1, 0.5)]), id="one point"),
        pytest.param(Curve("flat", [(1, 0.5), (2, 0.5)]), id="a flat line"),
    ],
)
def test_degenerate_curves_are_drawn(curve: Curve) -> None:
    html = render(a_report(charts=[Chart("c", "x", "y", [curve])]))
    assert "<circle" in html
    assert "nan" not in html


def test_parts_without_content_are_left_out() -> None:
    html = render(Report("Nothing yet", "now", simulated=False))
    assert "<h2>" not in html
    assert 'class="chart"' not in html


def test_bytes_that_are_no_picture_are_not_passed_on() -> None:
    html = render(a_report(items=[Item("1", "t", "c", picture=b"<html>")], top=[]))
    assert 'src="data:,"' in html


def test_epochs_are_marked_at_whole_numbers() -> None:
    curve = Curve("loss", [(epoch, 1 / epoch) for epoch in range(1, 7)])
    html = render(a_report(charts=[Chart("c", "epoch", "loss", [curve])]))
    assert re.findall(r'text-anchor="middle">([^<]+)<', html) == ["1", "2", "3", "4", "5", "6", "epoch"]
