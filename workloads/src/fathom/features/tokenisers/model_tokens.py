"""ModelTokens: the caption model's own tokens, special ones aside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fathom.errors import InvalidInputError
from fathom.features.counting import Ints
from fathom.features.sequences import APART, DIRECT, Sequences, Spool
from fathom.features.tokenisers.base import Batch, Before, Keyed, Learned
from fathom.features.vocabulary import FIRST, Terms
from fathom.storage import digest_bytes
from fathom_api.captioning import CaptionModel

NAME: Final = "ModelTokens"


@dataclass(frozen=True)
class ModelTokens:
    """Token i of the model has id FIRST + i."""

    tokenizer: Any

    def identity(self) -> dict[str, str]:
        """Return its name and a digest of the model's vocabulary."""
        known = json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        return {"tokenizer": NAME, "model_vocabulary": digest_bytes(known.encode())}

    def learn(self, captions: Callable[[], Iterator[Batch]], before: Before, scratch: Path) -> Learned:
        """Return the tokens in use."""
        spool = Spool(scratch / "tokens")
        for batch in captions():
            spool.write(batch.item_ids, self._scan(batch.captions))
        learned = Keyed.learn(spool, _keys)
        names = self.tokenizer.convert_ids_to_tokens(learned.keys.tolist())
        return Learned(
            meaning=self.identity(),
            terms=Terms([str(name) for name in names], learned.counts),
            corpus=spool,
            find=learned.find,
            fixed=FIRST + learned.keys,
            size=FIRST + len(self.tokenizer),
        )

    def _scan(self, captions: list[str]) -> Sequences:
        special = set(self.tokenizer.all_special_ids)
        encoded: Iterable[list[int]] = self.tokenizer(captions, add_special_tokens=False)["input_ids"]
        kept = [[token for token in tokens if token not in special] for tokens in encoded]
        offsets = np.concatenate([[0], np.cumsum([len(tokens) for tokens in kept])]).astype(np.int64)
        symbols = np.array([token for tokens in kept for token in tokens], np.int32)
        joints = np.full(len(symbols), DIRECT, np.uint8)
        joints[offsets[:-1][np.diff(offsets) > 0]] = APART
        return Sequences(offsets, symbols, joints)


def _keys(sequences: Sequences) -> list[tuple[Ints, Ints]]:
    return [(sequences.owners, sequences.symbols.astype(np.int64))]


def open_tokenizer(checkpoint: str, model: CaptionModel) -> Any:
    """Return the tokenizer of `model`, whose files are at `checkpoint`, a path or a name on the hub.

    Raises:
        InvalidInputError: it has none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            checkpoint, revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise InvalidInputError(
            "NoTokenizer",
            f"{checkpoint}: no tokenizer of a caption model there ({why}); "
            "correct model.uri, or use features.tokenizer WordNgram",
        ) from error
