"""Another table without a rollout: a file is looked at now and then, and the table that it names is taken."""

from __future__ import annotations

import logging

from fathom import storage
from fathom.errors import InvalidInputError
from fathom.interests import current
from fathom.interests.current import Current
from fathom.serendipity.table import Table
from fathom.serving.guiding import Guiding
from fathom.serving.scoring import Scorer

_log = logging.getLogger("fathom")


class Guides:
    """Keeps what guides `scorer` in step with the folder at `uri`."""

    def __init__(self, scorer: Scorer, uri: str) -> None:
        self._scorer, self._uri = scorer, uri
        self._seen: Current | None = None
        #: What became of the tables seen so far: taken, refused.
        self.results = {"taken": 0, "refused": 0}

    def look(self) -> bool:
        """Guide by what the folder names if that is another table, or another share; return whether it was.

        A table that cannot be used is refused with a sentence in the log, and the one before stays.
        """
        try:
            named = current.read(storage.resolve(self._uri))
        except (InvalidInputError, OSError) as error:
            _log.warning("guide: %s cannot be read now: %s", self._uri, error)
            return False
        if named is None or named == self._seen:
            return False
        try:
            self._take(named)
        except InvalidInputError as error:
            _log.error("guide: refused: %s", error)
            self.results["refused"] += 1
        except OSError as error:
            _log.warning("guide: %s cannot be read now: %s", named.table, error)
            return False
        else:
            _log.info("guide: %s, %s, share %s", named.table, named.digest, named.explore.share)
            self.results["taken"] += 1
        self._seen = named
        return True

    def _take(self, named: Current) -> None:
        table = Table.read(storage.resolve(named.table))
        if table.version != named.digest:
            raise InvalidInputError(
                "OtherTable",
                f"{named.table}: is {table.version}, {named.digest} was published; publish again",
            )
        self._scorer.guiding = Guiding(table, named.explore)
