"""Scoring candidates for users from a bundle: the user once a request, the items once a version."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from fathom.errors import InvalidInputError
from fathom.ranking import bundle, items
from fathom.ranking.bundle import BundleInfo, Parts
from fathom.ranking.folded import Folded, Sides, Users, fold
from fathom.ranking.items import CHUNK, Items, Newcomers
from fathom.ranking.model import Ranker
from fathom.ranking.names import Names
from fathom.ranking.requests import ScoreRequest, Scores
from fathom.ranking.users import UserRows

#: MiB of memory for what the folded ranker keeps of each item; a catalogue that needs more is scored slower.
ENV_ITEM_CACHE: Final = "FATHOM_ITEM_CACHE_MIB"
#: MiB of memory for the users' rows, made beforehand; those of more users are made for each request.
ENV_USER_CACHE: Final = "FATHOM_USER_CACHE_MIB"
#: How far probabilities in half precision may be from the others.
TOLERANCE: Final = 1e-3
_log = logging.getLogger("fathom")
Result = TypeVar("Result")


class _Asked(NamedTuple):
    """A request in rows: those beyond the table's are of `described`, the items it describes itself."""

    user: Tensor
    rows: Tensor
    described: Tensor | None
    names: Names | None
    unknown: int
    known_user: bool


class Bundle:
    """A model bundle in memory. It may be used from several threads."""

    def __init__(self, info: BundleInfo, parts: Parts, model: Ranker, digest: str) -> None:
        self.info = info
        self.digest = digest
        self._model = model
        sides = sides_of(model)
        with torch.inference_mode():
            self._folded: Folded = fold(model.interaction, sides)
            names = pa.array(parts.items.names, pa.string())
            self.items = items.table(
                names, parts.items.columns, model, self._folded, _budget(ENV_ITEM_CACHE, 512)
            )
            self._users = UserRows(info, parts, model, self.items, _budget(ENV_USER_CACHE, 128))
        known = parts.vocabularies["item"]
        self.newcomers = Newcomers(model, info.features, known, parts.items.columns)
        self.dtype = torch.float32
        self._halve(sides)

    @property
    def item_ids(self) -> list[str]:
        """Ids of all items, in the order in which they are scored; a list made anew."""
        return self.items.names.to_list()

    def score(self, request: ScoreRequest) -> NDArray[np.float32]:
        """Return P(label = 1) of each candidate, in the order of `request.candidates`.

        Items the bundle does not know are scored as an item nothing is known of.

        Raises:
            InvalidInputError: `request.features` names no feature of the model, or one is no number.
        """
        return self.score_all([request])[0].scores

    def score_all(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Return the scores of several requests, computed together.

        Raises:
            InvalidInputError: as `score`.
        """
        held = self.items
        with torch.inference_mode():
            asked = [self._asked(request, held) for request in requests]
            scores = self._scores(self._folded, held, asked)
        return [
            Scores(some, one.names, one.unknown, one.known_user)
            for some, one in zip(scores, asked, strict=True)
        ]

    def history(self, request: ScoreRequest) -> list[str]:
        """Return the ids of items that who asks has liked, latest first: as told, or as far as is known."""
        return self._users.history(request, self.items)

    def replace_newcomers(self, own: Items, names: pa.Array, rows: Tensor) -> None:
        """Rank, from the next request on, `own` and others: `names` [n] and their `rows` [n, W]."""
        with torch.inference_mode():
            self.items = own.extended(names, rows, self._folded)

    def _scores(self, folded: Folded, held: Items, asked: list[_Asked]) -> list[NDArray[np.float32]]:
        if not asked:
            return []
        users = folded.users(asked[0].user if len(asked) == 1 else torch.cat([one.user for one in asked]))
        found: list[list[Tensor]] = [[] for _ in asked]
        for pieces in _packed([len(one.rows) for one in asked]):
            chosen = users if len(pieces) == len(asked) else _taken(users, [q for q, _, _ in pieces])
            rows, parts = _gathered(folded, held, [(asked[q], start, end) for q, start, end in pieces])
            sizes = [end - start for _, start, end in pieces]
            for (q, _, _), some in zip(
                pieces, folded.logits(chosen, sizes, rows, parts).sigmoid_().split(sizes), strict=True
            ):
                found[q].append(some)
        return [(some[0] if len(some) == 1 else torch.cat([torch.empty(0), *some])).numpy() for some in found]

    def _asked(self, request: ScoreRequest, held: Items) -> _Asked:
        user, known_user = self._users.row(request, held)
        if request.candidates is None:
            every = torch.arange(1, len(held.names) + 1)
            return _Asked(user, every, None, held.names, 0, known_user)
        rows = held.names.rows(request.candidates)
        described = self._described(request, rows, len(held.rows)) if request.items else None
        unknown = int((rows == 0).sum())
        return _Asked(user, torch.from_numpy(rows), described, None, unknown, known_user)

    def _described(self, request: ScoreRequest, rows: NDArray[np.int64], first: int) -> Tensor | None:
        """Return rows of the unknown candidates that the request describes; point `rows` [n] at them."""
        candidates = request.candidates or []
        at = [int(i) for i in np.flatnonzero(rows == 0) if candidates[i] in request.items]
        if not at:
            return None
        rows[at] = first + np.arange(len(at))
        features = items.columns_of(self.newcomers.fields, [request.items[candidates[i]] for i in at])
        return self.newcomers.rows(features, len(at))

    def _halve(self, sides: Sides) -> None:
        """Multiply in bfloat16 where the CPU does that, it is faster, and the scores stay what they were."""
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported() or not len(self.items.names):
            return
        half = fold(self._model.interaction, sides, torch.bfloat16)
        every = np.linspace(1, len(self.items.names), 500).astype(np.int64)
        names = self._users.names
        users = [None, *names.take(np.arange(1, min(7, len(names)) + 1))]
        with torch.inference_mode():
            requests = [ScoreRequest(user, candidates=self.items.names.take(every)) for user in users]
            asked = [self._asked(request, self.items) for request in requests]
            (ours, full), (theirs, halved) = (
                _timed(lambda f=f: self._scores(f, self.items, asked)) for f in (self._folded, half)
            )
        furthest = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
        if furthest <= TOLERANCE and halved < full:
            self._folded, self.dtype = half, torch.bfloat16
        _log.info(
            "bfloat16: %.1f ms instead of %.1f, scores differ by at most %.1e; %s",
            halved * 1e3,
            full * 1e3,
            furthest,
            "taken" if self.dtype == torch.bfloat16 else "left",
        )


def load(folder: Path) -> Bundle:
    """Return the bundle in `folder`.

    Raises:
        InvalidInputError: it is unfinished, damaged, or of another format.
    """
    info, parts, digest = bundle.read(folder)
    made = Bundle(info, parts, bundle.ranker(folder, info, parts.weights), digest)
    del parts
    pa.default_memory_pool().release_unused()
    return made


def sides_of(model: Ranker) -> Sides:
    """Return the widths of both sides' inputs; items attended to are the user's."""
    layout = model.interaction.layout
    attended = model.attended * layout.item if model.interaction.attends else 0
    return Sides(layout.user + attended, layout.item, layout.dim, layout.user_numbers, layout.item_numbers)


def _budget(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal():
        raise InvalidInputError("InvalidSetting", f"{variable}={text}: must be a whole number of MiB")
    return int(text) << 20


def _packed(sizes: list[int]) -> Iterator[list[tuple[int, int, int]]]:
    """Yield pieces (request, start, end) of requests of `sizes` items, at most CHUNK items at a time."""
    pieces: list[tuple[int, int, int]] = []
    room = CHUNK
    for q, size in enumerate(sizes):
        start = 0
        while start < size:
            end = min(size, start + room)
            pieces.append((q, start, end))
            room -= end - start
            start = end
            if not room:
                yield pieces
                pieces, room = [], CHUNK
    if pieces:
        yield pieces


def _taken(users: Users, which: list[int]) -> Users:
    at = torch.tensor(which)
    return Users(users.rows[at], tuple(some[at] for some in users.folded))


def _gathered(folded: Folded, held: Items, pieces: list[tuple[_Asked, int, int]]) -> tuple[Tensor, Tensor]:
    """Return rows and parts of the pieces' items, one after the other."""
    chosen = [one.rows[start:end] for one, start, end in pieces]
    at = chosen[0] if len(chosen) == 1 else torch.cat(chosen)
    last = len(held.rows) - 1
    described = [(one, start, end) for one, start, end in pieces if one.described is not None]
    if not described:
        # Several times faster than indexing, which does not copy whole rows.
        rows = held.rows.index_select(0, at)
        return rows, folded.items(rows) if held.parts is None else held.parts.index_select(0, at)
    rows = held.rows[at.clamp(max=last)]
    begin = 0
    for one, start, end in pieces:
        wanted = one.rows[start:end]
        if one.described is not None and len(new := torch.nonzero(wanted > last)[:, 0]):
            rows[begin + new] = one.described[wanted[new] - last - 1]
        begin += end - start
    return rows, folded.items(rows)


def _timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """Return what `call` returns, and the least of the seconds it took five times."""
    result, seconds = call(), list[float]()
    for _ in range(5):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return result, min(seconds)
