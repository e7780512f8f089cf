"""The report of a backfill, from what its stages have left."""

from __future__ import annotations

from collections.abc import Sequence

from fathom.backfill.compatibility import Compatibility
from fathom.backfill.stages.folders import Done, Folders
from fathom.report.backfill import BackfillReport, Unread, render
from fathom.report.model import Fact
from fathom.retrieval.gallery import Gallery
from fathom.storage import appearing, digest_bytes
from fathom_api.backfill_tasks import BackfillCompleteTask


def write(
    task: BackfillCompleteTask,
    folders: Folders,
    gallery: Gallery,
    compatibility: Compatibility,
    unusable: Sequence[Done],
) -> str:
    """Write the report, which names the items that are `unusable`, and return its digest."""
    unread = [Unread(item.item_id, item.reason or "", item.message or "") for item in unusable]
    added = sum(gallery.rows(part) for part in gallery.parts("new") if part.chunk is None)
    moved = sum(gallery.rows(part) for part in gallery.parts("new") if part.chunk is not None)
    page = render(
        BackfillReport(
            curve=folders.curve(),
            k=task.probes.k if task.probes else 10,
            moved=moved,
            added=added,
            unread=unread,
            facts=_facts(gallery, compatibility),
        )
    )
    with appearing(folders.report) as path:
        path.write_text(page, encoding="utf-8")
    return digest_bytes(page.encode())


def _facts(gallery: Gallery, compatibility: Compatibility) -> list[Fact]:
    info, held_out = compatibility.info, compatibility.info.held_out
    facts = [
        Fact("old model", f"{gallery.info.old.encoder}, {gallery.info.old.dim} components"),
        Fact("its digest", gallery.info.old.model),
        Fact("new model", f"{gallery.info.new.encoder}, {gallery.info.new.dim} components"),
        Fact("its digest", gallery.info.new.model),
        Fact("items of the old gallery", f"{gallery.info.items:,}"),
        Fact("method", info.method),
        Fact("pairs learnt from", f"{info.pairs:,}"),
    ]
    named = {
        "old.map": "mAP on held-out pairs, old model",
        "0.5.map": "mAP on held-out pairs, half moved",
        "new.map": "mAP on held-out pairs, new model",
        "relative_gain": "share of the gain that is there on average while items move",
    }
    return facts + [Fact(text, f"{held_out[name]:.4f}") for name, text in named.items() if name in held_out]
