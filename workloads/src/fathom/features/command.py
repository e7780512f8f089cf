"""`fathom featurise`: captions in, token ids out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fathom import manifest, storage
from fathom.captioning.captions import Captions
from fathom.errors import InvalidInputError
from fathom.features import tables
from fathom.features.tokenisers import Term, Tokeniser, Vocabulary, tokeniser
from fathom.progress import Reporter, reporter
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import FeaturiseTask

FOLDER: Final = "features"
KIND: Final = "Features"
#: Raised whenever the same captions and parameters come to give other features.
_FORMAT: Final = "1"
_TOP: Final = 50


def featurise(task: FeaturiseTask) -> Outcome:
    """Write the features of all captions below the task's folder, unless they are there already.

    Raises:
        InvalidInputError: a shard is unfinished, its captions are damaged, or the tokenizer cannot be had.
    """
    root = storage.existing(task.output)
    folder = root / FOLDER
    captions = Captions(root, task.shards)
    strategy = tokeniser(task.features, task.model, _checkpoint(task, root))
    made_from = {
        "captions": captions.digest(),
        "format": _FORMAT,
        "max_tokens_per_item": str(task.features.max_tokens_per_item),
        **strategy.identity(),
    }
    done = _finished(folder, made_from)
    if done is None:
        done = _make(folder, captions, strategy, task.features.max_tokens_per_item, made_from)
    coverage = tables.Coverage.model_validate_json((folder / "coverage.json").read_bytes())
    return _outcome(f"{task.output.rstrip('/')}/{FOLDER}", done, coverage)


def _checkpoint(task: FeaturiseTask, root: Path) -> str:
    """Return where the tokenizer of the model that captioned is."""
    scheme, _, name = task.model.place.partition("://")
    if scheme == "fathom":
        # The small model exists only as what fine-tuning made of it.
        return str(root / "model")
    return name if scheme == "hf" else str(storage.resolve(task.model.place))


def _finished(folder: Path, made_from: dict[str, str]) -> manifest.Manifest | None:
    """Return the manifest of `folder` if it was made from the same and is whole."""
    try:
        if (found := manifest.read(folder)) is not None and found.made_from == made_from:
            return manifest.verify(folder)
    except InvalidInputError:
        return None  # Damaged: it is made again, which is what its error would ask for.
    return None


def _make(
    folder: Path, captions: Captions, strategy: Tokeniser, limit: int, made_from: dict[str, str]
) -> manifest.Manifest:
    # From here on nobody may take what is in the folder for finished.
    (folder / manifest.NAME).unlink(missing_ok=True)
    with reporter() as report:
        vocabulary = strategy.vocabulary(_count(captions, strategy))
        tally = _Tally()
        with tables.features(folder / "features.parquet", captions.count) as writer:
            for item_ids, terms in _terms(captions, strategy):
                tokens = [vocabulary.encode(found, limit) for found in terms]
                writer.write(item_ids, tokens)
                tally.add(terms, tokens, vocabulary)
                _report(report, captions, tally, vocabulary)
    coverage = tally.coverage(strategy, vocabulary)
    tables.write_vocabulary(folder / "vocabulary.parquet", vocabulary.entries)
    with storage.appearing(folder / "coverage.json") as path:
        path.write_text(coverage.model_dump_json(by_alias=True, indent=2))
    counts = {"items": tally.items, "tokens": len(vocabulary.entries)}
    return manifest.write(folder, KIND, counts=counts, made_from=made_from)


def _terms(captions: Captions, strategy: Tokeniser) -> Iterator[tuple[list[str], list[set[Term]]]]:
    for batch in captions.batches(captions.aspects[0]):
        yield batch.item_ids, strategy.terms(batch.captions)


def _count(captions: Captions, strategy: Tokeniser) -> Counter[Term]:
    counts: Counter[Term] = Counter()
    for _, terms in _terms(captions, strategy):
        for found in terms:
            counts.update(found)
    return counts


@dataclass
class _Tally:
    """Counts that the coverage report is made of."""

    items: int = 0
    covered: int = 0
    tokens: int = 0
    terms: int = 0
    unknown: int = 0

    def add(self, terms: list[set[Term]], tokens: list[list[int]], vocabulary: Vocabulary) -> None:
        """Count items: their terms, and the tokens those became."""
        self.items += len(tokens)
        self.covered += sum(bool(t) for t in tokens)
        self.tokens += sum(map(len, tokens))
        self.terms += sum(map(len, terms))
        self.unknown += sum(term not in vocabulary.ids for found in terms for term in found)

    def coverage(self, strategy: Tokeniser, vocabulary: Vocabulary) -> tables.Coverage:
        """Return the report."""
        top = sorted(vocabulary.entries, key=lambda e: (-e.count, e.id))[:_TOP]
        return tables.Coverage(
            tokenizer=strategy.identity(),
            vocabulary_size=vocabulary.size,
            tokens_in_use=len(vocabulary.entries),
            items=self.items,
            items_with_tokens=self.covered,
            coverage=self.covered / self.items,
            tokens_per_item=self.tokens / self.items,
            unknown_share=self.unknown / max(self.terms, 1),
            top_tokens=[tables.TopToken(id=e.id, token=e.token, count=e.count) for e in top],
        )


def _report(report: Reporter, captions: Captions, tally: _Tally, vocabulary: Vocabulary) -> None:
    metrics = {"vocabulary_size": float(vocabulary.size)}
    report.update(Progress(total=captions.count, done=tally.items, metrics=metrics))


def _outcome(uri: str, done: manifest.Manifest, coverage: tables.Coverage) -> Outcome:
    metrics = {
        "vocabulary_size": float(coverage.vocabulary_size),
        "coverage": coverage.coverage,
        "tokens_per_item": coverage.tokens_per_item,
    }
    progress = Progress(total=coverage.items, done=coverage.items, metrics=metrics)
    return Outcome(result="Succeeded", uri=uri, digest=done.digest, progress=progress)
