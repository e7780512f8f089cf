"""What was served when: the stable version and the canary's weight, kept across runs of the demo."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from fathom_api.recmodel import RecModelStatus


@dataclass(frozen=True)
class Moment:
    """From `time` (UTC) on, `candidate` got `weight` percent of the requests and `stable` the rest."""

    time: str
    stable: str
    candidate: str
    weight: int
    stage: str


class Timeline:
    """Notes what changed; another RecModel, by its uid, begins another timeline."""

    def __init__(self, file: Path, uid: str, clock: Callable[[], datetime]) -> None:
        """Go on with `file` if it is of the RecModel `uid`."""
        self._file = file
        self._uid = uid
        self._clock = clock
        saved = json.loads(file.read_text()) if file.is_file() else {}
        self.moments = [Moment(**m) for m in saved["moments"]] if saved.get("uid") == uid else []

    def note(self, status: RecModelStatus) -> None:
        """Take note of what is served now, if it differs from what was."""
        moment = _moment(status, self._clock())
        last = self.moments[-1] if self.moments else None
        if not moment.stable and not moment.weight:
            return
        if last and (last.stable, last.candidate, last.weight) == (
            moment.stable,
            moment.candidate,
            moment.weight,
        ):
            return
        self.moments.append(moment)
        self._save()

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        kept = {"uid": self._uid, "moments": [asdict(m) for m in self.moments]}
        self._file.write_text(json.dumps(kept, indent=2))


def _moment(status: RecModelStatus, now: datetime) -> Moment:
    rollout = status.rollout
    rolling = bool(rollout) and status.candidate is not None
    return Moment(
        time=now.strftime("%H:%M:%S"),
        stable=status.stable.name if status.stable else "",
        candidate=status.candidate.name if rolling and status.candidate else "",
        weight=rollout.weight if rollout else 0,
        stage=status.stage,
    )
