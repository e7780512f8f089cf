"""The report of a ranker's evaluation: what it claims, what it leaves out, and that words stay words."""

import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from builders.evaluations import a_difference, a_lift, an_arm, an_effect, an_evaluation

from fathom.ranking.figures import CardSection, EvaluationReport, Interval, Tokens
from fathom.report.ranker import document

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def page(found: EvaluationReport) -> str:
    return document(found, "v-1", now=lambda: datetime(2026, 1, 2, 3, 4, tzinfo=UTC))


def headings(html: str) -> list[str]:
    return re.findall(r'<h2 id="(\w+)">', html)


def verdict(html: str) -> tuple[str, str]:
    found = re.search(r'<p class="verdict (\w+)">(.*?)</p>', html)
    assert found
    return found[1], found[2]


def row(html: str, name: str) -> list[tuple[str, str]]:
    """Return class and text of the cells of the row of the table of differences."""
    found = re.search(rf"<tr><td>{name}</td>(.*?)</tr>", html.split("Captions against", 1)[1], re.S)
    assert found
    return re.findall(r'<td class="n ?(\w*)">(.*?)</td>', found[1])


class TestVerdict:
    @pytest.mark.parametrize(
        ("low", "high", "kind", "words"),
        [
            pytest.param(0.01, 0.03, "good", "is better than", id="an interval above 0 is better"),
            pytest.param(-0.03, -0.01, "bad", "is worse than", id="an interval below 0 is worse"),
            pytest.param(-0.01, 0.03, "unsure", "is not told apart from", id="one that holds 0 is neither"),
            pytest.param(0.0, 0.03, "unsure", "is not told apart from", id="one that touches 0 is neither"),
        ],
    )
    def test_captions_are_judged_by_the_whole_interval(
        self, low: float, high: float, kind: str, words: str
    ) -> None:
        found = an_evaluation(differences=[a_difference(auc=(low + high) / 2, low=low, high=high)])
        assert verdict(page(found))[0] == kind
        assert words in verdict(page(found))[1]

    def test_the_ranker_without_captions_comes_first_whatever_the_order(self) -> None:
        found = an_evaluation(differences=[a_difference("Serving", low=-1.0), a_difference()])
        assert "the same ranker without captions" in verdict(page(found))[1]

    def test_without_another_arm_nothing_is_claimed(self) -> None:
        found = an_evaluation(arms={"Captions": an_arm(0.7)}, differences=[])
        assert verdict(page(found))[0] == "unsure"
        assert "no other arm" in verdict(page(found))[1]
        assert "AUC gained" not in page(found)


class TestDifferences:
    def test_shares_are_in_percent(self) -> None:
        assert row(page(an_evaluation()), "AUC, RelaImpr")[0] == ("good", "+12.00 % (+6.00 … +18.00)")

    def test_less_log_loss_is_better(self) -> None:
        assert row(page(an_evaluation()), "log loss")[0][0] == "good"

    def test_more_log_loss_is_worse(self) -> None:
        more = {"logLoss": Interval(value=0.004, low=0.002, high=0.006)}
        assert row(page(an_evaluation(differences=[a_difference(more=more)])), "log loss")[0][0] == "bad"

    def test_what_has_no_value_is_a_dash(self) -> None:
        assert row(page(an_evaluation(differences=[a_difference(more={})])), "NE") == [("", "–")]


class TestParts:
    def test_all_are_there(self) -> None:
        assert headings(page(an_evaluation())) == [
            *("lift", "slices", "curves", "tokens", "items", "data", "search", "cost", "card", "made")
        ]

    def test_what_is_not_known_is_left_out(self) -> None:
        arms = {"Captions": an_arm(0.7, cost=None)}
        found = an_evaluation(arms=arms, tokens=None, lifted=[], coverage=[], data=None, card=[])
        assert headings(page(found)) == ["lift", "slices", "curves", "cost", "made"]

    def test_notes_come_before_the_figures(self) -> None:
        html = page(an_evaluation(notes=["Serving was trained on 3 % of the test interactions."]))
        assert headings(html)[:2] == ["notes", "lift"]

    def test_the_menu_leads_to_what_is_there(self) -> None:
        html = page(an_evaluation(tokens=None))
        menu = set(re.findall(r'<a href="#(\w+)">', html))
        assert menu == set(headings(html))

    def test_an_empty_slice_is_a_row_of_dashes(self) -> None:
        empty = (
            an_evaluation()
            .slices[0]
            .model_copy(update={"rows": 0, "items": 0, "positives": 0, "auc": {}, "differences": {}})
        )
        html = page(an_evaluation(slices=[empty]))
        found = re.search(r'<tr class="soft"><td>Head</td>(.*?)</tr>', html, re.S)
        assert found
        assert re.findall(r"<td.*?>(.*?)</td>", found[1]) == ["0", "0", "–", "–", "–", "–"]

    def test_the_trial_that_was_taken_is_marked(self) -> None:
        rows = re.findall(r"<tr><td>(\d)( <span class=\"tag\">taken</span>)?</td>", page(an_evaluation()))
        assert [(number, bool(taken)) for number, taken in rows] == [("2", True), ("0", False)]


class TestTokens:
    def lists(self, html: str) -> dict[str, list[str]]:
        found = re.findall(r'<h3>([^<]+)</h3><ol class="ranking (?:up|down|)">(.*?)</ol>', html)
        return {title: re.findall(r'<span dir="auto">(.*?)</span>', rows) for title, rows in found}

    def test_those_that_raise_those_that_lower_and_those_that_weigh(self) -> None:
        assert self.lists(page(an_evaluation())) == {
            "Raise the prediction": ["shoe"],
            "Lower it": ["hat"],
            "Largest weights": ["hat", "shoe"],
        }

    def test_tokens_without_any_effect_are_drawn(self) -> None:
        flat = Tokens(sample=1, method="Occlusion.", tested=[an_effect(effect=0.0, weight=0.0)])
        assert self.lists(page(an_evaluation(tokens=flat))) == {"Largest weights": ["shoe"]}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"notes": [EVIL]}, id="a note"),
        pytest.param({"lifted": [a_lift(EVIL, texts=[EVIL], tokens=[EVIL])]}, id="an item"),
        pytest.param({"tokens": Tokens(sample=1, method=EVIL, tested=[an_effect(EVIL)])}, id="a token"),
        pytest.param({"card": [CardSection(title=EVIL, text=[f"`{EVIL}`"], points=[EVIL])]}, id="the card"),
        pytest.param({"differences": [a_difference(EVIL)]}, id="an arm"),
    ],
)
def test_words_from_data_are_text(changes: dict[str, object]) -> None:
    evil = {"arms": {name: an_arm(0.7) for name in ("Captions", "WithoutCaptions", "Serving", EVIL)}}
    html = page(an_evaluation(**(evil | changes)))
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_nothing_is_loaded_from_outside() -> None:
    html = page(an_evaluation())
    assert not re.search(r"https?://|@import|url\(|<link|<iframe", html.replace("http://www.w3.org", ""))
    assert all(link.startswith("#") for link in re.findall(r'(?:href|src)="([^"]*)"', html))


def test_the_page_is_made_without_torch_and_without_pillow() -> None:
    program = "import sys, fathom.report.ranker; sys.exit(bool({'torch', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
