"""The default engine: any image-text-to-text model of transformers, on a GPU or on CPUs."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Self

import torch

from fathom.captioning.engines import (
    Answer,
    Finish,
    Prepared,
    Question,
    Result,
    UnansweredError,
    one_line,
    recipe,
    sampling,
)
from fathom.captioning.engines.asking import Streak, answer_all, halving
from fathom.captioning.engines.collating import Buffers, collate, group_of, may_pad
from fathom.captioning.engines.greedy import new_tokens
from fathom.captioning.engines.sizes import BatchSizes, CpuRoom
from fathom.captioning.engines.structured import checked
from fathom.captioning.media import Clip
from fathom.captioning.models import checkpoint
from fathom.captioning.models.checkpoint import Checkpoint
from fathom.captioning.models.markup import Markup
from fathom.captioning.models.prompting import encode_clips, to_device, with_times
from fathom.captioning.preparing import Preparer, Processes
from fathom.errors import InvalidInputError
from fathom_api.captioning import CaptionModel

_LARGEST_ON_GPU: Final = 512
LARGEST_ON_CPU: Final = 64
#: So many pictures that crash the model one after the other are not the pictures' fault.
_CRASHES: Final = 8


class TransformersEngine:
    """Answers in batches of equal shape, so that an answer does not depend on what else is in its batch."""

    concurrency = 1

    def __init__(self, found: Checkpoint, model: CaptionModel, processor: Any, config: Any) -> None:
        """Take a checkpoint, its processor and config; the weights are read when they are first needed."""
        self.digest = found.digest
        self._found = found
        self._settings = model
        self._own = threading.local()
        self._processor = processor
        self._config = config
        self._device = checkpoint.device()
        self._streak = Streak(_CRASHES)
        gpu = self._device.type == "cuda"
        self._buffers = Buffers()
        self._sizes = BatchSizes(
            model.batch_size,
            largest=_LARGEST_ON_GPU if gpu else LARGEST_ON_CPU,
            roomy=lambda factor: gpu or self._room(factor),
        )

    @classmethod
    def of(cls, model: CaptionModel, found: Checkpoint | None = None) -> Self:
        """Return the engine for the checkpoint that `model` names, fetched if need be, or `found` already.

        Raises:
            InvalidInputError: there is no such checkpoint, or transformers cannot use it.
        """
        found = found or checkpoint.find(model)
        return cls(found, model, checkpoint.open_processor(found, model), checkpoint.config(found, model))

    @classmethod
    def around(cls, opened: Any, processor: Any, model: CaptionModel) -> Self:
        """Return the engine for a model that is open and lies nowhere, one just trained: it has no digest."""
        engine = cls(Checkpoint(Path(), ""), model, processor, opened.config)
        engine._ready(opened)
        return engine

    @property
    def decoding(self) -> str:
        """Return what decides the text: engine, recipe and number format; not batches, devices or threads."""
        return recipe.decoding(self._settings, gpu=self._device.type == "cuda")

    def clean(self, text: str) -> str:
        """Return `text` without what this model's tokenizer takes for markup."""
        if not hasattr(self._own, "markup"):
            self._own.markup = Markup(self._thread_processor())
        return self._own.markup.clean(text)

    def prepare(self, question: Question) -> Prepared:
        """Return the model's input for `question`, a batch of one on the CPU; its pictures are let go.

        Raises:
            UnansweredError: the processor refuses the pictures, or the prompt is too long.
            InvalidInputError: the model takes one picture, and there are more.
        """
        prompt = with_times(question.prompt, question.clip.times)
        try:
            inputs = encode_clips(self._thread_processor(), prompt, [list(question.clip.frames)])
        except (ValueError, IndexError, TypeError, OSError) as error:
            raise UnansweredError("RefusedByModel", f"its processor says: {str(error)[:500]}") from error
        self._check_length(inputs["input_ids"].shape[1], question.max_new_tokens)
        length, shapes = group_of(inputs, pad=question.varies and self._pads)
        return Prepared(
            # The pictures are in `inputs`, smaller; decoded ones would fill the memory.
            question=replace(question, clip=Clip(frames=(), times=())),
            group=(question.max_new_tokens, length, shapes),
            inputs=(length, inputs),
            nbytes=sum(tensor.nbytes for tensor in inputs.values()),
        )

    def preparer(self) -> Preparer | None:
        """Return processes that prepare, None for a model that lies nowhere."""
        return self._processes

    @cached_property
    def _processes(self) -> Processes | None:
        if not self._found.digest:
            return None
        return Processes(partial(TransformersEngine.of, self._settings, self._found))

    def batch_size(self, group: Hashable) -> int:
        """Return how many of `group` to answer at once: as asked for, or as has been found best so far."""
        return self._sizes.size(group)

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        """Answer `batch`, of one group; a question that the model cannot answer does not keep the others.

        Raises:
            InvalidInputError: transformers cannot open the model.
            RuntimeError: the model fails whatever it is asked, or the GPU does.
        """
        self._open()
        return halving(batch, self._generate, lambda error, size: self._refusal(error, batch[0].group, size))

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        """Prepare and answer any questions, in their order."""
        return answer_all(self, questions)

    def has_room(self, factor: float, replicas: int) -> bool:
        """Return whether batches may need `factor` times the memory, in each of so many replicas."""
        return self._room(factor, replicas)

    def _open(self) -> None:
        """Read the weights, once, before any batch: what fails here is no batch's fault."""
        try:
            _ = self._model, self._room
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise InvalidInputError(
                "ModelTooLarge",
                f"{self._settings.place}: its weights need more memory than there is; give the pods more, "
                "or several GPUs and model.spread",
            ) from error

    @cached_property
    def _model(self) -> Any:
        model = checkpoint.open_weights(self._found, self._settings, self._device).eval()
        if self._settings.compile and self._device.type == "cpu":
            # On GPUs transformers compiles models with a static cache itself.
            model.forward = torch.compile(model.forward, dynamic=True)
        return self._ready(model)

    def _ready(self, model: Any) -> Any:
        if model.generation_config.pad_token_id is None:
            model.generation_config.pad_token_id = self._processor.tokenizer.pad_token_id
        self.__dict__["_model"] = model.eval()
        return model

    @cached_property
    def _room(self) -> CpuRoom:
        # The weights are read first: they are no part of what a batch needs.
        _ = self._model
        return CpuRoom()

    @cached_property
    def _pads(self) -> bool:
        return may_pad(self._config)

    def _generate(self, batch: Sequence[Prepared]) -> list[Result]:
        start = time.perf_counter()
        limit = batch[0].question.max_new_tokens
        parts = [prepared.inputs[1] for prepared in batch]
        inputs = collate(parts, self._pad_token, batch[0].inputs[0], self._buffers)
        inputs = to_device(inputs, self._model)
        samples = self._settings.samples
        if samples:
            seeds = [prepared.question.seed for prepared in batch]
            said = sampling.new_tokens(self._model, inputs, limit, samples, seeds, **self._speed).cpu()
            new, drawn = said[:, 0], self._texts(said[:, 1:])
        else:
            new, drawn = new_tokens(self._model, inputs, limit, **self._speed).cpu(), [None] * len(batch)
        seconds = time.perf_counter() - start
        self._sizes.done(batch[0].group, len(batch), seconds)
        self._streak.succeeded()
        each = seconds * 1000 / len(batch)
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        rows = zip(batch, texts, new.tolist(), drawn, strict=True)
        return [checked(p.question, self._answer(text, row, each, more)) for p, text, row, more in rows]

    def _texts(self, drawn: torch.Tensor) -> list[tuple[str, ...]]:
        """Return the texts of each item's samples [B, samples, tokens]."""
        texts = self._processor.batch_decode(drawn.flatten(0, 1), skip_special_tokens=True)
        plain = [one_line(text) for text in texts]
        return [tuple(plain[at : at + drawn.shape[1]]) for at in range(0, len(plain), drawn.shape[1])]

    @property
    def _speed(self) -> dict[str, Any]:
        """Return the options that change how fast tokens come, and not which."""
        # A static cache alone is slower: attention runs over all of its length.
        return {"cache_implementation": "static"} if self._settings.compile else {"disable_compile": True}

    def _answer(
        self, text: str, row: list[int], milliseconds: float, samples: tuple[str, ...] | None
    ) -> Answer:
        ended = not self._ends.isdisjoint(row)
        tokens = sum(token not in self._special for token in row)
        finish: Finish = "Stop" if ended else "Length"
        return Answer(one_line(text), tokens, finish, milliseconds, samples)

    @cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(self._processor.tokenizer.all_special_ids)

    @cached_property
    def _ends(self) -> frozenset[int]:
        ends = self._model.generation_config.eos_token_id
        return frozenset(ends if isinstance(ends, list) else [ends])

    @property
    def _pad_token(self) -> int:
        return int(self._processor.tokenizer.pad_token_id or 0)

    def _refusal(self, error: Exception, group: Hashable, size: int) -> UnansweredError | None:
        """Return what `error` means for a question, or None where it is not the question's."""
        if out_of_memory(error):
            self._sizes.exhausted(group, size)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            return UnansweredError("OutOfMemory", f"alone it needs more memory than there is: {error!s:.300}")
        if not isinstance(error, ValueError | IndexError | RuntimeError):
            return None
        # After an error of its own, a GPU answers nothing any more.
        if isinstance(error, torch.AcceleratorError) or (size == 1 and self._streak.failed()):
            return None
        return UnansweredError("RefusedByModel", f"{type(error).__name__}: {error!s:.500}")

    def _check_length(self, prompt: int, new: int) -> None:
        longest = getattr(self._config.get_text_config(), "max_position_embeddings", None)
        if longest and prompt + new > longest:
            raise UnansweredError(
                "PromptTooLong",
                f"{prompt} tokens of prompt and {new} of answer, more than the model's {longest}; "
                "lower source.maxTextLength or source.video.frames",
            )

    def _thread_processor(self) -> Any:
        """Return this thread's processor: a tokenizer keeps its settings in itself while it works."""
        if not hasattr(self._own, "processor"):
            self._own.processor = copy.deepcopy(self._processor)
        return self._own.processor


def out_of_memory(error: Exception) -> bool:
    """Return whether `error` says that memory did not suffice; on a CPU it has no type of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
