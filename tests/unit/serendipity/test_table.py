import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders.trees import tree

from fathom.errors import InvalidInputError
from fathom.serendipity import table
from fathom.serendipity.table import NONE, Table

ROWS = [(0, 1, 2, 0.6), (0, 1, 3, 0.2), (1, 0, 2, 0.5), (0, 2, 4, 0.1)]


def built(rows: list[tuple[int, int, int, float]] = ROWS, count: int = 6, first_id: int = 0) -> Table:
    first, second, target, score = zip(*rows, strict=True)
    return table.build(
        tree(count, first_id=first_id), np.array(first), np.array(second), np.array(target), score
    )


def looked_up(found: Table, first: int, second: int) -> list[tuple[int, float]]:
    targets, scores = found.lookup(np.array([first]), np.array([second]))
    return [(int(t), round(float(s), 4)) for t, s in zip(targets[0], scores[0], strict=True) if t != NONE]


def test_a_pair_leads_to_its_targets_by_falling_score_which_sum_to_one():
    assert looked_up(built(), 0, 1) == [(2, 0.75), (3, 0.25)]


def test_order_within_a_pair_matters():
    assert looked_up(built(), 1, 0) == [(2, 1.0)]


def test_a_pair_that_was_never_planned_leads_nowhere():
    assert looked_up(built(), 4, 5) == []


def test_one_cluster_leads_where_its_pairs_lead_in_the_mean():
    assert looked_up(built(), 0, 0) == [(2, 0.5833), (4, 0.3333), (3, 0.0833)]


def test_samples_that_say_the_same_add_up():
    assert looked_up(built([(0, 1, 2, 0.3), (0, 1, 3, 0.4), (0, 1, 2, 0.3)]), 0, 1) == [(2, 0.6), (3, 0.4)]


@pytest.mark.parametrize("row", [(0, 1, 1, 0.5), (0, 1, 0, 0.5), (0, 1, 2, float("nan")), (0, 1, 2, -1.0)])
def test_a_row_that_leads_back_or_has_no_score_never_gets_in(row: tuple[int, int, int, float]):
    with pytest.raises(InvalidInputError):
        built([row])


def test_a_table_is_read_as_it_was_written_and_mapped_into_memory(tmp_path: Path):
    written = built(first_id=10)
    sealed = written.write(tmp_path, {"planner": "p"})
    read = Table.read(tmp_path)
    assert isinstance(read.targets.base, np.memmap)
    assert (read.targets == written.targets).all()
    assert (read.ids.tolist(), read.names, read.items) == (written.ids.tolist(), written.names, written.items)
    assert (read.own == written.own).all()
    assert read.version == sealed.digest
    assert sealed.counts["pairs"] == 3


def test_other_programs_find_ids_and_scores_in_parquet(tmp_path: Path):
    built(first_id=10).write(tmp_path, {})
    rows = {(r["first"], r["second"]): r for r in pq.read_table(tmp_path / table.TABLE).to_pylist()}
    assert rows[10, 11]["targets"] == [12, 13]
    assert rows[10, 11]["scores"] == pytest.approx([0.75, 0.25])


def test_a_damaged_table_is_refused(tmp_path: Path):
    built().write(tmp_path, {})
    with (tmp_path / table.SCORES).open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\x01\x02\x03\x04")
    with pytest.raises(InvalidInputError, match="content differs"):
        Table.read(tmp_path)


def test_churn_is_the_share_of_first_targets_that_changed():
    before = built([(0, 1, 2, 1.0), (1, 0, 3, 1.0)])
    assert table.churn(before, before) == 0
    assert table.churn(before, built([(0, 1, 2, 1.0), (1, 0, 4, 1.0)])) == pytest.approx(0.5)
    assert table.churn(before, built([(0, 1, 2, 1.0)], first_id=50)) == 1


def test_a_million_pairs_are_looked_up_in_a_second_of_one_core():
    chance = np.random.default_rng(0)
    count, most = 300, 10
    small = built()
    found = replace(
        small,
        ids=np.arange(count),
        targets=chance.integers(count, size=(count, count, most)).astype(np.int32),
        scores=chance.random((count, count, most), np.float32),
    )
    first, second = chance.integers(count, size=(2, 200_000))
    found.lookup(first, second)
    begun = time.process_time()
    found.lookup(first, second)
    assert len(first) / (time.process_time() - begun) > 1e6
