"""The features of one aspect: its captions in; its tokens, vocabulary and coverage out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from fathom import storage
from fathom.features import coverage, tables, vocabulary, weighing
from fathom.features.coverage import Coverage, Tally
from fathom.features.encoding import encode
from fathom.features.sequences import spooling
from fathom.features.tokenisers.base import Batch, Before, Learned, Tokeniser
from fathom.features.vocabulary import Numbering, Terms, Vocabulary
from fathom.storage import Location
from fathom_api.tokens import CaptionFeatures

VOCABULARY: Final = "vocabulary.parquet"


def make(
    folder: Location,
    captions: Callable[[], Iterator[Batch]],
    items: int,
    strategy: Tokeniser,
    features: CaptionFeatures,
    *,
    samples: int = 0,
    encoded: Callable[[int], None] = lambda _: None,
) -> Coverage:
    """Write the features of one aspect to `folder`; the vocabulary that is there already is gone on with.

    Args:
        folder: of the aspect.
        captions: yields all of them, in the same order every time.
        items: how many there are.
        strategy: how captions become tokens.
        features: limits of the vocabulary and of an item's tokens.
        samples: of each item that `captions` yields one after the other; none, and it yields captions.
        encoded: told how many items have been encoded.
    """
    before = Before(vocabulary.read(folder / VOCABULARY), folder)
    tally = Tally()
    with spooling() as scratch:
        learned = strategy.learn(captions, before, scratch)
        if samples:
            learned = replace(learned, terms=_expected(learned.terms, samples))
        grown = _vocabulary(learned, before, features)
        ids = grown.find(learned.terms.names) if learned.fixed is None else learned.fixed
        numbering = Numbering.of(ids, learned.terms.counts)
        with tables.features(folder / tables.NAME, items, weights=samples > 0) as writer:
            for item_ids, sequences in learned.corpus:
                found = learned.find(sequences, numbering.ranks)
                if samples:
                    weighted = weighing.encode(item_ids, found, numbering, features.max_tokens_per_item)
                    tokens = weighted.tokens
                    writer.write(weighted.item_ids, tokens.array(), weighted.array())
                else:
                    tokens = encode(found, numbering, features.max_tokens_per_item)
                    writer.write(item_ids, tokens.array())
                tally.add(found, tokens)
                encoded(tally.items)
    for name, write in learned.files.items():
        with storage.appearing(folder / name) as path:
            write(path)
    vocabulary.write(folder / VOCABULARY, grown)
    report = tally.coverage(strategy.identity(), grown)
    with storage.appearing(folder / coverage.NAME) as path:
        path.write_text(report.model_dump_json(by_alias=True, indent=2))
    return report


def _expected(terms: Terms, samples: int) -> Terms:
    """Return `terms` with how many captions are expected to hold each, not how many samples do."""
    return Terms(terms.names, -(-terms.counts // samples))


def _vocabulary(learned: Learned, before: Before, features: CaptionFeatures) -> Vocabulary:
    if learned.fixed is not None:
        return Vocabulary.fixed(learned.meaning, learned.fixed, learned.terms, learned.size)
    return vocabulary.extended(
        before.vocabulary,
        learned.meaning,
        learned.terms,
        min_count=features.min_count,
        most=features.vocabulary_size,
    )
