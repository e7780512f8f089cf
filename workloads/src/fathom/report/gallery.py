"""The items that are shown: chosen by why they are worth a look, each with pictures, captions and tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from fathom.report import columns, features
from fathom.report.comparison import Comparison
from fathom.report.errors import Example, Failures
from fathom.report.features import Features
from fathom.report.pictures import Album, Seen
from fathom.report.survey import Store, Survey
from fathom.report.text import Cut, clean, cut, shown_id

_FAILED: Final = 36
_FEATURE_ITEMS: Final = 12
#: Of all aspects together, so that a page with eight is no longer than one with one.
_CHARACTERS: Final = 1200
_CHIPS: Final = 32
_LONGEST_CAPTION: Final = 600
_CHIP: Final = 40
_COLUMNS: Final = ["item_id", "aspect", "caption", "finish"]


@dataclass
class Saying:
    """A caption as it is shown, and its length in words; the first of its tokens, and how many there are."""

    aspect: str
    caption: Cut
    words: int
    cut_off: bool
    chips: list[str] = field(default_factory=list[str])
    tokens: int = 0

    @property
    def more(self) -> int:
        """How many tokens are not shown."""
        return self.tokens - len(self.chips)


@dataclass
class Card:
    """An item and why it is shown."""

    item_id: str
    why: list[str]
    seen: Seen = field(default_factory=Seen)
    sayings: list[Saying] = field(default_factory=list[Saying])
    errors: list[tuple[str, Example]] = field(default_factory=list[tuple[str, Example]])

    @property
    def name(self) -> str:
        """The id, as it is shown."""
        return shown_id(self.item_id)

    @property
    def alt(self) -> str:
        """What a picture of it says to those who cannot see it."""
        return self.sayings[0].caption.text if self.sayings else f"Item {self.name}, without a caption"


def cards(
    store: Store,
    found: Survey,
    *,
    failures: Failures,
    made: list[Features],
    comparison: Comparison | None,
    album: Album | None,
) -> list[Card]:
    """Return the items to show, those that were chosen by chance first."""
    chosen = {item: Card(item, why) for item, why in _chosen(found, failures, made, comparison).items()}
    _add_captions(chosen, store)
    for aspect in made:
        _add_tokens(chosen, aspect, _CHIPS // len(store.aspects))
    for item, errors in failures.of().items():
        if item in chosen:
            chosen[item].errors = errors
    seen = album.show(chosen) if album else {}
    for item, card in chosen.items():
        card.seen = seen.get(item, Seen(missing="The source holds no such item any more." if album else ""))
    return list(chosen.values())


def _chosen(
    found: Survey, failures: Failures, made: list[Features], comparison: Comparison | None
) -> dict[str, list[str]]:
    each = max(2, _FEATURE_ITEMS // max(1, len(made)))
    changed = [example.item_id for example in comparison.examples] if comparison else []
    groups: list[tuple[str, Iterable[str]]] = [
        ("random", found.random.ids()),
        ("changed", changed),
        # Where all are alike, none is the longest: what stands out is beyond the median.
        ("longest", found.longest.ids(below=-found.lengths.quantile(0.5))),
        ("shortest", found.shortest.ids(below=found.lengths.quantile(0.5))),
        *(("most tokens", a.most.ids(below=-a.per_item.quantile(0.5))[:each]) for a in made),
        *(("fewest tokens", a.fewest.ids(below=a.per_item.quantile(0.5))[:each]) for a in made),
        ("failed", _failed(failures)),
    ]
    chosen: dict[str, list[str]] = {}
    for why, items in groups:
        for item in items:
            reasons = chosen.setdefault(item, [])
            if why not in reasons:
                reasons.append(why)
    return chosen


def _failed(failures: Failures) -> list[str]:
    """Return items of every reason in turn."""
    by_reason = [[example.item_id for example in reason.examples] for reason in failures.reasons]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_reason))
    return [item for item in turns if item][:_FAILED]


def _add_captions(chosen: Mapping[str, Card], store: Store) -> None:
    most = min(_LONGEST_CAPTION, _CHARACTERS // len(store.aspects))
    wanted = pa.array(sorted(chosen), pa.string())
    for rows in store.rows(_COLUMNS):
        fields = (columns.texts(column) for column in columns.among(rows, wanted).columns)
        for item, aspect, caption, finish in zip(*fields, strict=True):
            said = Saying(clean(aspect, 64), cut(caption, most), len(caption.split()), finish == "Length")
            chosen[item].sayings.append(said)
    order = {aspect: place for place, aspect in enumerate(store.aspects)}
    for card in chosen.values():
        card.sayings.sort(key=lambda said: order.get(said.aspect, len(order)))


def _add_tokens(chosen: Mapping[str, Card], aspect: Features, chips: int) -> None:
    for item, tokens in features.tokens(aspect, chosen).items():
        for said in chosen[item].sayings:
            if said.aspect == aspect.aspect:
                said.chips = [clean(token, _CHIP) for token in tokens[:chips]]
                said.tokens = len(tokens)
