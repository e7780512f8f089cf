"""Progress is reported at a bounded rate, and losing a report never hurts the work."""

from collections.abc import Callable

import pytest

from fathom.progress import Reporter, ReportLostError
from fathom_api.progress import Progress


def clock(*times: float) -> Callable[[], float]:
    ticks = iter(times)
    return lambda: next(ticks)


def report(times: list[float], done: list[int], *, reused: int = 0) -> list[Progress]:
    sent: list[Progress] = []
    with Reporter(sent.append, interval=2.0, clock=clock(*times)) as reporter:
        for n in done:
            reporter.update(Progress(total=100, done=n, reused=reused))
    return sent


def test_reports_closer_than_the_interval_are_dropped_but_the_last_word_is_sent() -> None:
    sent = report([0, 0.5, 1.0, 2.0, 2.5], [1, 2, 3, 4, 5])
    assert [p.done for p in sent] == [1, 4, 5]


def test_speed_counts_only_what_was_done_here() -> None:
    assert report([0, 10], [40, 60], reused=40)[-1].per_second == pytest.approx(2.0)


def test_a_lost_report_is_replaced_by_the_next() -> None:
    sent: list[int] = []

    def flaky(progress: Progress) -> None:
        sent.append(progress.done)
        if len(sent) == 1:
            raise ReportLostError("operator restarts")

    with Reporter(flaky, interval=0.0, clock=clock(0, 1)) as reporter:
        reporter.update(Progress(done=1))
        reporter.update(Progress(done=2))
    assert sent[-1] == 2
