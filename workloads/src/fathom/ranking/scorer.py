"""Scoring candidates for users from a bundle: the user once a request, the items once a version."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from fathom.errors import InvalidInputError
from fathom.ranking import bundle, items
from fathom.ranking.bundle import BundleInfo, Parts
from fathom.ranking.columns import Columns
from fathom.ranking.encode import encode
from fathom.ranking.folded import Folded, Sides, Users, fold
from fathom.ranking.items import CHUNK, Items, Newcomers, tensors
from fathom.ranking.model import Ranker
from fathom.ranking.names import Names
from fathom.ranking.requests import ScoreRequest, Scores
from fathom.ranking.schema import ID, categorical, lists, numeric

#: MiB of memory for what the folded ranker keeps of each item; a catalogue that needs more is scored slower.
ENV_ITEM_CACHE: Final = "FATHOM_ITEM_CACHE_MIB"
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
        self._users = Names(pa.array(parts.users.names, pa.string()))
        self._user_columns = parts.users.columns
        self._user_values = {**parts.vocabularies["user"], ID: {}}
        sides = sides_of(model)
        self._vectors, self._dim = sides.item_fields * sides.dim, sides.dim
        self._attended = info.features.attended if model.interaction.attends else 0
        with torch.inference_mode():
            self._folded: Folded = fold(model.interaction, sides)
            names = pa.array(parts.items.names, pa.string())
            self.items = items.table(names, parts.items.columns, model, self._folded, _budget())
        self._histories = _histories(parts.histories, self.items.names, info.features.history)
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

    def replace_newcomers(self, own: Items, names: pa.Array, rows: Tensor) -> None:
        """Rank, from the next request on, `own` and others: `names` [n] and their `rows` [n, W]."""
        with torch.inference_mode():
            self.items = own.extended(names, rows, self._folded)

    def knows_user(self, user_id: str) -> bool:
        """Return whether the bundle has features or a history of the user."""
        return self._users.row(user_id) > 0

    def _scores(self, folded: Folded, held: Items, asked: list[_Asked]) -> list[NDArray[np.float32]]:
        if not asked:
            return []
        users = folded.users(torch.cat([one.user for one in asked]))
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
        row = 0 if request.user_id is None else self._users.row(request.user_id)
        user = self._user_row(request, row, held)
        if request.candidates is None:
            every = torch.arange(1, len(held.names) + 1)
            return _Asked(user, every, None, held.names, 0, row > 0)
        rows = held.names.rows(request.candidates)
        described = self._described(request, rows, len(held.rows)) if request.items else None
        unknown = int((rows == 0).sum())
        return _Asked(user, torch.from_numpy(rows), described, None, unknown, row > 0)

    def _described(self, request: ScoreRequest, rows: NDArray[np.int64], first: int) -> Tensor | None:
        """Return rows of the unknown candidates that the request describes; point `rows` [n] at them."""
        candidates = request.candidates or []
        at = [int(i) for i in np.flatnonzero(rows == 0) if candidates[i] in request.items]
        if not at:
            return None
        rows[at] = first + np.arange(len(at))
        features = items.columns_of(self.newcomers.fields, [request.items[candidates[i]] for i in at])
        return self.newcomers.rows(features, len(at))

    def _user_row(self, request: ScoreRequest, row: int, held: Items) -> Tensor:
        """Return the user's row [1, W]: vectors, then numbers."""
        stored = self._user_columns.take(np.array([row]))
        user = tensors(self._overridden(stored, request.features) if request.features else stored)
        history, liked = self._history(request, row, held)
        return torch.cat([self._model.user_side(user, history, liked).flatten(1), user.numeric], dim=1)

    def _history(self, request: ScoreRequest, row: int, held: Items) -> tuple[Tensor, Tensor]:
        """Return the history [1, H] as places in a small table [H + 1, F, D] of its items' vectors."""
        size = self.info.features.history
        latest = self._histories[row] if request.history is None else None
        rows = held.names.rows((request.history or [])[:size]) if latest is None else latest
        # What is attended to has a fixed place, so that users of short histories can be scored beside others.
        rows = np.pad(rows, (0, max(0, max(1, self._attended) - len(rows))))
        vectors = held.rows[torch.from_numpy(np.append(0, rows)), : self._vectors]
        places = np.where(rows > 0, np.arange(1, len(rows) + 1), 0)
        return torch.from_numpy(places[None]), vectors.unflatten(1, (-1, self._dim))

    def _overridden(self, stored: Columns, features: dict[str, Any]) -> Columns:
        """Return the user's features with those of the request in place of the stored ones."""
        known = {f.name for f in self.info.features.user} - {ID}
        if strange := sorted(set(features) - known):
            raise InvalidInputError(
                "UnknownFeature",
                f"the model has no user feature {strange[0]}; it has {', '.join(sorted(known)) or 'none'}",
            )
        columns = {name: pa.array([value]) for name, value in features.items() if value is not None}
        fields = self.info.features.user
        given = encode(fields, self._user_values, columns, 1)
        asked = [[f.name in features for f in some(fields)] for some in (categorical, lists, numeric)]
        return Columns(
            np.where(asked[0], given.ids, stored.ids).astype(np.int32),
            tuple(g if a else s for a, g, s in zip(asked[1], given.lists, stored.lists, strict=True)),
            np.where(asked[2], given.numeric, stored.numeric).astype(np.float32),
            tuple(g if a else s for a, g, s in zip(asked[1], given.weights, stored.weights, strict=True)),
        )

    def _halve(self, sides: Sides) -> None:
        """Multiply in bfloat16 where the CPU does that, it is faster, and the scores stay what they were."""
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported() or not len(self.items.names):
            return
        half = fold(self._model.interaction, sides, torch.bfloat16)
        every = np.linspace(1, len(self.items.names), 500).astype(np.int64)
        users = [None, *self._users.take(np.arange(1, min(7, len(self._users)) + 1))]
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


def _budget() -> int:
    text = os.environ.get(ENV_ITEM_CACHE, "512")
    if not text.isdecimal():
        raise InvalidInputError("InvalidSetting", f"{ENV_ITEM_CACHE}={text}: must be a whole number of MiB")
    return int(text) << 20


def _histories(histories: list[list[str]], names: Names, size: int) -> NDArray[np.int32]:
    """Return the rows of the items in each user's history, [U + 1, H], 0 where there is none."""
    kept = [history[:size] for history in histories]
    longest = max((len(history) for history in kept), default=0)
    rows = np.zeros((len(kept) + 1, longest), np.int32)
    lengths = np.array([0, *(len(history) for history in kept)])
    rows[np.arange(longest) < lengths[:, None]] = names.rows([name for history in kept for name in history])
    return rows


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
    at = torch.cat([one.rows[start:end] for one, start, end in pieces])
    last = len(held.rows) - 1
    rows = held.rows[at.clamp(max=last)]
    described = [(one, start, end) for one, start, end in pieces if one.described is not None]
    if not described:
        return rows, folded.items(rows) if held.parts is None else held.parts[at]
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
