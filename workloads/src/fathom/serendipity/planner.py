"""The planner: a language model that is asked where a pair of clusters leads.

Any causal or image-text-to-text model in Hugging Face's format; it is told of pictures in the words of the
clusters' summaries, which a multimodal model made of them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import torch
from transformers import Cache, StoppingCriteriaList, StopStringCriteria
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from fathom.errors import InvalidInputError
from fathom.serendipity import prompts
from fathom.serendipity.answers import Answer
from fathom.serendipity.clusters import Cluster, Clusters
from fathom.serendipity.planning import Decoding, Pair
from fathom.serendipity.prompts import MARK, Style
from fathom.serendipity.trie import Trie

#: Most tokens of a thought.
THOUGHT: Final = 160
#: What a cache may be made of to be repeated as a whole for all beams.
_REPEATED: Final = {DynamicLayer, DynamicSlidingWindowLayer}
#: Beams for which there was no name left have a log-probability below this, or none.
_DEAD: Final = -1e6


class LanguagePlanner:
    """Plans with a language model over the names of `clusters`.

    Args:
        model: causal or image-text-to-text, in evaluation mode.
        tokenizer: of the model.
        model_digest: digest of its weights.
        recent: names of where users of a pair went lately, by pair of ids, to be put into the prompt
            (arXiv 2510.20260's refresh without training).
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        model_digest: str,
        clusters: Clusters,
        *,
        style: Style | None = None,
        decoding: Decoding | None = None,
        recent: Mapping[Pair, str] | None = None,
    ) -> None:
        self._model, self._tokenizer, self._model_digest = model, tokenizer, model_digest
        self.style, self.decoding = style or Style(), decoding or Decoding()
        self._clusters = {cluster.id: cluster for cluster in clusters.finest}
        self._recent = recent or {}
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self._mark = encode(tokenizer, MARK)
        self._trie = Trie(
            [encode(tokenizer, f" {cluster.name}") for cluster in clusters.finest], tokenizer.eos_token_id
        )

    def drawing(self, decoding: Decoding) -> Self:
        """Return the same planner, model and prompt, whose answers are drawn by `decoding`."""
        other = copy.copy(self)
        other.decoding = decoding
        return other

    @property
    def digest(self) -> str:
        """Digest of model, prompt, decoding, names and recent moves."""
        names = [(c.id, c.name, c.keywords, c.summary) for c in self._clusters.values()]
        d = self.decoding
        recent = sorted(self._recent.items())
        told = [self._model_digest, self.style.identity(), d.samples, d.constrained, names, recent]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def told(self, pair: Pair) -> str:
        """Return the whole prompt about a pair, in the model's own chat format where it has one."""
        first, second = self._clusters[pair[0]], self._clusters[pair[1]]
        asked = prompts.question(self.style, first, second, self._recent.get(pair))
        return as_prompt(self._tokenizer, asked, brief=self.style.brief)

    @torch.inference_mode()
    def plan(self, pairs: Sequence[Pair]) -> list[list[Answer]]:
        """Return what the model says about each pair, the likeliest first.

        Raises:
            InvalidInputError: a batch does not fit into the GPU's memory.
        """
        found: list[list[Answer]] = []
        for at in range(0, len(pairs), self.decoding.batch):
            prompt = [
                encode(self._tokenizer, self.told(pair)) for pair in pairs[at : at + self.decoding.batch]
            ]
            try:
                found += self._name(self._thought(prompt))
            except torch.OutOfMemoryError as error:
                raise InvalidInputError(
                    "OutOfMemory",
                    f"{len(prompt)} pairs at once do not fit into the GPU's memory: lower the batch",
                ) from error
        return found

    def _thought(self, asked: list[list[int]]) -> list[list[int]]:
        """Return the prompts with the model's thought and `MARK` behind them."""
        if not self.style.chain_of_thought:
            return [own + self._mark for own in asked]
        inputs = self._padded(asked)
        stop = StoppingCriteriaList([StopStringCriteria(self._tokenizer, [MARK])])
        out = self._model.generate(
            **inputs,
            max_new_tokens=THOUGHT,
            do_sample=False,
            stopping_criteria=stop,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        said = self._tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        thoughts = [text.split(MARK)[0].rstrip() for text in said]
        return [
            own + encode(self._tokenizer, f"{thought}\n") + self._mark
            for own, thought in zip(asked, thoughts, strict=True)
        ]

    def _name(self, asked: list[list[int]]) -> list[list[Answer]]:
        inputs = self._padded(asked)
        start, count = inputs["input_ids"].shape[1], self.decoding.samples
        allowed = (
            (lambda _, ids: self._trie.next(ids[start:].tolist())) if self.decoding.constrained else None
        )
        out = self._model.generate(
            **self._read(inputs, count),
            max_new_tokens=self._trie.longest + (0 if self.decoding.constrained else 8),
            do_sample=False,
            num_beams=count,
            num_return_sequences=count,
            length_penalty=0.0,
            early_stopping=False,
            prefix_allowed_tokens_fn=allowed,
            return_dict_in_generate=True,
            output_scores=count > 1,
            pad_token_id=self._tokenizer.pad_token_id,
            eos_token_id=self._tokenizer.eos_token_id,
        )
        said = self._tokenizer.batch_decode(out.sequences[:, start:], skip_special_tokens=True)
        scores = [0.0] * len(said) if count == 1 else out.sequences_scores.tolist()
        return [
            [Answer(said[n].strip(), math.exp(scores[n])) for n in range(at, at + count) if scores[n] > _DEAD]
            for at in range(0, len(said), count)
        ]

    def _read(self, inputs: dict[str, torch.Tensor], beams: int) -> dict[str, Any]:
        """Return `inputs` [n, T] with what the model keeps of all their tokens but the last, for all beams.

        Left to itself beam search reads a prompt once for each beam, which is most of what it does. Models
        that keep other things than keys and values are left to it.
        """
        if beams == 1:
            return inputs
        read = self._model.generate(
            **{name: values[:, :-1] for name, values in inputs.items()},
            max_new_tokens=1,
            do_sample=False,
            return_dict_in_generate=True,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        kept = read.past_key_values
        if not isinstance(kept, Cache) or any(type(layer) not in _REPEATED for layer in kept.layers):
            return inputs
        kept.batch_repeat_interleave(beams)
        return {**inputs, "past_key_values": kept}

    def _padded(self, asked: list[list[int]]) -> dict[str, torch.Tensor]:
        longest, pad = max(map(len, asked)), self._tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(own)) + own for own in asked])
        mask = torch.tensor([[0] * (longest - len(own)) + [1] * len(own) for own in asked])
        where = self._model.device
        return {"input_ids": ids.to(where), "attention_mask": mask.to(where)}


def encode(tokenizer: Any, text: str) -> list[int]:
    """Return the tokens of `text` and no others."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def as_prompt(tokenizer: Any, asked: str, *, brief: bool) -> str:
    """Return `asked` as the model was taught to be asked: in its chat template, if it has one."""
    if brief or not tokenizer.chat_template:
        return asked if brief else f"{asked}\n"
    message = [{"role": "user", "content": asked}]
    return tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)


def lesson(
    tokenizer: Any, style: Style, pair: tuple[Cluster, Cluster], target: Cluster
) -> tuple[list[int], list[int]]:
    """Return the tokens of a prompt about `pair` and of the answer a planner should give."""
    asked = as_prompt(tokenizer, prompts.question(style, *pair), brief=style.brief)
    thought = prompts.reasoning(style, *pair)
    answer = encode(tokenizer, thought) if thought else []
    answer += encode(tokenizer, MARK) + encode(tokenizer, f" {target.name}") + [tokenizer.eos_token_id]
    return encode(tokenizer, asked), answer
