"""Waiting: until it is so, not longer than allowed, through hiccups but not through errors."""

from collections.abc import Callable, Iterator

import pytest

from demo.kube import KubeError
from demo.waiting import DeadlineError, transient, wait_for


class Clock:
    """A clock that moves when someone sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def answers(*given: object) -> Callable[[], object]:
    rest: Iterator[object] = iter(given)

    def look() -> object:
        answer = next(rest)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


def wait(look: Callable[[], object], timeout: float = 10) -> tuple[object, float]:
    clock = Clock()
    return wait_for("it", look, timeout=timeout, clock=clock, sleep=clock.sleep), clock.now


def test_the_first_answer_counts() -> None:
    assert wait(answers(None, False, "yes", "no")) == ("yes", 2.0)


def test_zero_is_an_answer() -> None:
    assert wait(answers(None, 0))[0] == 0


def test_no_answer_in_time_names_what_was_waited_for() -> None:
    with pytest.raises(DeadlineError, match="it: not within 3 s"):
        wait(answers(None, None, None, None, "late"), timeout=3)


def test_hiccups_pass() -> None:
    hiccup = KubeError("dial tcp 127.0.0.1:6443: connect: connection refused")
    assert wait(answers(hiccup, hiccup, "yes"))[0] == "yes"


def test_a_hiccup_that_lasts_is_told() -> None:
    with pytest.raises(DeadlineError) as told:
        wait(answers(*[KubeError("etcdserver: request timed out")] * 20))
    assert "etcdserver" in str(told.value.__cause__)


def test_errors_end_the_wait() -> None:
    with pytest.raises(KubeError, match="forbidden"):
        wait(answers(KubeError('pods is forbidden: User "x" cannot list'), "yes"))


@pytest.mark.parametrize(
    ("message", "passes"),
    [
        pytest.param("net/http: TLS handshake timeout", True, id="a slow handshake"),
        pytest.param("the object has been modified; please apply", True, id="a conflict"),
        pytest.param("the server could not find the requested resource", False, id="an unknown kind"),
        pytest.param('CaptionJob "x" is invalid: spec.shards: must be', False, id="a bad manifest"),
    ],
)
def test_what_passes_by_itself(message: str, passes: bool) -> None:
    assert transient(KubeError(message)) is passes
