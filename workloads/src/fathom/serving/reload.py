"""New items without a rollout: a folder is looked at now and then, and taken once its manifest changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import pyarrow as pa

from fathom import manifest, storage
from fathom.errors import InvalidInputError
from fathom.ranking import overlay
from fathom.ranking.items import Items
from fathom.ranking.scorer import Bundle

_log = logging.getLogger("fathom")


class Reload:
    """Keeps the items of `bundle` in step with the folder at `uri`."""

    def __init__(self, bundle: Bundle, uri: str) -> None:
        self._bundle, self._uri = bundle, uri
        self._own: Items = bundle.items
        self._seen = ""
        #: What became of the tables seen so far: taken, refused.
        self.results = {"taken": 0, "refused": 0}

    def look(self) -> bool:
        """Rank the folder's items if they are others than before; return whether anything was new.

        What cannot be ranked is refused with a sentence in the log, and what was ranked before stays.
        """
        try:
            folder = storage.resolve(self._uri)
            sealed = manifest.read(folder)
        except (InvalidInputError, OSError) as error:
            _log.warning("items: %s cannot be read now: %s", self._uri, error)
            return False
        if sealed is None or sealed.digest == self._seen:
            return False
        try:
            added = self._take(overlay.read(folder, self._bundle.info.features))
        except InvalidInputError as error:
            _log.error("items: refused: %s", error)
            self.results["refused"] += 1
        except OSError as error:
            # Perhaps half replaced: look again.
            _log.warning("items: %s cannot be read now: %s", self._uri, error)
            return False
        else:
            _log.info("items: %d new ones of %s, %s", added, self._uri, sealed.digest)
            self.results["taken"] += 1
        self._seen = sealed.digest
        return True

    def _take(self, table: pa.Table) -> int:
        """Rank the bundle's own items and those of `table` that are not among them."""
        names = table["item_id"].combine_chunks().cast(pa.string())
        new = pa.array(self._own.names.rows(names.to_pylist()) == 0)
        table = table.filter(new)
        rows = self._bundle.newcomers.rows(overlay.columns(table), table.num_rows)
        self._bundle.replace_newcomers(self._own, names.filter(new), rows)
        return table.num_rows


class Looks(Protocol):
    """Something that looks whether there is anything new."""

    def look(self) -> bool:
        """Take what is new; return whether anything was."""
        ...


LooksT = TypeVar("LooksT", bound=Looks)


class Watch(threading.Thread, Generic[LooksT]):
    """Looks every few seconds, until the process ends; `name` says in the log for what."""

    def __init__(
        self, reload: LooksT, told: Callable[[LooksT], None], seconds: float, name: str = "items"
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._reload, self._told, self._seconds = reload, told, seconds
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look, and tell."""
        while not self._stopped.wait(self._seconds):
            try:
                if self._reload.look():
                    self._told(self._reload)
            except Exception:
                _log.exception("%s: could not be looked at", self.name)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
