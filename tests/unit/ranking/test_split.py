"""Splits hold out what they say, the same way every time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fathom.errors import InvalidInputError
from fathom.ranking import fingerprints, split
from fathom.ranking.interactions import Interactions
from fathom.ranking.split import TEST, TRAIN, VALIDATION
from fathom_api.recmodel import Split


def events(n: int = 5000, *, time: Any = "given", items: int = 200, label: Any = None) -> Interactions:
    chance = np.random.default_rng(0)
    user, item = chance.integers(100, size=n), chance.integers(items, size=n)
    when = np.arange(n, dtype=np.float64) if isinstance(time, str) else time
    names = [[str(i) for i in range(size)] for size in (100, items)]
    clock = np.zeros(n) if when is None else when
    hashes = fingerprints.mix(user, item, clock.view(np.uint64))
    labels = (chance.random(n) < 0.5).astype(np.float32) if label is None else label
    return Interactions(*names, user, item, labels, when, hashes, {})


def rule(strategy: str, **fields: Any) -> Split:
    return Split.model_validate({"strategy": strategy, **fields})


@pytest.mark.parametrize("strategy", ["Time", "Random", "ItemCold"])
def test_parts_have_the_shares_asked_for(strategy: str) -> None:
    parts = split.assign(events(), rule(strategy, validation=0.2, test=0.1))
    shares = np.bincount(parts) / 5000
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.05 if strategy == "ItemCold" else 0.02)


def test_time_trains_on_the_past_only() -> None:
    found = events()
    parts, time = split.assign(found, rule("Time")), found.time
    assert time is not None
    assert time[parts == TRAIN].max() < time[parts == VALIDATION].min()
    assert time[parts == VALIDATION].max() < time[parts == TEST].min()


def test_time_never_parts_rows_of_one_instant() -> None:
    found = events(time=np.repeat(np.arange(50.0), 100))
    parts = split.assign(found, rule("Time"))
    assert all(len(np.unique(parts[found.time == t])) == 1 for t in range(50))


def test_item_cold_tests_on_items_that_training_has_not_seen() -> None:
    found = events()
    parts = split.assign(found, rule("ItemCold"))
    seen = [set(found.item[parts == part]) for part in (TRAIN, VALIDATION, TEST)]
    assert not seen[0] & seen[2]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]


@pytest.mark.parametrize("strategy", ["Random", "ItemCold"])
def test_another_seed_holds_out_others(strategy: str) -> None:
    one, other = (split.assign(events(), rule(strategy, seed=seed)) for seed in (0, 1))
    assert (one != other).any()


@pytest.mark.parametrize("strategy", ["Random", "ItemCold"])
def test_what_is_held_out_stays_held_out_when_data_are_added(strategy: str) -> None:
    more = events(6000)
    fewer = Interactions(
        more.users,
        more.items,
        *(a[:5000] for a in (more.user, more.item, more.label)),
        None,
        more.hashes[:5000],
        {},
    )
    assert (split.assign(more, rule(strategy))[:5000] == split.assign(fewer, rule(strategy))).all()


class TestGiven:
    how = rule("Given", splitColumn="part", validation=0.2)

    def test_is_what_the_data_say(self) -> None:
        given = np.repeat(np.array([TEST, TRAIN, VALIDATION], np.int8), [1000, 3000, 1000])
        assert (split.assign(replace(events(), given=given), self.how) == given).all()

    def test_draws_validation_from_training_where_the_data_name_none(self) -> None:
        given = np.repeat(np.array([TEST, TRAIN], np.int8), [1000, 4000])
        parts = split.assign(replace(events(), given=given), self.how)
        assert (parts[:1000] == TEST).all()
        assert np.bincount(parts[1000:]) / 4000 == pytest.approx([0.8, 0.2], abs=0.02)

    @pytest.mark.parametrize(
        "spec", [{"strategy": "Given"}, {"strategy": "Time", "splitColumn": "part"}], ids=["no", "another"]
    )
    def test_alone_has_a_column_and_must_have_one(self, spec: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="strategy Given needs splitColumn"):
            Split.model_validate(spec)


class TestDigest:
    def test_does_not_depend_on_the_order_of_rows(self) -> None:
        found = events()
        parts, order = split.assign(found, rule("Random")), np.random.default_rng(1).permutation(5000)
        shuffled = Interactions(
            found.users,
            found.items,
            *(a[order] for a in (found.user, found.item, found.label)),
            None,
            found.hashes[order],
            {},
        )
        assert split.digest(shuffled, parts[order]) == split.digest(found, parts)

    def test_changes_with_a_label_and_with_a_part(self) -> None:
        found = events()
        parts = split.assign(found, rule("Random"))
        relabelled = events(label=np.concatenate([1 - found.label[:1], found.label[1:]]))
        moved = np.concatenate([(parts[:1] + 1) % 3, parts[1:]]).astype(np.int8)
        digests = {split.digest(found, parts), split.digest(relabelled, parts), split.digest(found, moved)}
        assert len(digests) == 3


@pytest.mark.parametrize(
    ("found", "strategy", "complaint"),
    [
        pytest.param(events(time=None), "Time", "needs data.timeColumn", id="Time without a time column"),
        pytest.param(events(label=np.ones(5000)), "Random", "both classes are needed", id="positives only"),
        pytest.param(
            events(time=np.zeros(5000)),
            "Time",
            "train part .* 0 interactions|0 positives among 0",
            id="one instant",
        ),
    ],
)
def test_data_that_cannot_be_split_are_refused(found: Interactions, strategy: str, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        split.assign(found, rule(strategy))


class TestOverlap:
    def test_is_exact_for_samples_that_are_whole(self) -> None:
        hashes = fingerprints.mix(np.arange(1000))
        assert fingerprints.overlap(hashes[:400], fingerprints.sample(hashes[300:])) == 0.25

    def test_is_estimated_from_a_full_sample(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fingerprints, "SAMPLE", 2000)
        hashes = fingerprints.mix(np.arange(20_000))
        assert fingerprints.overlap(hashes[:8000], fingerprints.sample(hashes[6000:])) == pytest.approx(
            0.25, abs=0.04
        )
