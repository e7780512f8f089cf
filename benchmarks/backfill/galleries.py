"""Pictures with what belongs together, from folders that are laid out as their authors publish them."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Ints = NDArray[np.int64]
#: Captions that a photograph's neighbours are those with the most similar ones of.
_NEIGHBOURS: Final = 10
#: CIFAR-100's binary format: coarse label, fine label, 3 × 32 × 32 bytes.
_CIFAR_ROW: Final = 2 + 3 * 32 * 32
_MARKET: Final = re.compile(r"^(-?\d+)_c\d")
_PICTURES: Final = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Gallery:
    """Pictures to embed.

    Attributes:
        name: of the data set.
        about: what belongs together, in a sentence.
        names: of the pictures.
        open: returns the picture of a name's number.
        labels: int64 [n], classes; None where `pairs` says it.
        pairs: int64 [m, 2], rows that belong together.
    """

    name: str
    about: str
    names: list[str]
    open: Callable[[int], Image.Image]
    labels: Ints | None = None
    pairs: Ints | None = None


def posters(folder: Path) -> Gallery:
    """Return MovieLens posters (`movielens-posters/`) whose film has one genre only, which is its class."""
    root = _existing(folder / "movielens-posters")
    with (root / "movies.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["genres"] and "|" not in r["genres"]]
    rows = [row for row in rows if row["poster"] and (root / row["poster"]).is_file()]
    return _classes(
        "Film posters",
        "Posters of films of one genre (MovieLens-1M); those of a genre belong together.",
        [root / row["poster"] for row in rows],
        [row["genres"] for row in rows],
    )


def photographs(folder: Path) -> Gallery:
    """Return Flickr8k's first thousand (`flickr8k_1000/`); those with similar captions belong together."""
    root = _existing(folder / "flickr8k_1000")
    said: dict[str, list[str]] = defaultdict(list)
    with (root / "captions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            said[row["image"]].append(row["caption"])
    names = sorted(name for name in said if (root / "images" / name).is_file())
    paths = [root / "images" / name for name in names]
    return Gallery(
        "Flickr8k",
        f"Photographs; the {_NEIGHBOURS} whose five captions are most similar (TF-IDF) belong to one.",
        names,
        lambda row: Image.open(paths[row]),
        pairs=neighbours([" ".join(said[name]) for name in names]),
    )


def cifar100(folder: Path) -> Gallery:
    """Return CIFAR-100's test pictures from `cifar-100-binary/test.bin` (the binary version)."""
    path = _existing(folder / "cifar-100-binary" / "test.bin")
    rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, _CIFAR_ROW)
    pictures = rows[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Gallery(
        "CIFAR-100",
        "Test pictures (Krizhevsky 2009); those of a fine class belong together.",
        [str(row) for row in range(len(rows))],
        lambda row: Image.fromarray(pictures[row]),
        labels=rows[:, 1].astype(np.int64),
    )


def class_folders(folder: Path, name: str) -> Gallery:
    """Return pictures in a folder for each class below `folder/name`: ImageNet, Places-365."""
    root = _existing(folder / name)
    paths = sorted(p for p in root.glob("*/*") if p.suffix.lower() in _PICTURES)
    return _classes(name, "Those in a folder belong together.", paths, [path.parent.name for path in paths])


def market1501(folder: Path) -> Gallery:
    """Return Market-1501's test people (`Market-1501/bounding_box_test`), distractors (0, -1) left out."""
    root = _existing(folder / "Market-1501" / "bounding_box_test")
    found = [(path, match[1]) for path in sorted(root.iterdir()) if (match := _MARKET.match(path.name))]
    people = [(path, person) for path, person in found if int(person) > 0]
    return _classes(
        "Market-1501",
        "Pictures of people (Zheng et al. 2015); those of a person belong together.",
        [path for path, _ in people],
        [person for _, person in people],
    )


#: Loaders by the name that the command takes. What cannot be shipped is read from a folder.
LOADERS: Final[dict[str, Callable[[Path], Gallery]]] = {
    "posters": posters,
    "photographs": photographs,
    "cifar100": cifar100,
    "imagenet": lambda folder: class_folders(folder, "imagenet"),
    "places365": lambda folder: class_folders(folder, "places365"),
    "market1501": market1501,
}


def neighbours(texts: list[str], k: int = _NEIGHBOURS) -> Ints:
    """Return int64 [n k, 2]: each text with the `k` others of the largest TF-IDF cosine."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit_transform(texts)
    cosines = (vectors @ vectors.T).toarray()
    np.fill_diagonal(cosines, -1)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return np.stack([np.repeat(np.arange(len(texts)), nearest.shape[1]), nearest.ravel()], axis=1)


def _classes(name: str, about: str, paths: list[Path], classes: list[str]) -> Gallery:
    if not paths:
        raise SystemExit(f"{name}: no pictures there; unpack the data as their authors publish them")
    numbers = np.unique(classes, return_inverse=True)[1].astype(np.int64)
    return Gallery(
        name, about, [path.name for path in paths], lambda row: Image.open(paths[row]), labels=numbers
    )


def _existing(path: Path) -> Path:
    if not path.exists():
        raise SystemExit(f"{path}: not there; --data names the folder that holds it")
    return path
