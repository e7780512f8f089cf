"""Keys of captions: same media, question, model and decoding, same key, same caption."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from fathom.captioning.engines.structured import canonical, with_schema
from fathom_api.captioning import CaptionModel, Prompt, Source


@dataclass(frozen=True)
class Keys:
    """Makes the keys of captions of one model and one way to read media."""

    model_digest: str
    decoding: str
    reading: str

    @classmethod
    def of(cls, source: Source, model_digest: str, decoding: str) -> Keys:
        """Return the keys of captions of `source`; which frames of a video are seen is part of them."""
        video = source.video.model_dump(mode="json") if source.media_type == "Video" else None
        return cls(model_digest, decoding, json.dumps(video, sort_keys=True))

    def key(self, media_sha256: str, prompt: str, asked: Prompt) -> str:
        """Return the key of the answer to `asked`, filled in as `prompt`, about media with this digest."""
        schema = None if asked.json_schema is None else canonical(asked.json_schema)
        parts = (media_sha256, self.reading, prompt, self.model_digest, self.decoding)
        return _digest([*parts, asked.max_new_tokens, schema])


def seed_of(key: str) -> int:
    """Return the seed of the samples of the caption with this key; servers take no more than 31 bits."""
    return int(key[:8], 16) >> 1


def prompt_digest(asked: Prompt) -> str:
    """Return the digest of what is asked, before an item's texts are filled in."""
    return _digest(with_schema(asked.prompt, asked.json_schema))


def prompts_digest(model: CaptionModel) -> str:
    """Return one digest of all that is asked about an item, in any order."""
    return _digest(sorted([asked.name, prompt_digest(asked)] for asked in model.questions()))


def _digest(value: Any) -> str:
    # JSON keeps apart what plain joining would not: a prompt may hold any separator.
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
