"""Questions about the items of a shard, and the rows that their answers and failures become."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fathom.captioning.engines import Answer, Question, UnansweredError
from fathom.captioning.keys import seed_of
from fathom.captioning.media import Clip
from fathom.captioning.media.unusable import UnusableMediaError
from fathom.captioning.store.parts import CaptionRow, ErrorRow
from fathom_api.captioning import Prompt

Failure = UnansweredError | UnusableMediaError


@dataclass
class ItemState:
    """How many of an item's questions are open, and how the others ended."""

    item_id: str
    left: int
    failed: bool = False
    made: bool = False


@dataclass(frozen=True)
class Asked:
    """One question about one item, filled in."""

    item: ItemState
    asked: Prompt
    prompt: str
    varies: bool
    sha256: str
    key: str

    def question(self) -> Question:
        """Return what the engine is asked, before its media are decoded."""
        return Question(
            self.asked.name,
            self.prompt,
            Clip((), ()),
            self.asked.max_new_tokens or 0,
            self.asked.json_schema,
            self.varies,
            seed_of(self.key),
        )

    def caption(self, answer: Answer, model: str, prompt: str, *, first: bool) -> CaptionRow:
        """Return the row of `answer`, by digests of model and prompt; only the `first` with it took time."""
        return CaptionRow(
            item_id=self.item.item_id,
            aspect=self.asked.name,
            caption=answer.text,
            key=self.key,
            media_sha256=self.sha256,
            model_digest=model,
            prompt_digest=prompt,
            tokens=answer.tokens,
            milliseconds=answer.milliseconds if first else 0.0,
            finish=answer.finish,
            made_at=time.time(),
            samples=None if answer.samples is None else list(answer.samples),
        )

    def error(self, error: Failure) -> ErrorRow:
        """Return the row of a failure: of the item itself where its media are at fault."""
        return ErrorRow(
            item_id=self.item.item_id,
            aspect="" if isinstance(error, UnusableMediaError) else self.asked.name,
            reason=error.reason,
            message=str(error),
            media_sha256=self.sha256,
            # A server's trouble is not the item's: without a key, the next run asks again.
            key=None if error.transient else self.key,
            made_at=time.time(),
        )
