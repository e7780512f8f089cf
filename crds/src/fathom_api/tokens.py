"""How captions become tokens, the categorical features of an item."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fathom_api.meta import ApiModel
from fathom_api.types import ModelUri


class SemanticIds(ApiModel):
    """Residual-quantised codes of the caption's embedding, and the prefix n-grams over them."""

    levels: int = Field(default=3, ge=1, le=8, description="Codes of one item, from coarse to fine.")
    codebook_size: int = Field(default=256, ge=2, le=65_536, description="Codes of one level.")
    encoder: ModelUri | None = Field(
        default=None,
        description="Encoder of text in Hugging Face's format. Unset, captions are embedded by latent "
        "semantic analysis of their words.",
    )


class CaptionFeatures(ApiModel):
    """How captions become tokens, the categorical features of an item."""

    tokenizer: Literal["WordNgram", "HashedNgram", "KeyPhrase", "ModelTokens", "SemanticIds"] = Field(
        default="WordNgram",
        description="WordNgram: word n-grams that occur in at least `minCount` captions. "
        "HashedNgram: word n-grams hashed to `vocabularySize` buckets. "
        "KeyPhrase: runs of words between stop words and punctuation that say most about their caption. "
        "ModelTokens: the caption model's own tokens. "
        "SemanticIds: prefix n-grams over residual-quantised codes of the caption's embedding.",
    )
    max_ngram: int = Field(default=2, ge=1, le=4, description="Longest n-gram or key phrase, in words.")
    min_count: int = Field(default=5, ge=1, description="Captions an n-gram must occur in to get an id.")
    vocabulary_size: int = Field(
        default=50_000, ge=2, le=100_000_000, description="Most ids, or buckets (HashedNgram)."
    )
    max_tokens_per_item: int = Field(default=32, ge=1, le=1024, description="Tokens kept of one item.")
    stop_words: Literal["None", "Auto", "de", "en", "es", "fr", "it", "nl", "pt"] = Field(
        default="None",
        description="Language whose most common words are left out; Auto takes the one most captions are in "
        "(for KeyPhrase, None does too).",
    )
    hashes: int = Field(
        default=1, ge=1, le=2, description="Buckets of one n-gram (HashedNgram); two tell collisions apart."
    )
    semantic_ids: SemanticIds = Field(
        default_factory=SemanticIds, description="The codes (`tokenizer: SemanticIds`)."
    )
