"""One user and the items to score for them, checked against what the model knows; of either protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Final

from fathom.ranking.schema import ID, FeatureField, Schema
from fathom.ranking.scorer import ScoreRequest
from fathom.serving.errors import BadRequestError

#: Most candidates of one request, all its instances together.
MAX_CANDIDATES: Final = 100_000
MAX_HISTORY: Final = 10_000
#: Most items that a request describes itself.
MAX_DESCRIBED: Final = 1_000
MAX_VALUES: Final = 1_000
MAX_TEXT: Final = 4_096


@dataclass(frozen=True)
class Query:
    """What to score.

    Attributes:
        request: who asks, about what.
        k: how many of the best to return, best first; None returns all candidates in the order asked.
        field: where in the request this came from, to name it in errors.
        explore: whether some of the `k` may lead the user to new interests.
        explored: how many such items the user was shown before.
    """

    request: ScoreRequest
    k: int | None
    field: str
    explore: bool = True
    explored: int = 0


@dataclass(frozen=True)
class Asked:
    """A query as it came, its types right, its meaning unchecked."""

    user_id: str | None
    history: list[str] | None
    features: Mapping[str, Any] | None
    candidates: list[str] | None
    k: int | None
    items: Mapping[str, Mapping[str, Any]] | None = None
    explore: bool = True
    explored: int = 0


def checked(asked: Asked, schema: Schema, prefix: str = "") -> Query:
    """Return `asked` as a query; `prefix` (`instances[0].`) is put before the names of its fields.

    Raises:
        BadRequestError: it says nothing of the user, has no or too many candidates, or a feature cannot be.
    """
    field = prefix.removesuffix(".")
    if asked.user_id is None and asked.history is None and not asked.features:
        raise BadRequestError(
            f"{prefix}user_id",
            "NoUser",
            "say who asks: give user_id, history or features (a new user's id is fine)",
        )
    if asked.candidates is None and asked.k is None:
        raise BadRequestError(
            f"{prefix}k", "NoK", "without candidates all items are scored: say how many to return"
        )
    _check_length(f"{prefix}candidates", asked.candidates, MAX_CANDIDATES, least=1)
    _check_length(f"{prefix}history", asked.history, MAX_HISTORY)
    request = ScoreRequest(
        user_id=asked.user_id,
        history=asked.history,
        features=_features(asked.features or {}, schema.user, f"{prefix}features"),
        candidates=asked.candidates,
        items=_items(asked.items or {}, schema, f"{prefix}items"),
    )
    return Query(request, asked.k, field, asked.explore, asked.explored)


def _check_length(field: str, values: Sized | None, most: int, least: int = 0) -> None:
    if values is None or least <= len(values) <= most:
        return
    if not values:
        raise BadRequestError(
            field, "Empty", "empty; give at least one item id, or leave it out to score all items"
        )
    raise BadRequestError(
        field, "TooMany", f"{len(values)} values, at most {most} are taken; split the request"
    )


def _items(given: Mapping[str, Mapping[str, Any]], schema: Schema, field: str) -> dict[str, dict[str, Any]]:
    _check_length(field, given, MAX_DESCRIBED)
    return {name: _features(one, schema.item, f"{field}.{name}", "item") for name, one in given.items()}


def _features(
    given: Mapping[str, Any], fields: Sequence[FeatureField], field: str, side: str = "user"
) -> dict[str, Any]:
    known = {f.name: f for f in fields if f.name != ID}
    for name in given:
        if name not in known:
            raise BadRequestError(
                f"{field}.{name}",
                "UnknownFeature",
                f"the model has no such {side} feature; it has {', '.join(sorted(known)) or 'none'}",
            )
    return {name: _value(known[name], value, f"{field}.{name}") for name, value in given.items()}


def _value(feature: FeatureField, value: Any, field: str) -> Any:
    """Return a feature's value as the encoder takes it; None where there is none."""
    if value is None or value == []:
        return None
    if feature.type == "Numeric":
        right, wanted = _is_number(value), "a finite number"
    elif feature.type == "Tokens":
        right = isinstance(value, list) and len(value) <= MAX_VALUES and all(map(_is_token, value))
        wanted = f"a list of at most {MAX_VALUES} ids of the CaptionJob's vocabulary"
    elif feature.type == "Categorical":
        right, wanted = _is_text(value) or _is_code(value), "one string, or a number that is exact"
    else:
        several = isinstance(value, list) and len(value) <= MAX_VALUES and all(map(_is_text, value))
        right = several or _is_text(value)
        wanted = (
            f"a list of at most {MAX_VALUES} strings, or one string with {feature.separator!r} between values"
        )
    if not right:
        raise BadRequestError(field, "WrongType", f"must be {wanted}")
    return value


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 1 << 63


def _is_code(value: Any) -> bool:
    # Codes are compared as text, which a float beyond this has no one form of.
    return _is_number(value) and (isinstance(value, int) or abs(value) < 1 << 53)


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _is_text(value: Any) -> bool:
    # JSON can hold halves of surrogate pairs, which are no text.
    return isinstance(value, str) and len(value) <= MAX_TEXT and is_unicode(value)


def is_unicode(text: str) -> bool:
    """Return whether `text` can be encoded."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
