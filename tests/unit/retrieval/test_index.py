"""Searching two spaces in memory: the same as comparing with everything, whatever moves meanwhile."""

import threading
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from builders.galleries import NEW_MODEL, OLD_MODEL, names, vectors

from fathom.retrieval.index import Index
from fathom.retrieval.merging import Hit, Queries, merged, search
from fathom.retrieval.parts import Floats, Space

SPACES = {"old": Space(model=OLD_MODEL, dim=16), "new": Space(model=NEW_MODEL, dim=24)}


class Catalogue:
    """Items under both models, and which of them have moved."""

    def __init__(self, items: int, exact_most: int = 100_000, probes: int = 0, seed: int = 5) -> None:
        self.ids = names(items)
        self.old, self.new = vectors(items, 16, seed), vectors(items, 24, seed + 1)
        self.moved = np.zeros(items, np.bool_)
        self.index = Index(SPACES, items, exact_most=exact_most, probes=probes)
        numbers = self.index.names.add(pa.array(self.ids))
        self.index.load("old", lambda: iter([(numbers, self.old)]))

    def move(self, rows: "np.ndarray") -> None:
        self.index.put("new", pa.array([self.ids[i] for i in rows]), self.new[rows])
        self.moved[rows] = True

    def move_back(self, rows: "np.ndarray") -> None:
        self.index.put("old", pa.array([self.ids[i] for i in rows]), self.old[rows])
        self.moved[rows] = False

    def expected(self, queries: Queries, query: int, k: int) -> list[tuple[str, str]]:
        assert queries.old is not None
        assert queries.new is not None
        old, new = self.old @ queries.old[query], self.new @ queries.new[query]
        hits = [
            Hit(name, float(new[i] if moved else old[i]), "new" if moved else "old")
            for i, (name, moved) in enumerate(zip(self.ids, self.moved, strict=True))
        ]
        return [(hit.id, hit.space) for hit in merged(hits, k)]


def queries(count: int, seed: int = 9) -> Queries:
    return Queries(vectors(count, 16, seed), vectors(count, 24, seed + 1))


def found(index: Index, asked: Queries, k: int) -> list[list[tuple[str, str]]]:
    return [[(hit.id, hit.space) for hit in hits] for hits in search(index, asked, k)]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("k", [1, 10, 3000])
def test_the_answer_is_that_of_comparing_with_every_item(share: float, k: int) -> None:
    catalogue = Catalogue(2500)
    catalogue.move(np.random.default_rng(0).permutation(2500)[: int(share * 2500)])
    asked = queries(4)
    assert found(catalogue.index, asked, k) == [catalogue.expected(asked, q, k) for q in range(4)]


def test_moving_to_and_fro_at_random_never_changes_what_is_there() -> None:
    catalogue, random = Catalogue(900), np.random.default_rng(4)
    asked = queries(2)
    for _ in range(25):
        rows = random.permutation(900)[: random.integers(1, 200)]
        (catalogue.move if random.random() < 0.6 else catalogue.move_back)(rows)
        sizes = catalogue.index.sizes()
        assert (sizes["old"], sizes["new"]) == ((~catalogue.moved).sum(), catalogue.moved.sum())
        assert found(catalogue.index, asked, 20) == [catalogue.expected(asked, q, 20) for q in range(2)]


def test_items_that_are_new_are_found_and_those_put_again_are_there_once() -> None:
    catalogue = Catalogue(50)
    extra = vectors(2, 24, 77)
    catalogue.index.put("new", pa.array(["fresh", catalogue.ids[7]]), extra)
    asked = Queries(np.zeros((1, 16), np.float32), extra[:1])
    [hits] = search(catalogue.index, asked, 60)
    assert hits[0].id == "fresh"
    assert Counter(hit.id for hit in hits).most_common(1)[0][1] == 1
    assert len(hits) == 51
    assert next(hit.space for hit in hits if hit.id == catalogue.ids[7]) == "new"


def test_of_equal_scores_the_lower_id_comes_first_whichever_space_it_is_in() -> None:
    index = Index({"old": Space(model=OLD_MODEL, dim=2), "new": Space(model=NEW_MODEL, dim=3)}, 8)
    index.put("old", pa.array(["d", "b", "f"]), np.tile(np.float32([0, 1]), (3, 1)))
    index.put("new", pa.array(["c", "e", "a"]), np.tile(np.float32([0, 0, 1]), (3, 1)))
    [hits] = search(index, Queries(np.float32([[0, 1]]), np.float32([[0, 0, 1]])), 4)
    assert [hit.id for hit in hits] == ["a", "b", "c", "d"]


def test_lengths_do_not_count() -> None:
    index = Index(SPACES, 2)
    index.put(
        "old", pa.array(["long", "near"]), np.float32([[9, 9], [1, 0]]) @ np.eye(2, 16, dtype=np.float32)
    )
    [hits] = search(index, Queries(np.eye(1, 16, dtype=np.float32), None), 1)
    assert (hits[0].id, round(hits[0].score, 6)) == ("near", 1.0)


def test_a_large_gallery_is_divided_and_looking_everywhere_is_exact() -> None:
    catalogue = Catalogue(4000, exact_most=1000, probes=10_000)
    assert catalogue.index.snapshot.old.centroids is not None
    assert catalogue.index.snapshot.new.centroids is None, "nothing to learn them from yet"
    order = np.random.default_rng(1).permutation(4000)
    asked = queries(3)
    for start in range(0, 4000, 500):
        catalogue.move(order[start : start + 500])
        assert found(catalogue.index, asked, 15) == [catalogue.expected(asked, q, 15) for q in range(3)]
    assert catalogue.index.snapshot.new.centroids is not None
    assert catalogue.index.sizes() == {"old": 0, "new": 4000}


def test_looking_into_a_few_lists_finds_most_of_the_best_at_every_progress() -> None:
    catalogue = Catalogue(6000, exact_most=1000, probes=16)
    order = np.random.default_rng(1).permutation(6000)
    asked = Queries(catalogue.old[:60], catalogue.new[:60])
    for start in range(0, 6000, 2000):
        hits = found(catalogue.index, asked, 10)
        right = sum(len(set(hits[q]) & set(catalogue.expected(asked, q, 10))) for q in range(60))
        assert right / 600 > 0.9
        catalogue.move(order[start : start + 2000])


def test_a_snapshot_that_is_held_does_not_change() -> None:
    catalogue = Catalogue(1500)
    held = catalogue.index.snapshot
    before = [held.old.search(q, 5, 1) for q in catalogue.old[:3]]
    catalogue.move(np.arange(1500))
    after = [held.old.search(q, 5, 1) for q in catalogue.old[:3]]
    assert held.old.rows == 1500
    for (items, scores), (same_items, same_scores) in zip(before, after, strict=True):
        assert np.array_equal(items, same_items)
        assert np.array_equal(scores, same_scores)


@pytest.mark.parametrize("exact_most", [100_000, 500])
def test_while_items_move_each_is_seen_exactly_once(exact_most: int) -> None:
    items = 1200
    catalogue = Catalogue(items, exact_most=exact_most, probes=10_000)
    asked, wrong, done = queries(1), list[str](), threading.Event()

    def watch() -> None:
        while not done.is_set():
            [hits] = catalogue.index.search(asked, items)
            seen = Counter(hit.id for hit in hits)
            if len(seen) != items or len(hits) != items:
                wrong.append(f"{len(hits)} hits of {len(seen)} items")

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    order = np.random.default_rng(2).permutation(items)
    for start in range(0, items, 100):
        catalogue.move(order[start : start + 100])
    catalogue.move_back(order[:300])
    done.set()
    for watcher in watchers:
        watcher.join()
    assert wrong == []


def test_what_has_moved_takes_no_memory_where_it_was() -> None:
    catalogue = Catalogue(5000, exact_most=1000)
    catalogue.move(np.random.default_rng(3).permutation(5000)[:4000])

    def held(side: Floats | None, blocks: "tuple") -> int:
        return sum(block.vectors.nbytes for block in blocks)

    left = catalogue.index.snapshot.old
    assert held(None, left.blocks) == 1000 * 16 * 4
