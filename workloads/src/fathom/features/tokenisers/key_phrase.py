"""KeyPhrase: what lies between stop words and punctuation (RAKE: Rose et al., 2010), by how rare it is.

Where a run of words is longer than `max_ngram`, or is not frequent enough as a whole, the longest phrases in
it that are count: of "a small red car" with "red car" frequent, that is "small" and "red car". RAKE scores
words by how long their phrases are within one document; a caption is too short for that, so phrases are
chosen by in how many captions they are, the rarest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from fathom.features import grams, stopwords
from fathom.features.sequences import DIRECT, PUNCTUATION
from fathom.features.tokenisers.base import Batch, Before, Learned, read
from fathom.features.tokenisers.word_ngram import parameters
from fathom.features.vocabulary import Terms
from fathom_api.tokens import CaptionFeatures

NAME: Final = "KeyPhrase"


@dataclass(frozen=True)
class KeyPhrase:
    """Phrases of up to `max_ngram` words that lie inside no longer one."""

    features: CaptionFeatures
    structured: bool = False

    def identity(self) -> dict[str, str]:
        """Return its name and parameters."""
        return parameters(NAME, self.features, structured=self.structured)

    def learn(self, captions: Callable[[], Iterator[Batch]], before: Before, scratch: Path) -> Learned:
        """Return the phrases that are in enough captions, and those the vocabulary before has."""
        found = read(captions(), scratch / "words", structured=self.structured, punctuation=True)
        asked = self.features.stop_words
        # Phrases need stop words to lie between.
        asked = stopwords.AUTO if asked == stopwords.NONE else asked
        language = found.language(asked, before.vocabulary)
        found = found.without_stop_words(language, PUNCTUATION)
        learned = grams.learn(
            found.corpus,
            found.counts,
            found.lexicon,
            longest=self.features.max_ngram,
            min_count=self.features.min_count,
            joint=DIRECT,
            known=before.vocabulary.tokens if before.vocabulary else (),
        )
        return Learned(
            meaning={"tokenizer": NAME, "stop_words": language, "structured": str(self.structured)},
            terms=Terms(learned.names(found.lexicon), learned.counts),
            corpus=found.corpus,
            find=partial(learned.find, maximal=True),
        )
