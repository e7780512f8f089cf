"""What a chat completions server answers, and what its refusals mean."""

from __future__ import annotations

from typing import Final, NoReturn

import httpx
from pydantic import BaseModel, ValidationError

from fathom.captioning.engines import Answer, Finish, UnansweredError, one_line
from fathom.captioning.engines.retrying import Passing, retry_after
from fathom.errors import InvalidInputError
from fathom_api.captioning import Endpoint

__all__ = ["Completion", "Passing", "read_completion", "refuse"]

_FINISH: Final[dict[str, Finish]] = {"stop": "Stop", "eos_token": "Stop", "length": "Length"}
#: The question's own fault: another picture or text may do.
_OF_THE_QUESTION: Final = frozenset({400, 413, 415, 422})
#: Timed out, in conflict, too early, too many: the same request may do later.
_PASSING: Final = frozenset({408, 409, 425, 429})


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    completion_tokens: int = 0


class Completion(BaseModel):
    """The part of a chat completion that we read."""

    choices: list[_Choice]
    usage: _Usage | None = None

    def answer(self, milliseconds: float) -> Answer:
        """Return the answer, which took `milliseconds`, waiting for the server included.

        Raises:
            UnansweredError: the model or a filter declined, or there is no text.
        """
        choice = self.choices[0]
        if choice.finish_reason == "content_filter":
            raise UnansweredError("ContentFilter", "the server's content filter withheld the answer")
        if choice.message.refusal:
            raise UnansweredError("RefusedByModel", f"the model declines: {choice.message.refusal[:300]}")
        finish = _FINISH.get(choice.finish_reason or "stop")
        if finish is None or choice.message.content is None:
            raise UnansweredError("NoAnswer", f"no text; the server ended with {choice.finish_reason!r:.50}")
        tokens = self.usage.completion_tokens if self.usage else 0
        return Answer(one_line(choice.message.content), tokens, finish, milliseconds)

    def texts(self) -> tuple[str, ...]:
        """Return the texts of all choices that have one: samples."""
        texts = (choice.message.content for choice in self.choices)
        return tuple(one_line(text) for text in texts if text is not None)


def read_completion(text: str) -> Completion:
    """Return the completion in `text`.

    Raises:
        Passing: it holds none; a proxy's error page, say, or an answer that was cut off.
    """
    try:
        completion = Completion.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise Passing(f"no chat completion came back: {where}: {first['msg'][:200]}") from None
    if not completion.choices:
        raise Passing("a chat completion without choices came back")
    return completion


def refuse(endpoint: Endpoint, response: httpx.Response, text: str) -> NoReturn:
    """Raise what a status other than 200, with the body `text`, means.

    Raises:
        Passing: it may work another time.
        UnansweredError: the server refuses this question.
        InvalidInputError: the server refuses us, whatever we ask.
    """
    status = response.status_code
    says = f"{endpoint.url} answers {status}: {' '.join(text.split())[:300]}"
    if status in _PASSING or status >= 500:
        raise Passing(says, wait=retry_after(response.headers.get("retry-after")))
    if status in _OF_THE_QUESTION:
        raise UnansweredError("RefusedByModel", says)
    if status in (401, 403):
        raise InvalidInputError("Unauthorized", f"{says}; check the Secret of model.endpoint.apiKey")
    if status == 404:
        raise InvalidInputError(
            "ModelNotFound", f"{says}; check model.endpoint.url (it ends with /v1 mostly) and .model"
        )
    raise InvalidInputError("EndpointRefuses", f"{says}; check model.endpoint.url")
