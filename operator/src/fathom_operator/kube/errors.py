"""What the API server says when it does not do what it was asked."""

from __future__ import annotations

import json


class KubeError(Exception):
    """A request was refused or got no answer; `status` is the HTTP status, 0 without an answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """Take the HTTP `status` and the `reason` and `message` of the API server's Status object."""
        super().__init__(f"{reason}: {message}" if reason else message)
        self.status = status
        self.reason = reason
        self.message = message


class NotFoundError(KubeError):
    """There is no such object, or no such kind."""


class ConflictError(KubeError):
    """The object exists already, or has changed since it was read."""


class InvalidError(KubeError):
    """The object is not valid; the message says which field."""


class GoneError(KubeError):
    """The resource version is too old to watch from."""


_BY_STATUS: dict[int, type[KubeError]] = {
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: InvalidError,
}


def error_of(status: int, body: bytes) -> KubeError:
    """Return the error that an answer with `status` and `body` means."""
    try:
        answer = json.loads(body)
        reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", body[:500].decode(errors="replace")
    kind = _BY_STATUS.get(status, KubeError)
    # Admission webhooks and some of the API server's own checks say 400 or 403 for what is wrong in the
    # object.
    if status == 400 or (status == 403 and "admission webhook" in message):
        kind = InvalidError
    return kind(status, reason, message)
