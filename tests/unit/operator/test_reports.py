"""Reports of pods: kept in memory, parents woken now and then."""

from __future__ import annotations

from builders.seen import NOW

from fathom_api.progress import Progress
from fathom_operator.plan import Key
from fathom_operator.reports import Reports

JOB = Key("CaptionJob", "shop", "catalog")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Woken(list[tuple[Key, float]]):
    def __call__(self, key: Key, delay: float) -> None:
        self.append((key, delay))


def reports(clock: Clock, woken: Woken) -> Reports:
    return Reports(woken, wake_seconds=3, report_seconds=1, clock=clock, wall_clock=lambda: NOW)


def test_the_latest_report_of_each_pod_is_kept() -> None:
    kept = reports(Clock(), Woken())
    for pod, done in [("a", 1), ("b", 5), ("a", 2)]:
        kept.add(JOB, pod, Progress(done=done))
    assert {pod: report.progress.done for pod, report in kept.of(JOB).items()} == {"a": 2, "b": 5}
    assert kept.of(Key("CaptionJob", "shop", "another")) == {}


def test_a_thousand_reports_wake_the_parent_once_every_three_seconds() -> None:
    clock, woken = Clock(), Woken()
    kept = reports(clock, woken)
    moments = set[float]()
    for second in range(30):
        clock.now = 100.0 + second
        for pod in range(50):
            kept.add(JOB, str(pod), Progress(done=second))
        moments |= {clock.now + delay for _, delay in woken}
        woken.clear()
    assert sorted(moments) == [100.0 + 3 * step for step in range(11)]


def test_pods_that_fell_silent_an_hour_ago_are_forgotten() -> None:
    clock = Clock()
    kept = reports(clock, Woken())
    kept.add(JOB, "last night's", Progress(done=9))
    clock.now += 3601
    kept.add(JOB, "tonight's", Progress(done=1))
    assert list(kept.of(JOB)) == ["tonight's"]


def test_a_pod_that_reports_without_pause_is_told() -> None:
    clock = Clock()
    kept = reports(clock, Woken())
    assert not kept.too_soon("a")
    kept.add(JOB, "a", Progress())
    assert kept.too_soon("a")
    assert not kept.too_soon("b")
    clock.now += 1
    assert not kept.too_soon("a")


def test_nothing_is_kept_of_what_is_gone() -> None:
    kept = reports(Clock(), Woken())
    kept.add(JOB, "a", Progress())
    kept.forget(JOB)
    assert kept.of(JOB) == {}
    assert not kept.too_soon("a")
