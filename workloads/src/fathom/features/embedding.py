"""Captions as vectors: by latent semantic analysis of their words, or by an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, Self

import numpy as np

from fathom.errors import InvalidInputError
from fathom.features.counting import Ints, distinct
from fathom.features.fields import Fields
from fathom.features.lexicon import Lexicon
from fathom.features.quantiser import Floats
from fathom_api.captioning import CaptionModel

#: Width of LSA's vectors.
WIDTH: Final = 64
#: Most words LSA knows; those in one caption only say nothing of others.
_WORDS: Final = 50_000
_FEWEST: Final = 2
_ENCODED: Final = 64


class Embedder(Protocol):
    """Captions to vectors."""

    def embed(self, captions: list[str]) -> Floats:
        """Return a vector of length 1 for each caption, float32 [n, width]; zeros where nothing is known."""
        ...


class Lsa:
    """Latent semantic analysis (Deerwester et al., 1990): the largest singular vectors of TF-IDF.

    Attributes:
        words: that it knows, in alphabetical order.
        projection: float32 [words, width]; the inverse document frequency is in it.
    """

    def __init__(self, words: Sequence[str], projection: Floats, *, structured: bool) -> None:
        self.words = list(words)
        self.projection = projection
        self._lexicon = Fields() if structured else Lexicon()
        self._rows = {word: row for row, word in enumerate(self.words)}
        self._row = np.empty(0, np.int64)

    @classmethod
    def learn(cls, captions: list[str], *, structured: bool, seed: int = 0) -> Self:
        """Learn from `captions`; JSON if `structured`."""
        lexicon = Fields() if structured else Lexicon()
        sequences = lexicon.scan(captions)
        owners, symbols = distinct((sequences.owners, sequences.symbols.astype(np.int64)))
        counts = np.bincount(symbols, minlength=len(lexicon.names))
        order = sorted(range(len(counts)), key=lambda s: (-counts[s], lexicon.names[s]))[:_WORDS]
        kept = sorted((s for s in order if counts[s] >= _FEWEST), key=lambda s: lexicon.names[s])
        rows = np.full(len(counts), -1, np.int64)
        rows[kept] = np.arange(len(kept))
        known = rows[symbols] >= 0
        weights = np.log((1 + len(captions)) / (1 + counts[kept])) + 1
        vectors = _singular(owners[known], rows[symbols[known]], weights, len(captions), seed)
        words = [lexicon.names[symbol] for symbol in kept]
        return cls(words, (weights[:, None] * vectors).astype(np.float32), structured=structured)

    def embed(self, captions: list[str]) -> Floats:
        """Return a vector for each caption."""
        sequences = self._lexicon.scan(captions)
        names = self._lexicon.names[len(self._row) :]
        self._row = np.append(self._row, np.array([self._rows.get(name, -1) for name in names], np.int64))
        owners, symbols = distinct((sequences.owners, sequences.symbols.astype(np.int64)))
        rows = self._row[symbols]
        owners, rows = owners[rows >= 0], rows[rows >= 0]
        vectors = np.zeros((len(captions), self.projection.shape[1]), np.float32)
        first = np.flatnonzero(np.append(True, owners[1:] != owners[:-1])) if len(owners) else owners
        if len(first):
            vectors[owners[first]] = np.add.reduceat(self.projection[rows], first)
        return _unit(vectors)


def _singular(owners: Ints, rows: Ints, weights: Any, captions: int, seed: int) -> Any:
    """Return the right singular vectors [words, width] of the captions' TF-IDF."""
    import torch

    if not len(weights):
        return np.zeros((0, 1))
    values = weights[rows]
    norms = np.sqrt(np.bincount(owners, values**2, minlength=captions))
    places = torch.from_numpy(np.stack([owners, rows]))
    values = torch.from_numpy((values / norms[owners]).astype(np.float32))
    size = (captions, len(weights))
    matrix = torch.sparse_coo_tensor(places, values, size, check_invariants=True).coalesce()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        most = min(captions, len(weights))
        _, _, vectors = torch.svd_lowrank(matrix, q=min(WIDTH + 8, most), niter=4)
    return vectors[:, : min(WIDTH, most)].numpy()


class Encoder:
    """An encoder in Hugging Face's format: the mean of its last hidden states."""

    def __init__(self, uri: str, model: CaptionModel) -> None:
        """Open the encoder at `uri`, fetched into the caption model's cache if need be.

        Raises:
            InvalidInputError: there is none, it has no safetensors, or transformers cannot open it.
        """
        import torch
        from transformers import AutoModel, AutoTokenizer

        from fathom.captioning.models import checkpoint

        found = checkpoint.find(model.model_copy(update={"uri": uri, "revision": "main"}))
        self.digest = found.digest
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(found.path, local_files_only=True)
            opened: Any = AutoModel.from_pretrained(found.path, use_safetensors=True, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            why = str(error).splitlines()[0]
            raise InvalidInputError(
                "UnusableEncoder",
                f"{uri}: transformers cannot open it as an encoder of text ({why}); correct "
                "features.semanticIds.encoder",
            ) from error
        self._model = opened.to(self._device).eval()

    def embed(self, captions: list[str]) -> Floats:
        """Return a vector for each caption. The same caption is encoded once."""
        different = sorted(set(captions), key=lambda text: (len(text), text))
        parts = [self._encode(different[at : at + _ENCODED]) for at in range(0, len(different), _ENCODED)]
        places = {text: place for place, text in enumerate(different)}
        vectors = _unit(np.concatenate(parts))[[places[text] for text in captions]]
        vectors[[not text.strip() for text in captions]] = 0
        return vectors

    def _encode(self, captions: list[str]) -> Floats:
        import torch

        most = min(self._tokenizer.model_max_length, 512)
        inputs = self._tokenizer(
            captions, padding=True, truncation=True, max_length=most, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return mean.float().cpu().numpy()


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
