"""Strategies that turn captions into tokens, a file each, behind the interface of `base`."""

from __future__ import annotations

from fathom.errors import InvalidInputError
from fathom.features.embedding import Encoder
from fathom.features.tokenisers.base import Tokeniser
from fathom.features.tokenisers.hashed_ngram import HashedNgram
from fathom.features.tokenisers.key_phrase import KeyPhrase
from fathom.features.tokenisers.model_tokens import ModelTokens, open_tokenizer
from fathom.features.tokenisers.semantic_ids import MOST_PREFIXES, SemanticIds
from fathom.features.tokenisers.word_ngram import WordNgram
from fathom_api.captioning import CaptionModel
from fathom_api.tokens import CaptionFeatures


def open_tokeniser(
    features: CaptionFeatures, model: CaptionModel, checkpoint: str, *, structured: bool
) -> Tokeniser:
    """Return the strategy that `features` names.

    Args:
        features: which strategy, and its parameters.
        model: the caption model, of which ModelTokens takes the tokenizer.
        checkpoint: path of that model, or its name on the hub.
        structured: captions are JSON: tokens are `key=value`. ModelTokens takes the text as it is.

    Raises:
        InvalidInputError: the model or the encoder that the strategy needs is not there.
    """
    match features.tokenizer:
        case "WordNgram":
            return WordNgram(features, structured)
        case "HashedNgram":
            return HashedNgram(features, structured)
        case "KeyPhrase":
            return KeyPhrase(features, structured)
        case "ModelTokens":
            return ModelTokens(open_tokenizer(checkpoint, model))
        case "SemanticIds":
            return _semantic_ids(features, model, structured=structured)


def _semantic_ids(features: CaptionFeatures, model: CaptionModel, *, structured: bool) -> SemanticIds:
    asked = features.semantic_ids
    if asked.codebook_size**asked.levels >= MOST_PREFIXES:
        raise InvalidInputError(
            "TooFine",
            f"semanticIds: {asked.codebook_size} codes on {asked.levels} levels make more prefixes than can "
            "be numbered; lower levels or codebookSize",
        )
    encoder = Encoder(asked.encoder, model) if asked.encoder else None
    return SemanticIds(features, encoder, structured)
