"""`fathom backfill view`, `complete` and `drop`: what is in force, the last items, the old ones."""

from __future__ import annotations

import time
from collections.abc import Callable

from fathom.backfill.stages import reporting
from fathom.backfill.stages.embedding import BATCH, Encoder, embed, together
from fathom.backfill.stages.folders import Done, Folders
from fathom.backfill.stages.items import Seen, open_items
from fathom.backfill.stages.move import noted, opened, stored
from fathom.errors import InvalidInputError
from fathom.progress import Reporter
from fathom.retrieval import writing
from fathom.retrieval.gallery import Gallery
from fathom_api.backfill_tasks import BackfillCompleteTask, BackfillDropTask, BackfillViewTask
from fathom_api.progress import Outcome, Progress


def view(task: BackfillViewTask) -> Outcome:
    """Have the first `target` percent in force, of those that have moved.

    Raises:
        InvalidInputError: the old vectors are gone.
    """
    folders = Folders(task)
    gallery = folders.gallery()
    if task.target >= 100:
        writing.roll_forward(gallery)
    else:
        writing.roll_back(gallery, folders.order().limit(task.target))
    return Outcome(result="Succeeded", uri=folders.gallery_uri, digest=gallery.info.ids)


def complete(
    task: BackfillCompleteTask, encoder: Encoder, report: Reporter, clock: Callable[[], float] = time.time
) -> Outcome:
    """Embed what is new, has changed or could not be read before; check that nothing is missing; report.

    Raises:
        InvalidInputError: the gallery is for other models, or an item has been lost.
    """
    folders, items = Folders(task), open_items(task.gallery)
    gallery = folders.gallery()
    compatibility = opened(folders, gallery, encoder)
    ids, rows = items.ids()
    latest = {item.item_id: item.media_sha256 for item in folders.all_done()}
    # Notes are read in the order of their names.
    note = f"added-{int(clock() * 1000):015d}"
    changed, unread = list[Seen](), list[Done]()
    for seen in items.digests(ids, rows):
        if seen.sha256 is None and seen.id not in latest:
            unread.append(Done(seen.id, None, seen.reason, seen.message))
        elif seen.sha256 is not None and latest.get(seen.id) != seen.sha256:
            changed.append(seen)
    if unread:
        folders.save_done(f"{note}-unread", unread)
    added = failed = 0
    for start in range(0, len(changed), BATCH):
        batch = changed[start : start + BATCH]
        contents = items.contents([seen.id for seen in batch], [seen.row for seen in batch])
        found = together(embed(encoder, contents), encoder.dim)
        if found.seen:
            # Later than whatever was there: of two rows of one item the higher version is in force.
            writing.add(gallery, stored(compatibility, found, version=int(clock())), encoder.digest)
        folders.save_done(f"{note}-{start:08d}", noted(found))
        added, failed = added + len(found.seen), failed + len(found.unusable)
        report.update(Progress(total=len(changed), done=added, failed=failed))
    done = {item.item_id: item for item in folders.all_done()}
    missing = _missing(gallery, ids, {item.item_id for item in done.values() if item.media_sha256 is None})
    if missing:
        raise InvalidInputError(
            "NotMoved",
            f"{folders.uri}: {len(missing)} items are not in the new space, {missing[0]} among them; run "
            "`fathom backfill move` to its end first",
        )
    unusable = [item for item in done.values() if item.reason is not None]
    digest = reporting.write(task, folders, gallery, compatibility, unusable)
    metrics = {"added": float(added)}
    return Outcome(
        result="Succeeded",
        uri=folders.gallery_uri,
        digest=digest,
        progress=Progress(total=len(changed), done=added, failed=failed, metrics=metrics),
    )


def drop(task: BackfillDropTask) -> Outcome:
    """Remove the old vectors.

    Raises:
        InvalidInputError: an item has not moved, or its move is rolled back.
    """
    folders = Folders(task)
    gallery = folders.gallery()
    writing.drop_old(gallery)
    return Outcome(result="Succeeded", uri=folders.gallery_uri, digest=gallery.info.ids)


def _missing(gallery: Gallery, ids: list[str], unreadable: set[str]) -> list[str]:
    """Return the items of the catalogue that the new space has not and that could have been read."""
    moved: set[str] = set()
    for part in gallery.parts("new"):
        moved.update(gallery.read(part).ids.to_pylist())
    return [item_id for item_id in ids if item_id not in moved and item_id not in unreadable]
