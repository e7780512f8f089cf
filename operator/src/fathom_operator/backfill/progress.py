"""How far a Backfill is: what its pods said goes into the status; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fathom_api import BackfillSpec, BackfillStatus
from fathom_api.backfill_status import BackfillItems, Estimate, Fit, Part, Probe, Stopped, Verdict
from fathom_api.backfill_tasks import COMPATIBILITY, GALLERY, REPORT
from fathom_api.captionjob import Artifact
from fathom_api.types import share
from fathom_operator.backfill.observe import BackfillSeen
from fathom_operator.claims import join
from fathom_operator.prices import Prices, is_paid_for
from fathom_operator.progress import Tally, tally
from fathom_operator.times import text
from fathom_operator.views import requested
from fathom_operator.work import Work, WorkState

#: How pods name what probes found: `probe/37/recall`.
_PROBE: Final = "probe/"
#: Shares are compared as numbers with so many digits: a limit of 2% is met by 0.02, however it was computed.
_DIGITS: Final = 9


def counts_of(work: Work, state: WorkState, seen: BackfillSeen, total: int = 0) -> Tally:
    """Return what the pods of `work` say together."""
    return tally(state, seen.reports, work.shards or 1, total)


def reached(status: BackfillStatus) -> float:
    """Return how much of the gallery the movers are done with, in percent; what cannot be read counts."""
    items = status.items
    return 100 * (items.moved + items.failed) / items.total if items.total else 0.0


def completed(status: BackfillStatus, part: Part) -> BackfillStatus:
    """Return `status` with a part done."""
    return status.model_copy(update={"completed": [*status.completed, part]})


def after(
    stage: str,
    spec: BackfillSpec,
    status: BackfillStatus,
    counts: Tally,
    digest: str,
    *,
    prices: Prices,
) -> BackfillStatus:
    """Return `status` with what a Job of `stage` left when it was complete; `digest` is of what it made."""
    metrics = counts.metrics or {}
    output = spec.output.uri
    match stage:
        case "estimate":
            return completed(
                status.model_copy(update={"estimate": _estimate(spec, metrics, prices)}), "estimate"
            )
        case "pair":
            items = status.items.model_copy(update={"total": int(metrics.get("items", counts.total))})
            gallery = Artifact(uri=join(output, GALLERY), digest=digest)
            return completed(status.model_copy(update={"items": items, "gallery": gallery}), "pair")
        case "fit":
            made = Artifact(uri=join(output, COMPATIBILITY), digest=digest)
            fit = _fit(metrics).model_copy(update={"compatibility": made})
            return completed(status.model_copy(update={"fit": fit}), "fit")
        case "complete":
            added = status.items.added + int(metrics.get("added", 0))
            items = status.items.model_copy(update={"added": added})
            report = {"report_uri": join(output, REPORT), "items": items}
            return completed(status.model_copy(update=report), "complete")
        case "drop":
            return completed(status, "drop")
        case _:
            return status


def moved(status: BackfillStatus, counts: Tally) -> BackfillStatus:
    """Return `status` with the items that the movers say have moved; they never become fewer."""
    before = status.items
    # Nobody heard how many there are where the pod that counted them was gone too soon.
    total = before.total or counts.total
    items = BackfillItems(
        total=total,
        moved=min(total, max(before.moved, counts.done)),
        failed=max(before.failed, counts.failed) if counts.heard < counts.parts else counts.failed,
        added=before.added,
    )
    return status.model_copy(update={"items": items})


def with_beta(status: BackfillStatus) -> BackfillStatus:
    """Return `status` with β: what has moved, as far as it is in force."""
    share_moved = status.items.moved / status.items.total if status.items.total else 0.0
    return status.model_copy(update={"beta": round(min(share_moved, status.view / 100), 4)})


def probed(spec: BackfillSpec, status: BackfillStatus, counts: Tally) -> BackfillStatus:
    """Return `status` with what the probes found, by percent, as far as they are in force."""
    if spec.probes is None:
        return status
    known = {probe.percent: probe for probe in status.probes}
    known |= {probe.percent: probe for probe in _probes(counts.metrics or {})}
    curve = [known[percent] for percent in sorted(known) if percent <= max(status.view, 0)]
    status = status.model_copy(update={"probes": curve[:101]})
    return status.model_copy(update={"verdict": _verdict(status)})


def stopped(spec: BackfillSpec, status: BackfillStatus) -> BackfillStatus:
    """Return `status` with a stop, if the probes found more than they may and nobody has overridden it."""
    if spec.probes is None or status.stopped is not None or not status.probes:
        return status
    limits, old = spec.probes.stop_if, status.probes[0].recall
    for probe in status.probes:
        why = ""
        drop = round(old - probe.recall, _DIGITS)
        if limits.negative_flip_rate and round(probe.negative_flip_rate, _DIGITS) > share(
            limits.negative_flip_rate
        ):
            why = (
                f"{probe.negative_flip_rate:.2%} of the probes are answered no more, "
                f"{limits.negative_flip_rate} may be"
            )
        elif limits.recall_drop and drop > share(limits.recall_drop):
            why = (
                f"recall is {probe.recall:.4f}, {old:.4f} with the old model, and may fall by "
                f"{limits.recall_drop}"
            )
        if why:
            found = Stopped(percent=probe.percent, message=f"at {probe.percent} %: {why}")
            return status.model_copy(update={"stopped": found, "verdict": "Worse"})
    return status


def paced(status: BackfillStatus, seen: BackfillSeen, counts: Tally) -> BackfillStatus:
    """Return `status` with speed and ETA of the movers; as before without news."""
    if counts.last_at is None or text(counts.last_at) == status.last_progress_time:
        return status
    return status.model_copy(
        update={
            "items_per_second": counts.per_second,
            "estimated_completion_time": counts.eta(seen.now),
            "last_progress_time": text(counts.last_at),
        }
    )


def _estimate(spec: BackfillSpec, metrics: Mapping[str, float], prices: Prices) -> Estimate:
    items, rate = int(metrics.get("items", 0)), metrics.get("per_second")
    speed = rate * spec.pace.parallelism if rate else None
    if spec.pace.items_per_second is not None:
        speed = min(speed or spec.pace.items_per_second, spec.pace.items_per_second)
    seconds = round(items / speed) if speed else None
    return Estimate(
        items=items,
        without_embedding=int(metrics.get("without_embedding", 0)),
        items_per_second=round(speed, 3) if speed else None,
        seconds=seconds,
        cost=prices.cost(_amounts(spec, seconds)) if seconds is not None else None,
    )


def _amounts(spec: BackfillSpec, seconds: int) -> dict[str, float]:
    """Return what the movers will ask for × the time they will take."""
    asked = requested(spec.template.resources.document())
    return {
        name: amount * seconds * spec.pace.parallelism for name, amount in asked.items() if is_paid_for(name)
    }


def _fit(metrics: Mapping[str, float]) -> Fit:
    def figure(name: str) -> float | None:
        return round(metrics[name], 4) if name in metrics else None

    return Fit(
        recall_old=figure("recall_old"),
        recall_merged=figure("recall_merged"),
        recall_new=figure("recall_new"),
        pairs=int(metrics.get("pairs", 0)),
    )


def _probes(metrics: Mapping[str, float]) -> list[Probe]:
    out: list[Probe] = []
    for name, recall in metrics.items():
        percent = name.removeprefix(_PROBE).removesuffix("/recall")
        if name == f"{_PROBE}{percent}/recall" and percent.isdecimal() and int(percent) <= 100:
            flips = metrics.get(f"{_PROBE}{percent}/flips", 0.0)
            out.append(
                Probe(percent=int(percent), recall=round(recall, 4), negative_flip_rate=round(flips, 4))
            )
    return out


def _verdict(status: BackfillStatus) -> Verdict | None:
    if len(status.probes) < 2 or status.probes[0].percent != 0:
        return status.verdict
    old, now = status.probes[0].recall, status.probes[-1].recall
    return "Better" if now > old else "NoWorse" if now == old else "Worse"
