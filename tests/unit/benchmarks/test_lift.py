"""The measurement of what captions give: its arms, slices and page; the runs themselves take an hour."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.lift import arms, page, plots, sources
from benchmarks.lift.arms import Known
from benchmarks.lift.runs import SETTINGS, Results, Run
from benchmarks.lift.sources import Tokens
from benchmarks.lift.summary import SLICES, Difference, Row, sliced
from fathom.ranking import captions
from fathom_api.learning import CaptionsFeature

ITEMS = [str(n) for n in range(6)]
TRUE = Tokens([f"w{n}" for n in range(9)], {item: {n: 0.5} for n, item in enumerate(ITEMS)})
KNOWN = Known(ITEMS, TRUE, TRUE, TRUE, TRUE, np.ones((6, sources.WIDTH), np.float32))


@pytest.mark.parametrize("arm", arms.ARMS)
def test_every_arm_has_the_same_vocabularies(tmp_path: Path, arm: str) -> None:
    _, folders = arms.write(tmp_path, KNOWN, arm, seed=0)
    for name, folder in folders.items():
        feature = CaptionsFeature(caption_job=name, pooling="Weighted")
        [found] = captions.read([feature], {name: folder})
        size = captions.TokenIds.of(found).field(found).size
        assert size == captions.FIRST + len(TRUE.names), name


def test_an_arm_is_told_what_its_name_says() -> None:
    told = {arm: arms.told(KNOWN, arm, seed=0) for arm in arms.ARMS}
    given = {arm: sorted(name for name, own in tokens.items() if own.of) for arm, (tokens, _) in told.items()}
    assert given == {
        arms.NONE: [],
        arms.CAPTIONS: ["captions"],
        arms.SHUFFLED: ["captions"],
        arms.METADATA: ["metadata"],
        arms.WORDS: ["captions"],
        arms.DENSE: [],
        arms.CODES: ["codes"],
        arms.BOTH: ["captions", "metadata"],
    }
    assert [arm for arm, (_, dense) in told.items() if dense is not None] == [arms.DENSE]


def test_shuffling_gives_items_the_tokens_of_others() -> None:
    shuffled = TRUE.shuffled(seed=1)
    assert shuffled.of != TRUE.of
    assert sorted(map(str, shuffled.of.values())) == sorted(map(str, TRUE.of.values()))
    assert shuffled.of == TRUE.shuffled(seed=1).of != TRUE.shuffled(seed=2).of


def test_slices_hold_a_third_of_the_training_interactions_each() -> None:
    assert [SLICES[n] for n in sliced(np.array([1, 60, 0, 30, 30, 59]))] == [
        "tail", "head", "new", "torso", "tail", "torso",
    ]  # fmt: skip


def test_a_run_that_is_done_is_known_after_a_restart(tmp_path: Path) -> None:
    run, other = (Run("ItemCold", 0, arms.NONE, seed, SETTINGS[0]) for seed in (0, 1))
    Results(tmp_path).add(run, {"auc": 0.7}, np.array([0.25, 0.5]))
    again = Results(tmp_path)
    assert (again.get(run) or {})["auc"] == 0.7
    assert again.scores(run).tolist() == [0.25, 0.5]
    assert again.get(other) is None


def difference(auc: float, margin: float) -> Difference:
    return Difference(auc, auc - margin, auc + margin, auc / 0.7, auc / 0.2, [auc])


def row(arm: str, over_none: Difference | None) -> Row:
    means = {"auc": 0.7, "gauc": 0.6, "ne": 0.9, "log_loss": 0.6}
    return Row(arm, 5, means, 0.001, {"new": 0.7}, over_none, None, "0.4", 100)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (difference(0.008, 0.003), "helps"),
        (difference(-0.008, 0.003), "**hurts**"),
        (difference(0.001, 0.003), "no difference that the data show"),
    ],
)
def test_the_verdict_follows_from_the_interval(found: Difference, said: str) -> None:
    assert page.says(found).startswith(said)


def test_a_plot_is_svg_with_a_line_for_each_arm_that_is_compared(tmp_path: Path) -> None:
    rows = [row(arms.NONE, None), row(arms.CAPTIONS, difference(0.008, 0.003))]
    plots.write(tmp_path / "p.svg", "Films & people", rows)
    drawn = ElementTree.parse(tmp_path / "p.svg").getroot()
    texts = [e.text for e in drawn.iter() if e.tag.endswith("text")]
    assert arms.CAPTIONS in texts
    assert arms.NONE not in texts
    assert "Films & people" in texts
    assert sum(e.tag.endswith("circle") for e in drawn.iter()) == 1
