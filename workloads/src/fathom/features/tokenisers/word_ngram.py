"""WordNgram: n-grams of words that are in enough captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fathom.features import grams
from fathom.features.sequences import DIRECT, PUNCTUATION
from fathom.features.tokenisers.base import Batch, Before, Learned, read
from fathom.features.vocabulary import Terms
from fathom_api.tokens import CaptionFeatures

NAME: Final = "WordNgram"


@dataclass(frozen=True)
class WordNgram:
    """N-grams over punctuation and over stop words, which are left out before."""

    features: CaptionFeatures
    structured: bool = False

    def identity(self) -> dict[str, str]:
        """Return its name and parameters."""
        return parameters(NAME, self.features, structured=self.structured)

    def learn(self, captions: Callable[[], Iterator[Batch]], before: Before, scratch: Path) -> Learned:
        """Return the n-grams that are in enough captions, and those the vocabulary before has."""
        found = read(captions(), scratch / "words", structured=self.structured)
        language = found.language(self.features.stop_words, before.vocabulary)
        found = found.without_stop_words(language, DIRECT)
        learned = grams.learn(
            found.corpus,
            found.counts,
            found.lexicon,
            longest=self.features.max_ngram,
            min_count=self.features.min_count,
            joint=PUNCTUATION,
            known=before.vocabulary.tokens if before.vocabulary else (),
        )
        return Learned(
            meaning={"tokenizer": NAME, "stop_words": language, "structured": str(self.structured)},
            terms=Terms(learned.names(found.lexicon), learned.counts),
            corpus=found.corpus,
            find=learned.find,
        )


def parameters(name: str, features: CaptionFeatures, *, structured: bool) -> dict[str, str]:
    """Return the parameters of a strategy that gives ids to what is frequent enough."""
    return {
        "tokenizer": name,
        "max_ngram": str(features.max_ngram),
        "min_count": str(features.min_count),
        "vocabulary_size": str(features.vocabulary_size),
        "stop_words": features.stop_words,
        "structured": str(structured),
    }
