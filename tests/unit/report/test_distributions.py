"""Distributions in one pass: exact where they can be, honest where they are estimates, small always."""

import numpy as np
import pytest

from fathom.report.columns import hashes
from fathom.report.distributions import Different, Frequent, Histogram
from fathom.report.sampling import First
from fathom.report.throughput import Pace


def histogram(values: list[float]) -> Histogram:
    found = Histogram()
    for start in range(0, len(values), 7):
        found.add(np.array(values[start : start + 7]))
    return found


def test_a_histogram_knows_what_its_values_together_would_tell() -> None:
    values = [float(n) for n in np.random.default_rng(0).integers(0, 500, 1000)]
    found = histogram(values)
    assert found.total == 1000
    assert found.mean == pytest.approx(np.mean(values))
    assert found.quantile(0.5) == sorted(values)[499]
    assert found.quantile(1) == max(values)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([3.0] * 10, id="all the same"),
        pytest.param([0.0], id="one, nothing"),
        pytest.param([float(n) for n in range(1000)], id="many"),
        pytest.param([1.0] * 990 + [1e9] * 10, id="far outliers"),
        pytest.param([float("nan"), -5.0, float("inf")], id="no numbers"),
    ],
)
def test_bins_hold_every_value_once_and_are_few(values: list[float]) -> None:
    bins = histogram(values).bins()
    assert sum(b.count for b in bins) == len(values)
    assert len(bins) <= 27
    assert all(b.high is None or b.low <= b.high for b in bins)


def test_nothing_has_no_bins() -> None:
    assert Histogram().bins() == []
    assert Histogram().quantile(0.5) == 0


def test_a_tail_is_one_open_bin() -> None:
    last = histogram([1.0] * 985 + [2.0] * 13 + [5000.0] * 2).bins()[-1]
    assert (last.label, last.count) == ("3 or more", 2)


def test_frequent_texts_are_found_among_more_different_ones_than_are_kept() -> None:
    found = Frequent(most=10)
    for number in range(300):
        found.add([f"only once {number} {k}" for k in range(3)] + ["a shoe"])
    (text, count), *_ = found.top(3)
    assert text == "a shoe"
    assert 300 - found.missed <= count <= 300


def test_different_texts_are_counted_exactly_while_few_and_nearly_when_many() -> None:
    found = Different(most=1000)
    found.add(hashes([str(n % 900) for n in range(5000)]))
    assert found.count() == 900
    found.add(hashes([str(n) for n in range(50_000)]))
    assert found.count() == pytest.approx(50_000, rel=0.1)


def test_a_sample_depends_on_the_items_and_not_on_their_order() -> None:
    ids = [f"item {n}" for n in range(5000)]
    forward, backward = First(20), First(20)
    for start in range(0, 5000, 100):
        part = ids[start : start + 100]
        forward.offer(part, hashes(part))
        mirrored = ids[4900 - start : 5000 - start][::-1]
        backward.offer(mirrored * 2, hashes(mirrored * 2))
    assert forward.ids() == backward.ids()
    assert len(forward.ids()) == 20
    places = [int(i.split()[1]) for i in forward.ids()]
    assert min(places) < 2500 < max(places)


def test_the_first_by_a_value_are_the_smallest_each_once() -> None:
    values = np.random.default_rng(1).integers(0, 1000, 3000).astype(float)
    ids = [f"{n % 1500}" for n in range(3000)]
    found = First(10)
    for start in range(0, 3000, 64):
        found.offer(ids[start : start + 64], hashes(ids[start : start + 64]), values[start : start + 64])
    least = {i: min(values[int(i)], values[int(i) + 1500]) for i in ids}
    assert sorted(least[i] for i in found.ids()) == sorted(least.values())[:10]


def pace(*spans: tuple[float, float, int]) -> Pace:
    found = Pace()
    for begin, end, count in spans:
        found.add(np.linspace(begin, end, count), np.full(count, 5.0))
    return found


def test_speed_is_captions_by_the_time_they_took() -> None:
    (stretch,) = pace((1000, 1100, 500)).stretches()
    assert stretch.captions == 500
    assert stretch.tokens == 2500
    assert stretch.seconds == pytest.approx(100, abs=2)
    assert sum(stretch.bars) * stretch.width == pytest.approx(500)


def test_a_long_pause_divides_stretches_of_work() -> None:
    found = pace((10_000, 10_100, 50), (1_000_000, 1_000_500, 70)).stretches()
    assert [s.captions for s in found] == [50, 70]


def test_years_of_captions_take_no_more_room_than_hours() -> None:
    found = pace(*((year * 3.2e7, year * 3.2e7 + 3e7, 20_000) for year in range(1, 6)))
    assert sum(s.captions for s in found.stretches()) == 100_000
    assert all(len(s.bars) <= 60 for s in found.stretches())


def test_moments_that_are_none_are_left_out() -> None:
    found = Pace()
    found.add(np.array([float("nan"), 0.0, -1.0]), np.ones(3))
    assert found.stretches() == []
