"""The engine for pods with GPUs whose image holds vLLM, which batches and guides decoding by itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, Self

import torch

from fathom.captioning.engines import Answer, Finish, Prepared, Question, Result, UnansweredError, one_line
from fathom.captioning.engines.asking import answer_all, halving
from fathom.captioning.engines.structured import checked
from fathom.captioning.models import checkpoint
from fathom.captioning.models.checkpoint import Checkpoint
from fathom.captioning.models.markup import Markup
from fathom.captioning.models.prompting import with_times
from fathom.errors import InvalidInputError
from fathom_api.captioning import CaptionModel

_RECIPE: Final = "vllm-1"
#: Questions handed over at once; vLLM runs as many of them together as its memory allows.
_BATCH: Final = 256
_DTYPES: Final = {"Auto": "auto", "Float32": "float32", "BFloat16": "bfloat16", "Float16": "float16"}
_MOST_FRAMES: Final = 64


class VllmEngine:
    """Answers through `vllm.LLM.chat`. Written against vLLM 0.12 and later; GPUs only."""

    concurrency = 1

    def __init__(self, found: Checkpoint, model: CaptionModel, vllm: Any, markup: Markup) -> None:
        """Take a checkpoint, the module `vllm`, and the markup of the checkpoint's tokenizer."""
        self.digest = found.digest
        self._found = found
        self._settings = model
        self._vllm = vllm
        self._markup = markup
        self._cleaning = threading.Lock()

    @classmethod
    def of(cls, model: CaptionModel) -> Self:
        """Return the engine for the checkpoint that `model` names, fetched if need be.

        Raises:
            InvalidInputError: the image lacks vLLM, or there is no such checkpoint.
        """
        try:
            import vllm  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise InvalidInputError(
                "NoVllm",
                f"engine VLLM: this image lacks vLLM ({error}); name one that has it in spec.template.image, "
                "or use the engine Transformers",
            ) from error
        found = checkpoint.find(model)
        return cls(found, model, vllm, Markup(checkpoint.open_processor(found, model)))

    @property
    def decoding(self) -> str:
        """Return what decides the text: engine, recipe and number format."""
        dtype = _DTYPES[self._settings.dtype]
        how = {"decoding": _RECIPE, "dtype": dtype, "engine": "VLLM"}
        samples = self._settings.samples
        return json.dumps(how | ({"samples": samples} if samples else {}), sort_keys=True)

    def clean(self, text: str) -> str:
        """Return `text` without what this model's tokenizer takes for markup."""
        with self._cleaning:
            return self._markup.clean(text)

    def prepare(self, question: Question) -> Prepared:
        """Return the conversation that asks `question`."""
        frames = question.clip.frames
        content: list[dict[str, Any]] = [{"type": "image_pil", "image_pil": frame} for frame in frames]
        prompt = with_times(question.prompt, question.clip.times)
        conversation = [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}]
        nbytes = sum(3 * frame.width * frame.height for frame in frames)
        return Prepared(question=question, group="chat", inputs=conversation, nbytes=nbytes)

    def preparer(self) -> None:
        """Return nothing: most of the time is spent waiting, so threads will do."""

    def batch_size(self, group: Hashable) -> int:
        """Return how many questions are handed to vLLM at once."""
        return self._settings.batch_size or _BATCH

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        """Answer `batch`; a question that vLLM refuses does not keep the others.

        Raises:
            InvalidInputError: vLLM cannot open the model.
        """
        return halving(batch, self._generate, _refusal)

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        """Prepare and answer any questions, in their order."""
        return answer_all(self, questions)

    @cached_property
    def _llm(self) -> Any:
        try:
            return self._vllm.LLM(
                model=str(self._found.path),
                dtype=_DTYPES[self._settings.dtype],
                trust_remote_code=self._settings.trust_remote_code,
                tensor_parallel_size=torch.cuda.device_count() if self._settings.spread else 1,
                enforce_eager=not self._settings.compile,
                limit_mm_per_prompt={"image": _MOST_FRAMES},
                seed=0,
            )
        except (ValueError, KeyError, ImportError) as error:
            raise InvalidInputError(
                "UnusableModel", f"{self._settings.place}: vLLM cannot open it: {error!s:.500}"
            ) from error

    def _generate(self, batch: Sequence[Prepared]) -> list[Result]:
        start = time.perf_counter()
        outputs = self._chat(batch, {"temperature": 0.0})
        drawn: list[tuple[str, ...] | None] = [None] * len(batch)
        if n := self._settings.samples:
            # vLLM finds the prompts and pictures that it has just read in its cache.
            seeds = [{"temperature": 1.0, "n": n, "seed": prepared.question.seed} for prepared in batch]
            more = self._chat(batch, *seeds)
            drawn = [tuple(one_line(o.text) for o in output.outputs) for output in more]
        each = (time.perf_counter() - start) * 1000 / len(batch)
        return [
            checked(prepared.question, replace(_answer(output.outputs[0], each), samples=samples))
            for prepared, output, samples in zip(batch, outputs, drawn, strict=True)
        ]

    def _chat(self, batch: Sequence[Prepared], *how: dict[str, Any]) -> Any:
        """Ask `batch`, each question in its way of `how`, or all in the only one."""
        ways = how if len(how) == len(batch) else how * len(batch)
        return self._llm.chat(
            [prepared.inputs for prepared in batch],
            sampling_params=[self._sampling(p.question, **way) for p, way in zip(batch, ways, strict=True)],
            use_tqdm=False,
        )

    def _sampling(self, question: Question, **how: Any) -> Any:
        guided = None
        if question.json_schema is not None:
            guided = self._vllm.sampling_params.StructuredOutputsParams(json=question.json_schema)
        return self._vllm.SamplingParams(max_tokens=question.max_new_tokens, structured_outputs=guided, **how)


def _answer(output: Any, milliseconds: float) -> Answer:
    finish: Finish = "Length" if output.finish_reason == "length" else "Stop"
    return Answer(one_line(output.text), len(output.token_ids), finish, milliseconds)


def _refusal(error: Exception, size: int) -> UnansweredError | None:
    """Return what `error` means for a question: vLLM raises ValueError for a prompt it cannot take."""
    if isinstance(error, ValueError):
        return UnansweredError("RefusedByModel", f"vLLM says: {error!s:.500}")
    return None
