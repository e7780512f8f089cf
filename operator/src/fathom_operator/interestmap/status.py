"""The status of an InterestMap: which steps are done and what they counted, from their pods' words; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fathom_api import InterestMapStatus
from fathom_api.interestmap import Pairs, Step, StepStatus
from fathom_api.progress import Outcome, Verdict
from fathom_operator.interestmap.observe import InterestMapSeen
from fathom_operator.progress import Tally, digest_of, finite, tally
from fathom_operator.times import text
from fathom_operator.views import latest_by_index
from fathom_operator.work import Work, WorkState, state_of

#: What a gate measures, as its pod and the status call it.
_MEASURED: Final = ("exact_match", "recall", "novelty")
#: Of shares, which people read in columns.
_DIGITS: Final = 4
#: Steps whose words a later decision needs: without them they are done once more.
_HEARD: Final = frozenset({"gate"})


def recorded(status: InterestMapStatus, work: Work) -> StepStatus | None:
    """Return the step that `work` is, if it is done."""
    return next((s for s in status.steps if (s.name, s.run) == (work.stage, work.run)), None)


def state(seen: InterestMapSeen, work: Work) -> WorkState:
    """Return how `work` stands."""
    return state_of(work, seen.jobs, seen.pods)


def lost(seen: InterestMapSeen, status: InterestMapStatus, work: Work) -> bool:
    """Return whether `work` is complete and what it said, which is needed, went with its pod."""
    stands = state(seen, work)
    unheard = work.stage in _HEARD and stands.complete and not _outcomes(stands)
    return unheard and recorded(status, work) is None


def gathered(seen: InterestMapSeen, status: InterestMapStatus, works: Iterable[Work]) -> InterestMapStatus:
    """Return `status` with the steps of `works` that are done by now, and what they counted."""
    for work in works:
        stands = state(seen, work)
        if recorded(status, work) is not None or not stands.complete or lost(seen, status, work):
            continue
        status = _after(status, work, stands)
    return status


def paced(seen: InterestMapSeen, status: InterestMapStatus, work: Work) -> InterestMapStatus:
    """Return `status` with how far `work` is; as before without news."""
    counts = tally(state(seen, work), seen.reports, work.shards or 1)
    if work.stage == "plan-bulk":
        status = status.model_copy(update={"pairs": _pairs(counts)})
    if counts.last_at is None:
        return status
    return status.model_copy(update={"percent": counts.percent, "last_progress_time": text(counts.last_at)})


def uri_of(work: Work) -> str:
    """Return the folder that `work` makes."""
    return str(work.task.document()["output"])


def _after(status: InterestMapStatus, work: Work, stands: WorkState) -> InterestMapStatus:
    outcomes = _outcomes(stands)
    counts = finite(_together(outcomes))
    name: Step = work.stage  # type: ignore[assignment]
    step = StepStatus(
        name=name,
        run=work.run,
        uri=uri_of(work),
        digest=digest_of(work, stands),
        counts={key: round(value, 6) for key, value in counts.items()},
    )
    changes: dict[str, object] = {"steps": [s for s in status.steps if s.name != name] + [step]}
    match name:
        case "cluster":
            churn = _rounded(counts.get("churn"))
            changes |= {"clusters": int(counts.get("clusters", 0)), "cluster_churn": churn}
        case "transitions":
            changes |= {"transitions": int(counts.get("train", 0))}
        case "plan-bulk":
            changes |= {"pairs": _pairs(tally(stands, {}, work.shards or 1))}
        case "gate":
            changes |= {each: _rounded(counts.get(each)) for each in _MEASURED}
            changes |= {"gates": _verdicts(outcomes)}
        case _:
            pass
    return status.model_copy(update=changes)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, _DIGITS)


def _pairs(counts: Tally) -> Pairs:
    rejected = (counts.metrics or {}).get("rejected", 0.0)
    return Pairs(total=counts.total, planned=counts.done, rejected=int(rejected))


def _outcomes(stands: WorkState) -> list[Outcome]:
    """Return the last words of the pods, by index."""
    pods = latest_by_index(stands.pods)
    return [outcome for i in sorted(pods) if (outcome := pods[i].outcome) is not None]


def _together(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """Return the numbers of all shards; a name that several have is the latest's."""
    return {name: value for outcome in outcomes for name, value in outcome.progress.metrics.items()}


def _verdicts(outcomes: Iterable[Outcome]) -> list[Verdict]:
    return [verdict for outcome in outcomes for verdict in outcome.verdicts]
