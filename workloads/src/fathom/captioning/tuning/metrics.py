"""How close written captions come to people's: CIDEr-D, BLEU-4 and the F1 of their words.

Words are runs of letters and digits in lower case, as COCO's evaluation has them; punctuation does not count.
A letter of a script without spaces (Han, kana, Thai, …) is a word of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import regex

_WORD: Final = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
    r"|[\p{L}\p{N}][\p{L}\p{N}\p{M}]*(?:['’][\p{L}\p{N}\p{M}]+)*",
    regex.V1,
)
_LONGEST: Final = 4
#: The width of CIDEr-D's penalty on another length, in words.
_SIGMA: Final = 6.0
Words = Sequence[str]
Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Scores:
    """Of a set of captions; `cider` is 0 … 10 as in COCO's own code, `bleu4` 0 … 100, `token_f1` 0 … 1."""

    cider: float
    bleu4: float
    token_f1: float


def score(written: Sequence[str], people: Sequence[Sequence[str]]) -> Scores:
    """Return how the caption `written` of each medium compares with all that people wrote of it.

    Raises:
        ValueError: there is none, or a medium has no caption of people's.
    """
    if not written or not all(people):
        raise ValueError("each of at least one medium needs a caption of people's")
    ours = [words(text) for text in written]
    theirs = [[words(text) for text in texts] for texts in people]
    f1 = [token_f1(hypothesis, references) for hypothesis, references in zip(ours, theirs, strict=True)]
    return Scores(cider_d(ours, theirs), bleu4(ours, theirs), sum(f1) / len(f1))


def words(text: str) -> list[str]:
    """Return the words of `text`."""
    return _WORD.findall(text.lower())


def token_f1(written: Words, people: Iterable[Words]) -> float:
    """Return the harmonic mean of precision and recall of words, counted, against the closest of `people`."""
    return max(_f1(Counter(written), Counter(reference)) for reference in people)


def _f1(written: Counter[str], reference: Counter[str]) -> float:
    sizes = written.total() + reference.total()
    return 2 * (written & reference).total() / sizes if sizes else 1.0


def bleu4(written: Sequence[Words], people: Sequence[Sequence[Words]]) -> float:
    """Return the corpus BLEU-4 (Papineni et al. 2002) by sacrebleu, its exponential smoothing included."""
    from sacrebleu.metrics.bleu import BLEU

    most = max(map(len, people))
    # sacrebleu wants the first, second, … reference of all; None where there are fewer.
    streams: list[Any] = [
        [" ".join(texts[n]) if n < len(texts) else None for texts in people] for n in range(most)
    ]
    bleu = BLEU(tokenize="none", force=True, max_ngram_order=_LONGEST)
    return float(bleu.corpus_score([" ".join(hypothesis) for hypothesis in written], streams).score)


def cider_d(written: Sequence[Words], people: Sequence[Sequence[Words]]) -> float:
    """Return the mean CIDEr-D (Vedantam et al. 2015, https://arxiv.org/abs/1411.5726), 0 … 10.

    How rare an n-gram is, is counted over `people`: the number depends on which media are compared, and is 0
    for a single one.
    """
    grams = [[_grams(reference) for reference in texts] for texts in people]
    seen = Counter(gram for texts in grams for gram in set().union(*texts))
    rarity = {gram: math.log(len(people)) - math.log(count) for gram, count in seen.items()}
    unseen = math.log(len(people))
    scores: list[float] = []
    for hypothesis, texts in zip(written, grams, strict=True):
        ours = _Weighted.of(_grams(hypothesis), rarity, unseen)
        against = [ours.likeness(_Weighted.of(text, rarity, unseen)) for text in texts]
        scores.append(10 * sum(against) / len(against))
    return sum(scores) / len(scores)


def _grams(sentence: Words) -> Grams:
    return Counter(
        tuple(sentence[start : start + length])
        for length in range(1, _LONGEST + 1)
        for start in range(len(sentence) - length + 1)
    )


@dataclass(frozen=True)
class _Weighted:
    """A sentence's n-grams by length, each weighted by how often and how rare it is."""

    weights: tuple[dict[tuple[str, ...], float], ...]
    norms: tuple[float, ...]
    length: int

    @classmethod
    def of(cls, grams: Grams, rarity: Mapping[tuple[str, ...], float], unseen: float) -> _Weighted:
        weights = tuple[dict[tuple[str, ...], float], ...]({} for _ in range(_LONGEST))
        for gram, count in grams.items():
            weights[len(gram) - 1][gram] = count * rarity.get(gram, unseen)
        norms = tuple(math.sqrt(sum(weight**2 for weight in each.values())) for each in weights)
        # The authors' code takes the number of bigrams for the length; so does everyone who compares.
        return cls(weights, norms, sum(count for gram, count in grams.items() if len(gram) == 2))

    def likeness(self, reference: _Weighted) -> float:
        """Return the mean over n of the clipped cosine, 0 … 1, less for another length."""
        cosines = [self._cosine(reference, n) for n in range(_LONGEST)]
        penalty = math.exp(-((self.length - reference.length) ** 2) / (2 * _SIGMA**2))
        return penalty * sum(cosines) / _LONGEST

    def _cosine(self, reference: _Weighted, n: int) -> float:
        theirs, norms = reference.weights[n], self.norms[n] * reference.norms[n]
        shared = sum(min(w, theirs[g]) * theirs[g] for g, w in self.weights[n].items() if g in theirs)
        return shared / norms if norms else 0.0
