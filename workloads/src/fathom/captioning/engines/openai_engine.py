"""The engine that asks a server that speaks OpenAI's chat completions: vLLM, SGLang, TGI, or a hosted one.

httpx and tenacity rather than OpenAI's own client: we send one kind of request, want its retries bounded by
one deadline, and read nothing from the environment but the one variable that holds our key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, Final, Self

import httpx
from PIL.Image import Image, Resampling

from fathom.captioning.engines import Prepared, Question, Result, UnansweredError
from fathom.captioning.engines.asking import Streak, answer_all
from fathom.captioning.engines.chat import Completion, Passing, read_completion, refuse
from fathom.captioning.engines.retrying import Retries
from fathom.captioning.engines.structured import checked
from fathom.captioning.media import Clip
from fathom.captioning.models.markup import clean_known
from fathom.captioning.models.prompting import with_times
from fathom.errors import InvalidInputError
from fathom_api.captioning import CaptionModel, Endpoint
from fathom_api.types import seconds

#: The operator puts the endpoint's Secret here.
ENV_KEY: Final = "FATHOM_API_KEY"
#: Pictures are sent no larger than models look at them, always as the same bytes.
LONGEST_EDGE: Final = 1024
JPEG_QUALITY: Final = 90
_RECIPE: Final = "chat-1"
#: Bytes of an answer that are read; a caption is a few hundred.
_MOST_BYTES: Final = 1 << 20
#: Questions that fail one after the other before it is the server that fails.
_FAILURES: Final = 16


class OpenAIEngine:
    """Asks `endpoint.concurrency` questions at once, each in a request of its own."""

    def __init__(
        self,
        endpoint: Endpoint,
        key: str | None,
        *,
        samples: int = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take where and as what to ask, and how many samples for; `sleep` waits between attempts."""
        self.digest = _digest(f"{endpoint.model}\n{endpoint.version}")
        self.concurrency = endpoint.concurrency
        self._endpoint = endpoint
        self._key = key
        self._samples = samples
        self._timeout = seconds(endpoint.timeout)
        self._retries = Retries(endpoint.max_retries, self._timeout, sleep)
        self._streak = Streak(max(_FAILURES, 2 * endpoint.concurrency))
        limits = httpx.Limits(
            max_connections=endpoint.concurrency, max_keepalive_connections=endpoint.concurrency
        )
        # A redirect could carry the key, or us, to where nobody allowed.
        self._client = httpx.Client(timeout=self._timeout, limits=limits, follow_redirects=False)

    @classmethod
    def of(cls, model: CaptionModel) -> Self:
        """Return the engine for the server that `model` names, with the key in `$FATHOM_API_KEY`.

        Raises:
            InvalidInputError: there must be a key and is none, or it cannot be sent.
        """
        assert model.endpoint is not None, "the API refuses an OpenAI model without endpoint"  # noqa: S101
        key = os.environ.get(ENV_KEY, "").strip() or None
        if key is None and model.endpoint.api_key is not None:
            raise InvalidInputError(
                "NoApiKey", f"${ENV_KEY} is not set; put the Secret's key of model.endpoint.apiKey there"
            )
        if key is not None and not (key.isascii() and key.isprintable()):
            raise InvalidInputError("NoApiKey", f"${ENV_KEY} holds characters that no header may have")
        return cls(model.endpoint, key, samples=model.samples)

    @property
    def decoding(self) -> str:
        """Return what decides the text: engine, recipe, how pictures are sent."""
        picture = {"longestEdge": LONGEST_EDGE, "quality": JPEG_QUALITY}
        how = {"decoding": _RECIPE, "engine": "OpenAI", "picture": picture}
        # The server draws, each in its own way.
        return json.dumps(how | ({"samples": self._samples} if self._samples else {}), sort_keys=True)

    def clean(self, text: str) -> str:
        """Return `text` without the markup of well-known models: we do not have the server's tokenizer."""
        return clean_known(text)

    def prepare(self, question: Question) -> Prepared:
        """Return the body of the request for `question`; its pictures are let go."""
        pictures = [
            {"type": "image_url", "image_url": {"url": as_data_url(frame)}} for frame in question.clip.frames
        ]
        prompt = with_times(question.prompt, question.clip.times)
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": [*pictures, {"type": "text", "text": prompt}]}],
            "max_tokens": question.max_new_tokens,
            "temperature": 0,
        }
        if question.json_schema is not None:
            schema = {"name": question.aspect, "schema": question.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        content = json.dumps(body).encode()
        empty = replace(question, clip=Clip(frames=(), times=()))
        return Prepared(question=empty, group="request", inputs=content, nbytes=len(content))

    def preparer(self) -> None:
        """Return nothing: most of the time is spent waiting, so threads will do."""

    def batch_size(self, group: Hashable) -> int:
        """Return 1: the server makes the batches."""
        return 1

    def generate(self, batch: Sequence[Prepared]) -> list[Result]:
        """Ask each question of `batch` in turn, again and again where the server's refusal may pass.

        Raises:
            InvalidInputError: the server refuses our key, does not know the model, or every question.
            Passing: the server has been failing for long.
        """
        return [self._ask(prepared) for prepared in batch]

    def answer(self, questions: Sequence[Question]) -> list[Result]:
        """Ask all `questions`, as many at once as the endpoint allows."""
        return answer_all(self, questions)

    def _ask(self, prepared: Prepared) -> Result:
        began = time.monotonic()
        samples: tuple[str, ...] | None = None
        try:
            completion = self._retries.call(lambda: self._post(prepared.inputs))
            if self._samples:
                drawing = self._drawing(prepared)
                samples = self._retries.call(lambda: self._post(drawing)).texts()
        except UnansweredError as error:
            return self._refused(error)
        except Passing as error:
            if self._streak.failed():
                raise
            return UnansweredError("EndpointUnavailable", str(error), transient=True)
        self._streak.succeeded()
        try:
            answer = completion.answer((time.monotonic() - began) * 1000)
        except UnansweredError as error:
            return error
        return checked(prepared.question, replace(answer, samples=samples))

    def _drawing(self, prepared: Prepared) -> bytes:
        """Return the body of the request for samples; the server reads the pictures once for all of them."""
        body = json.loads(prepared.inputs)
        body |= {"n": self._samples, "temperature": 1, "seed": prepared.question.seed}
        return json.dumps(body).encode()

    def _refused(self, error: UnansweredError) -> UnansweredError:
        """Return the refusal of one question, unless the server has refused every one."""
        if self._streak.failed() and not self._streak.ever_succeeded:
            raise InvalidInputError(
                "EndpointRefuses", f"{self._endpoint.url} refuses every question; the last time: {error}"
            ) from error
        return error

    def _post(self, content: bytes) -> Completion:
        """Send one request and return what came back, all of it within the timeout.

        Raises:
            Passing: it may work another time.
            UnansweredError: the server refuses this question.
            InvalidInputError: the server refuses us.
        """
        url = f"{self._endpoint.url.rstrip('/')}/chat/completions"
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            with self._client.stream("POST", url, content=content, headers=headers) as response:
                data = self._read(response)
        except httpx.TransportError as error:
            raise Passing(f"{self._endpoint.url}: {type(error).__name__}: {error!s:.200}") from None
        text = data.decode(errors="replace")
        if self._key is not None:
            # Some servers repeat the key that they refuse.
            text = text.replace(self._key, "[key]")
        if response.status_code != 200:
            refuse(self._endpoint, response, text)
        return read_completion(text)

    def _read(self, response: httpx.Response) -> bytes:
        """Return the body; httpx bounds the time between two bytes, not that of all of them."""
        until = time.monotonic() + self._timeout
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > _MOST_BYTES:
                raise Passing(f"{self._endpoint.url}: an answer of more than {_MOST_BYTES:,} bytes")
            if time.monotonic() > until:
                raise Passing(f"{self._endpoint.url}: no whole answer in {self._timeout:g} s")
        return bytes(data)


def as_data_url(image: Image) -> str:
    """Return `image` as a JPEG in a `data:` URL, its longest edge no longer than `LONGEST_EDGE`."""
    small = image
    if max(image.size) > LONGEST_EDGE:
        small = image.copy()
        small.thumbnail((LONGEST_EDGE, LONGEST_EDGE), Resampling.LANCZOS)
    data = BytesIO()
    small.save(data, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
