"""What to do about each reason for which an item can fail."""

from __future__ import annotations

from typing import Final

_AGAIN: Final = "These may go well in the next run, which tries them again."
_FETCH: Final = "Fetch these files again; they end early or are damaged."
_LOOK: Final = "Look at one of the files: it is often an error page saved under a picture's name."
_CONVERT: Final = "Convert these files to JPEG, PNG or WebP, videos to MP4, or leave them out."
_PATHS: Final = "Check the paths: they are relative to the table, or absolute in its volume or bucket."
_ORIGINS: Final = "Name their scheme and host in source.allowedOrigins, if you trust it."
_ALLOWED: Final = (
    "Keep the media in the source's own volume or bucket, or name theirs in source.allowedOrigins."
)
_ANSWER: Final = (
    "Simplify the prompt's jsonSchema, or raise maxNewTokens: an answer that is cut off is no JSON."
)

ADVICE: Final = {
    "NoId": "Give every row an id, or name the column that holds it in source.idColumn.",
    "DuplicateId": "Keep one row of each id; the first one was captioned.",
    "NoMedia": "Fill the media column of these rows, or name another in source.mediaColumn.",
    "EmptyMedia": "These files hold 0 bytes: fetch them again.",
    "InvalidMedia": "The media column must hold bytes, paths or URIs: name another in source.mediaColumn.",
    "InvalidUri": "Correct these URIs in the media column.",
    "MediaNotFound": _PATHS,
    "NotAFile": _PATHS,
    "MediaForbidden": "Let the pods read these files: check credentials and permissions.",
    "MediaUnreachable": _AGAIN,
    "MediaTooLarge": "Store smaller files; what is larger than the limit is not read.",
    "OutsideVolume": _ALLOWED,
    "OriginNotAllowed": _ORIGINS,
    "HtmlInsteadOfMedia": "The server sent a page and no media: check the links; it may want a login.",
    "TooManyPixels": "Store smaller pictures: decoding these would take more memory than they are worth.",
    "TooFewPixels": "Leave out pictures of a pixel or two, which are placeholders.",
    "NotAnImage": _LOOK,
    "UnsupportedFormat": _CONVERT,
    "DamagedImage": _FETCH,
    "DamagedMedia": _FETCH,
    "DecoderDied": "Look at these files: decoding them killed a process, twice. More memory may help.",
    "DamagedVideo": _FETCH,
    "NotAVideo": "Look at one of the files, and check source.mediaType.",
    "NoVideo": "These files hold sound only: leave them out.",
    "NoFrames": _FETCH,
    "VideoTooLong": "Cut the videos, or raise source.video.maxDuration.",
    "VideoTooSlow": "Store these videos smaller: decoding them takes too long.",
    "OutOfMemory": "Give the pods more memory, or set a smaller model.batchSize. " + _AGAIN,
    "PromptTooLong": "Lower source.maxTextLength: the texts of these items do not fit the model's context.",
    "InvalidJson": _ANSWER,
    "NotTheSchema": _ANSWER,
    "NoAnswer": "The model said nothing: try another prompt.",
    "RefusedByModel": "The server took no such request: read the message.",
    "ContentFilter": "The server's content filter refused these items; another model may not.",
    "EndpointUnavailable": _AGAIN,
    "RateLimited": "Lower model.endpoint.concurrency. " + _AGAIN,
    "ServerError": _AGAIN,
    "Timeout": "Raise model.endpoint.timeout. " + _AGAIN,
    "ConnectionFailed": _AGAIN,
}
_OTHERWISE: Final = "Read the message; once the cause is gone, annotate the job with fathom.dev/retry."


def advice(reason: str) -> str:
    """Return what to do about `reason`."""
    return ADVICE.get(reason, _OTHERWISE)
