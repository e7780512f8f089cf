"""What has been counted so far in a shard, as progress."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fathom_api.progress import Progress


@dataclass
class Tally:
    """Items done (reused ones among them) and failed, and the tokens the model wrote."""

    total: int
    done: int = 0
    failed: int = 0
    reused: int = 0
    tokens: int = 0
    samples: list[str] = field(default_factory=list[str])
    started: float = field(default_factory=time.monotonic)

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {"total": self.total, "done": self.done, "failed": self.failed, "reused": self.reused}

    def progress(self, committed_at: float | None) -> Progress:
        """Return the counts, the tokens written per second, and when work was last committed."""
        seconds = max(time.monotonic() - self.started, 1e-3)
        return Progress(
            **self.counts(),
            tokens=self.tokens,
            committed_at=committed_at,
            metrics={"tokens_per_second": round(self.tokens / seconds, 1)},
            samples=self.samples[-3:],
        )

    def wrote(self, text: str, tokens: int) -> None:
        """Note what the model wrote; a few different captions are kept as samples."""
        self.tokens += tokens
        if text and text not in self.samples:
            self.samples = [*self.samples[-2:], text]
