"""What a fine-tuned captioner writes of media it has not learned, beside what people wrote of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from PIL.Image import Image
from pydantic import Field

from fathom.captioning.engines import Question, Result, UnansweredError
from fathom.captioning.engines.transformers_engine import TransformersEngine
from fathom.captioning.media import Clip
from fathom.captioning.tuning import metrics
from fathom.captioning.tuning.pairs import Pairs, Part
from fathom_api.captioning import CaptionModel
from fathom_api.meta import StatusModel

#: Media captioned at once.
BATCH: Final = 8
_EXAMPLES: Final = 12
#: Captions of people's shown with an example.
_PEOPLE: Final = 5
Write = Callable[[list[Image]], list[str]]


class Example(StatusModel):
    """A medium, what the model wrote of it, and what people wrote."""

    media_sha256: str = Field(description="Digest of the medium's bytes, hexadecimal.")
    written: str = Field(description="The model's caption.")
    people: list[str] = Field(description="Captions of people's, five at most.")
    token_f1: float = Field(description="F1 of the words against the closest of all of people's, 0 to 1.")


class Examination(StatusModel):
    """How held-out media were captioned."""

    media: int = Field(description="How many media were captioned.")
    references: int = Field(description="Captions of people's they were compared with.")
    cider: float = Field(description="CIDEr-D, 0 to 10.")
    bleu4: float = Field(description="BLEU-4, 0 to 100.")
    token_f1: float = Field(description="F1 of the words, 0 to 1.")
    examples: list[Example] = Field(description="Some of the media, chosen by chance.")

    def numbers(self) -> dict[str, float]:
        """Return the metrics by name."""
        return {"cider": self.cider, "bleu4": self.bleu4, "token_f1": self.token_f1}


def writer(model: Any, processor: Any, asked: CaptionModel) -> Write:
    """Return what captions pictures with `model` as a CaptionJob would that asks as `asked` does."""
    question = asked.questions()[0]
    limit = question.max_new_tokens or asked.max_new_tokens
    engine = TransformersEngine.around(model.eval(), processor, asked)

    def write(images: list[Image]) -> list[str]:
        clips = [Clip((image,), ()) for image in images]
        results = engine.answer([Question(question.name, question.prompt, clip, limit) for clip in clips])
        return [_text(result) for result in results]

    return write


def _text(result: Result) -> str:
    if isinstance(result, UnansweredError):
        # Scores without some of the media would be of other media than they say.
        raise result
    return result.text


def steps(held_out: Part, most: int) -> int:
    """Return how often `examine` will call `tick`."""
    return -(-min(len(held_out.by_medium()), most) // BATCH)


def examine(
    write: Write, pairs: Pairs, held_out: Part, *, most: int, seed: int, tick: Callable[[], None]
) -> Examination | None:
    """Caption `most` of the media held out or fewer, chosen by `seed`, and compare; None of none."""
    people = held_out.by_medium()
    chosen = sorted(people, key=lambda medium: _draw(pairs.sha256(medium), seed))[:most]
    if not chosen:
        return None
    written: list[str] = []
    for start in range(0, len(chosen), BATCH):
        written += write([pairs.image(medium) for medium in chosen[start : start + BATCH]])
        tick()
    references = [people[medium] for medium in chosen]
    scores = metrics.score(written, references)
    return Examination(
        media=len(chosen),
        references=sum(map(len, references)),
        cider=scores.cider,
        bleu4=scores.bleu4,
        token_f1=scores.token_f1,
        examples=[
            _example(pairs.sha256(medium), text, texts)
            for medium, text, texts in zip(chosen[:_EXAMPLES], written, references, strict=False)
        ],
    )


def _example(sha256: str, written: str, people: list[str]) -> Example:
    f1 = metrics.token_f1(metrics.words(written), map(metrics.words, people))
    return Example(media_sha256=sha256, written=written, people=people[:_PEOPLE], token_f1=f1)


def _draw(sha256: str, seed: int) -> bytes:
    # Another choice than that of what is held out, which took the media with the lowest draws.
    return hashlib.blake2b(f"{seed}:examined:{sha256}".encode(), digest_size=8).digest()
