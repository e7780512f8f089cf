"""The thread that looks for new items: it tells what it found, and no failure ends it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fathom import manifest
from fathom.ranking import overlay
from fathom.ranking.scorer import Bundle, load
from fathom.serving.reload import Reload, Watch

#: Seconds after which a test gives up; none takes that long.
PATIENCE = 60


@contextmanager
def watching(reload: Reload) -> Generator["Queue[dict[str, int]]", None, None]:
    """Yield what is told while a thread watches."""
    told: Queue[dict[str, int]] = Queue()
    watch = Watch(reload, lambda seen: told.put(dict(seen.results)), 0.001)
    watch.start()
    try:
        yield told
    finally:
        watch.stop()
        watch.join(PATIENCE)
    assert not watch.is_alive()


def put(folder: Path, served: Bundle, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / overlay.ITEMS).open("wb") as file:
        pq.write_table(pa.table({"item_id": list(names)}), file)
    digest = overlay.schema_digest(served.info.features)
    manifest.write(folder, overlay.KIND, counts={}, made_from={overlay.SCHEMA: digest})


def test_items_that_come_while_it_watches_can_be_ranked(folder: Path, tmp_path: Path) -> None:
    served = load(folder)
    with watching(Reload(served, str(tmp_path / "items"))) as told:
        put(tmp_path / "items", served, "first")
        assert told.get(timeout=PATIENCE) == {"taken": 1, "refused": 0}
        assert served.item_ids[-1] == "first"
    assert told.empty(), "it is told once"


class Failing(Reload):
    """Fails once, with an error that nobody foresaw, then finds something."""

    looks = 0

    def look(self) -> bool:
        self.looks += 1
        if self.looks == 1:
            raise ZeroDivisionError
        return self.looks == 2


def test_a_failure_is_logged_and_it_looks_again(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(Failing(bundle, str(tmp_path))) as told:
        assert told.get(timeout=PATIENCE) == {"taken": 0, "refused": 0}
    assert "could not be looked at" in caplog.text
