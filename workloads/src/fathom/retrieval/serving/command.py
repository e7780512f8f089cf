"""`fathom retrieve`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fathom import cpus, memory, storage
from fathom.errors import InvalidInputError
from fathom.retrieval.following import Following
from fathom.retrieval.gallery import open_gallery
from fathom.retrieval.index import Index
from fathom.retrieval.retriever import Encoders, Retriever, searched_spaces

if TYPE_CHECKING:
    from fathom.backfill.compatibility import Compatibility
    from fathom.retrieval.encoders import Encoder
    from fathom.retrieval.parts import Floats, Space
    from fathom.retrieval.serving.predictor import RetrieverModel

_log = logging.getLogger("fathom")
#: Said in place of an encoder's URI: queries come as vectors.
NO_ENCODER = "none"


@dataclass(frozen=True)
class Options:
    """What is served, and how; see `fathom retrieve --help`."""

    gallery: str
    compatibility: str = ""
    encoder: str = ""
    model_name: str = "retriever"
    model_version: str = ""
    port: int = 8080
    poll_seconds: float = 2.0
    probes: int = 0
    database: str = ""


def model(options: Options) -> tuple[RetrieverModel, Following]:
    """Return the retriever, loaded and tried, and what keeps it up to date.

    Raises:
        InvalidInputError: gallery, compatibility or encoder are missing, damaged, or of other models.
    """
    gallery = open_gallery(options.gallery)
    info = gallery.info
    compatibility = _compatibility(options.compatibility)
    encoders = _encoders(options, info.new, info.old, compatibility)
    spaces = searched_spaces(info, compatibility)
    old_vector = _as_it_is if compatibility is None else compatibility.old_vector
    if options.database:
        from fathom.retrieval.stores import Mirror, open_database

        store = Mirror(open_database(options.database, spaces["old"], spaces["new"]))
    else:
        store = Index(spaces, info.items, probes=options.probes)
    following = Following(gallery, store, old_vector)
    following.load()
    version = options.model_version or info.new.model.removeprefix("sha256:")[:8]
    from fathom.retrieval.serving.predictor import RetrieverModel

    retriever = Retriever(info, store, compatibility, encoders)
    found = RetrieverModel(options.model_name, version, retriever, cpus.available())
    found.load()
    _log.info("%s %s: %s items, β = %.3f", options.model_name, version, store.sizes(), retriever.progress)
    return found, following


def retrieve(options: Options) -> None:
    """Serve until told to stop.

    Raises:
        InvalidInputError: there is nothing to serve.
    """
    found, following = model(options)
    # Loading needed more than serving does.
    memory.give_back()
    from fathom.retrieval.serving.openapi import document
    from fathom.retrieval.serving.predictor import Endpoints
    from fathom.serving.server import HttpServer

    Watch(following, partial(_tell, found), options.poll_seconds).start()
    about = partial(document, found.name, found.version)
    HttpServer(
        found, Endpoints(found), found.metrics, version=found.version, about=about, port=options.port
    ).run()


class Watch(threading.Thread):
    """Looks at the gallery every few seconds, until the process ends."""

    def __init__(self, following: Following, told: Callable[[Following], None], seconds: float) -> None:
        super().__init__(name="gallery", daemon=True)
        self._following, self._told, self._seconds = following, told, seconds
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look, and tell."""
        while not self._stopped.wait(self._seconds):
            try:
                self._told(self._following)
            except Exception:
                # What is searched stays as it is; the next look may go well.
                _log.exception("the gallery could not be looked at")

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()


def _tell(found: RetrieverModel, following: Following) -> None:
    look = following.look()
    found.metrics.looked(look)
    if look.came or look.went:
        found.metrics.sizes(found.retriever.store.sizes(), following.progress)
        _log.info("%d parts came, %d went: β = %.3f", look.came, look.went, following.progress)


def _compatibility(uri: str) -> Compatibility | None:
    if not uri:
        return None
    from fathom.backfill.compatibility import Compatibility

    return Compatibility.load(storage.existing(uri))


def _encoders(options: Options, new: Space, old: Space, compatibility: Compatibility | None) -> Encoders:
    uri = options.encoder or new.encoder
    if not uri or uri == NO_ENCODER:
        return Encoders()
    needs_old = compatibility is not None and compatibility.needs_old_query
    if needs_old and not old.encoder:
        raise InvalidInputError(
            "NoEncoder",
            f"{options.gallery}: this method embeds queries with the old model too, and the gallery does "
            "not say "
            f"where that is; serve vectors (--encoder {NO_ENCODER}), or choose a method with a query "
            "transform",
        )
    return Encoders(_opened(uri), _opened(old.encoder) if needs_old else None)


def _opened(uri: str) -> Encoder:
    # torch takes seconds to import: a wrong gallery should be told before.
    from fathom.retrieval.encoders import open_encoder

    return open_encoder(uri)


def _as_it_is(vectors: Floats) -> Floats:
    return vectors
