"""The map of interests: where each is drawn in two dimensions, which names fit, and where each leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fathom.report.text import clean
from fathom.serendipity.clusters import Clusters
from fathom.serendipity.table import NONE, Table

WIDTH, HEIGHT, _MARGIN = 900, 560, 40
#: Targets of an interest that its lines go to.
_LEADS: Final = 3
#: t-SNE needs some neighbours to speak of; fewer interests are drawn by their principal components.
_LEAST: Final = 6
_PERPLEXITY: Final = 20.0
#: Pixels: of a letter, of a line of text, and that circles are kept apart.
_LETTER, _LINE, _APART = 6.8, 15.0, 5.0

Figures = NDArray[np.float64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A name beside its circle, in pixels; `anchor` is SVG's."""

    x: float
    y: float
    anchor: str


@dataclass(frozen=True)
class Dot:
    """A cluster on the map, in pixels; `number` is that of its colour, the cluster above it.

    `label` is None where no place is free for the name; `leads` are the places of the clusters it leads to.
    """

    x: float
    y: float
    r: float
    number: int
    name: str
    title: str
    label: Label | None
    leads: list[tuple[float, float]]


def dots(clusters: Clusters, table: Table) -> list[Dot]:
    """Return the finest clusters, those that are alike near each other."""
    finest = clusters.finest
    sizes = np.array([cluster.size for cluster in finest])
    radii = 4 + 14 * np.sqrt(sizes / sizes.max())
    place = apart(_fitted(flat(clusters.centres)), radii)
    names = [clean(cluster.name, 40) for cluster in finest]
    named = labels(place, radii, names)
    above = sorted({cluster.parent for cluster in finest if cluster.parent is not None})
    found: list[Dot] = []
    for n, cluster in enumerate(finest):
        leads = [t for t in table.targets[n, n].tolist() if t != NONE][:_LEADS]
        onwards = ", ".join(names[t] for t in leads)
        title = f"{clean(cluster.name, 80)}: {cluster.size} items"
        found.append(
            Dot(
                x=round(float(place[n, 0]), 1),
                y=round(float(place[n, 1]), 1),
                r=round(float(radii[n]), 1),
                number=above.index(cluster.parent) % 6 if cluster.parent is not None else 0,
                name=names[n],
                title=f"{title}; leads on to {onwards}" if onwards else title,
                label=named[n],
                leads=[(round(float(place[t, 0]), 1), round(float(place[t, 1]), 1)) for t in leads],
            )
        )
    return found


def flat(centres: NDArray[np.floating]) -> Figures:
    """Return [k, 2] of `centres` [k, width]: t-SNE of their cosines (van der Maaten & Hinton, JMLR 2008)."""
    centred = (centres - centres.mean(axis=0)).astype(np.float64)
    if len(centres) < _LEAST:
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        main = centred @ axes[:2].T
        return np.pad(main, ((0, 0), (0, 2 - main.shape[1])))
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(centres) - 1) / 3)
    drawn = TSNE(2, perplexity=perplexity, init="random", metric="cosine", random_state=0)
    return np.asarray(drawn.fit_transform(np.asarray(centres, np.float64)), np.float64)


def apart(place: Figures, radii: Figures, rounds: int = 200) -> Figures:
    """Return `place` [k, 2] with circles of `radii` pushed apart until they, or `rounds`, are at an end."""
    place = place.copy()
    least = radii[:, None] + radii[None, :] + _APART
    np.fill_diagonal(least, 0.0)
    for _ in range(rounds):
        way = place[:, None] - place[None, :]
        far = np.maximum(np.linalg.norm(way, axis=2), 1e-6)
        missing = np.maximum(least - far, 0.0)
        if not missing.any():
            break
        # Circles at one place have no way between them: each is given one of its own.
        turn = 2.4 * np.arange(len(place))
        same = (far <= 1e-6)[:, :, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)[:, None]
        place += ((way / far[:, :, None] + same) * missing[:, :, None]).sum(axis=1) / 4
        place = np.clip(place, _MARGIN, np.array([WIDTH, HEIGHT]) - _MARGIN)
    return place


def labels(place: Figures, radii: Figures, names: Sequence[str]) -> list[Label | None]:
    """Return where each name goes: beside its circle, over no other and no circle, the largest first."""
    taken = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(place.tolist(), radii.tolist(), strict=True)]
    found: list[Label | None] = [None] * len(names)
    for n in np.argsort(-radii, kind="stable").tolist():
        x, y = place[n].tolist()
        for label, box in _options(x, y, float(radii[n]), _LETTER * len(names[n])):
            others = (other for at, other in enumerate(taken) if at != n)
            if _inside(box) and not any(_overlap(box, other) for other in others):
                found[n] = label
                taken.append(box)
                break
    return found


def _options(x: float, y: float, r: float, width: float) -> Iterator[tuple[Label, Box]]:
    """Yield places for a name of `width`, the best first: above, below, right, left."""
    for bottom in (y - r - 3, y + r + _LINE - 2):
        yield _label(x, bottom, "middle"), (x - width / 2, bottom - _LINE + 3, x + width / 2, bottom + 3)
    right, left = x + r + 4, x - r - 4
    yield _label(right, y + 4, "start"), (right, y - 8, right + width, y + 7)
    yield _label(left, y + 4, "end"), (left - width, y - 8, left, y + 7)


def _label(x: float, y: float, anchor: str) -> Label:
    return Label(round(x, 1), round(y, 1), anchor)


def _fitted(place: Figures) -> Figures:
    low, span = place.min(axis=0), np.maximum(np.ptp(place, axis=0), 1e-9)
    return (place - low) / span * (np.array([WIDTH, HEIGHT]) - 2 * _MARGIN) + _MARGIN


def _inside(box: Box) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= WIDTH and box[3] <= HEIGHT


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
