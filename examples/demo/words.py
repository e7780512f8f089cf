"""One line for where a resource is: pure functions of its status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from demo.view import duration
from fathom_api.captionjob import CaptionJobStatus
from fathom_api.conditions import Condition, ConditionType
from fathom_api.recmodel import ArmMetrics, RecModelStatus

ARMS = {
    "Captions": "with captions",
    "WithoutCaptions": "without captions",
    "ShuffledCaptions": "captions shuffled",
    "Serving": "the version served",
}


def stalled(conditions: Sequence[Condition]) -> str | None:
    """Return what is wrong, if anything is that does not pass by itself."""
    wrong = next((c for c in conditions if c.type == ConditionType.STALLED and c.status == "True"), None)
    return f"{wrong.reason}: {wrong.message}" if wrong else None


def captioning(status: CaptionJobStatus, now: datetime) -> str:
    """Return how far captioning is: items, captions a second, time left, a sample."""
    parts: list[str] = [status.stage]
    tuning = status.fine_tune
    if status.stage == "FineTuning" and tuning:
        parts += [f"epoch {tuning.epoch:.1f}"]
        parts += [f"loss {tuning.loss:.3f}"] if tuning.loss is not None else []
        parts += [f"held out {tuning.validation_loss:.3f}"] if tuning.validation_loss is not None else []
    elif status.items.total:
        parts += [f"{status.items.done:,} of {status.items.total:,} pictures"]
        parts += [f"{status.items.failed} failed"] if status.items.failed else []
    if status.items_per_second and status.stage == "Captioning":
        parts += [f"{status.items_per_second:.1f} captions/s"]
    parts += _left(status.estimated_completion_time, now)
    if status.sample_captions and status.stage == "Captioning":
        parts += [f"“{status.sample_captions[0]}”"]
    return " · ".join(parts)


def _left(when: str | None, now: datetime) -> list[str]:
    if when is None:
        return []
    left = datetime.fromisoformat(when.replace("Z", "+00:00")) - now
    return [f"{duration(max(0.0, left.total_seconds()))} left"]


def ranking(status: RecModelStatus) -> str:
    """Return how far a ranker is: epoch, rows a second, AUC; or the canary's weight."""
    parts: list[str] = [status.stage, *([status.candidate.name] if status.candidate else [])]
    work = status.training
    if status.stage == "Training" and work:
        parts += [f"{work.percent} % of all arms", f"epoch {work.epoch:.1f}"]
        parts += [f"{work.rows_per_second:,.0f} interactions/s"] if work.rows_per_second else []
        parts += [f"validation AUC {work.validation_auc:.4f}"] if work.validation_auc else []
    if status.rollout:
        parts += [f"canary gets {status.rollout.weight} %", status.rollout.phase.lower()]
    return " · ".join(parts)


def metrics(arms: Sequence[ArmMetrics]) -> str:
    """Return a table of the arms."""
    lines = [f"   {'':20}{'AUC':>9}{'GAUC':>9}{'log loss':>10}{'NE':>9}{'calibration':>13}"]
    for arm in arms:
        figures = (
            f"{_figure(arm.auc):>9}{_figure(arm.gauc):>9}{_figure(arm.log_loss):>10}"
            f"{_figure(arm.normalized_entropy):>9}{_figure(arm.calibration):>13}"
        )
        lines.append(f"   {ARMS[arm.arm]:20}{figures}")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)
