"""The demo's data: simulated people have the tastes that are stated; sets are whole or not there."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from demo.data import simulate
from demo.data.movielens import Film
from demo.data.tables import DataError, Description, Tables, cached

SHELVES = [("animals", "birds"), ("plants", "flowers"), ("food", "fruit"), ("vehicles",), ("space",)] * 20
ABOUT = Description("n", "t", "items", True, "simulated", "labels", "free")


def tables(items: int = 20, users: int = 10) -> Tables:
    rows = [(f"u{u}", f"i{i}", (u + i) % 2, u * items + i) for u in range(users) for i in range(items)]
    return Tables(
        items=pa.table({"item_id": [f"i{n}" for n in range(items)]}),
        users=pa.table({"user_id": [f"u{n}" for n in range(users)]}),
        interactions=pa.table(
            dict(
                zip(
                    ("user_id", "item_id", "liked", "timestamp"),
                    map(list, zip(*rows, strict=True)),
                    strict=True,
                )
            )
        ),
        pairs=pa.table({"caption": ["a", "b"]}),
    )


def rate(users: pa.Table, interactions: pa.Table, job: str, shelf: str) -> float:
    jobs = dict(zip(users["user_id"].to_pylist(), users["occupation"].to_pylist(), strict=True))
    shelves = {simulate.item_id(n): shelf[0] for n, shelf in enumerate(SHELVES)}
    likes = [
        row["liked"]
        for row in interactions.to_pylist()
        if jobs[row["user_id"]] == job and shelves[row["item_id"]] == shelf
    ]
    return sum(likes) / len(likes)


@pytest.mark.parametrize(
    ("job", "likes", "rather_than"),
    [("gardener", "plants", "vehicles"), ("cook", "food", "animals"), ("pilot", "space", "plants")],
)
def test_simulated_people_like_what_is_stated(job: str, likes: str, rather_than: str) -> None:
    users, interactions = simulate.people(SHELVES, seed=1)
    assert rate(users, interactions, job, likes) > rate(users, interactions, job, rather_than) + 0.1


def test_the_same_seed_simulates_the_same_people() -> None:
    first, second = simulate.people(SHELVES, seed=1), simulate.people(SHELVES, seed=1)
    assert first[0].equals(second[0])
    assert first[1].equals(second[1])
    assert not first[1].equals(simulate.people(SHELVES, seed=2)[1])


def test_a_small_set_has_interactions_of_its_own_items_and_users_only() -> None:
    small = tables().smaller(items=5, users=4, pairs=1)
    assert (small.items.num_rows, small.users.num_rows, small.pairs.num_rows) == (5, 4, 1)
    assert small.interactions.num_rows == 20
    assert set(small.interactions["item_id"].to_pylist()) == set(small.items["item_id"].to_pylist())
    assert small.interactions["timestamp"].to_pylist() == sorted(small.interactions["timestamp"].to_pylist())


def test_a_data_set_is_made_once(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> tuple[Tables, Description]:
        made.append(1)
        return tables(), ABOUT

    first, second = cached(tmp_path / "set", make), cached(tmp_path / "set", make)
    assert len(made) == 1
    assert first == second
    assert [f.name for f in second.files] == [
        "interactions.parquet",
        "items.parquet",
        "pairs.parquet",
        "users.parquet",
    ]


def test_a_data_set_without_interactions_is_refused_and_not_kept(tmp_path: Path) -> None:
    empty = replace(tables(), interactions=tables().interactions.slice(0, 0))
    with pytest.raises(DataError, match="no interactions"):
        cached(tmp_path / "set", lambda: (empty, ABOUT))
    assert cached(tmp_path / "set", lambda: (tables(), ABOUT)).table("interactions").num_rows == 200


def test_a_film_is_described_without_its_title() -> None:
    film = Film("Alien", 1979, ("Horror", "Sci-Fi"), Path("alien.jpg"))
    assert film.caption == "horror, science fiction film of the 1970s"
