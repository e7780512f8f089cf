"""From the tables a task names to arrays a ranker trains on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fathom.errors import InvalidInputError
from fathom.ranking import captions, catalogue, context, history, interactions, split
from fathom.ranking.architectures import ARCHITECTURES
from fathom.ranking.captions import Captions, TokenIds
from fathom.ranking.catalogue import Catalogue
from fathom.ranking.columns import Entities
from fathom.ranking.context import Encoded
from fathom.ranking.encode import Vocabulary
from fathom.ranking.history import Histories
from fathom.ranking.interactions import Interactions
from fathom.ranking.schema import Schema
from fathom.ranking.stream.scratch import computed, counts
from fathom_api.recmodel import RankerModel
from fathom_api.tasks import TrainTask


@dataclass(frozen=True)
class Prepared:
    """Everything a ranker learns from.

    Attributes:
        interactions: n of them.
        parts: [n] training, validation or test.
        features: of both sides.
        users: their features, in rows; items likewise.
        user: [n] row of each interaction's user; item likewise.
        context: of each interaction itself.
        histories: of each interaction; places in `interactions`.
        vocabularies: ids by value, by feature, by side.
        caption_digests: of each CaptionJob's features.
    """

    interactions: Interactions
    parts: split.Parts
    features: Schema
    users: Entities
    items: Entities
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    context: Encoded
    histories: Histories
    vocabularies: dict[str, dict[str, Vocabulary]]
    caption_digests: dict[str, str]


def prepare(task: TrainTask) -> Prepared:
    """Read, check, split and encode what `task` names.

    Raises:
        InvalidInputError: something is missing or unusable; the message says what.
    """
    _check(task)
    data = task.data
    told = task.features.context
    events = interactions.read(data, [further.label for further in task.training.tasks], told)
    parts = split.assign(events, data.split)
    captioned = captions.read(task.features.captions, task.caption_features)
    named = {name for c in captioned for name in c.rows["item_id"].to_pylist()}
    users = catalogue.read(data.users, data.user_column, task.features.user, events.users)
    items = catalogue.read(data.items, data.item_column, task.features.item, {*events.items, *named})
    user, item = _rows(users, events.users, events.user), _rows(items, events.items, events.item)
    train = computed(len(parts), np.bool_, lambda part: parts[part] == split.TRAIN)
    met = counts(user, len(users.names) + 1, train.__getitem__)[1:]
    shown = counts(item, len(items.names) + 1, train.__getitem__)[1:]
    user_fields, user_values = catalogue.learn(users, task.features.user, met)
    asked_fields, asked_values = context.learn(events.context, told, train.__getitem__)
    user_fields, user_values = user_fields + asked_fields, user_values | asked_values
    item_fields, item_values = catalogue.learn(items, task.features.item, shown)
    encoders = [TokenIds.of(c) for c in captioned]
    item_values |= {c.name: e.vocabulary() for c, e in zip(captioned, encoders, strict=True)}
    tokens: dict[str, pa.Array] = {}
    for c, e in zip(captioned, encoders, strict=True):
        tokens |= _tokens(c, e, task, items, shown > 0).columns(c.name)
    item_fields += [e.field(c) for c, e in zip(captioned, encoders, strict=True)]
    return Prepared(
        interactions=events,
        parts=parts,
        features=Schema(
            user=user_fields,
            item=item_fields,
            context=len(asked_fields),
            attended=_attended(task.model),
            tasks=[further.label for further in task.training.tasks],
        ),
        users=catalogue.entities(users, user_fields, user_values, {}),
        items=catalogue.entities(items, item_fields, item_values, tokens),
        user=user,
        item=item,
        context=context.encoded(events.context, asked_fields, asked_values, len(events)),
        histories=history.before_each(events, train),
        vocabularies={"user": user_values, "item": item_values},
        caption_digests={c.feature.caption_job: c.digest for c in captioned},
    )


def _check(task: TrainTask) -> None:
    data, features = task.data, task.features
    for side, table, wanted in (("items", data.items, features.item), ("users", data.users, features.user)):
        if wanted and table is None:
            raise InvalidInputError(
                "MissingTable",
                f"features name {side}' column {wanted[0].column!r}, but data.{side} is not given",
            )
    if data.time_column is None and any(c.user_history for c in features.captions):
        raise InvalidInputError(
            "NoTimeColumn",
            "userHistory needs data.timeColumn, to know what was before: name it, or drop userHistory",
        )
    if data.time_column is None and _attended(task.model):
        raise InvalidInputError(
            "NoTimeColumn",
            "DIN needs data.timeColumn, to know what was before: name it, or change the architecture",
        )


def _attended(model: RankerModel) -> int:
    """Return how many of the latest liked items the model attends to."""
    return (model.history_items or 50) if ARCHITECTURES[model.architecture].attends else 0


def _rows(known: Catalogue, names: list[str], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of each interaction's user or item; row 0 is one nothing is known of."""
    row = known.places(names) + 1
    return computed(len(places), np.int64, lambda part: row[places[part]])


def _tokens(
    captioned: Captions, encoder: TokenIds, task: TrainTask, items: Catalogue, trained: NDArray[np.bool_]
) -> captions.Tokens:
    tokens = captions.tokens_of(captioned, items.names, task.arm, task.training.seed)
    return encoder.encode(tokens, trained)
