"""What people see: live lines on a terminal, few and plain ones in a log."""

import io

from demo.view import View, duration


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def view(out: io.StringIO, times: list[float]) -> View:
    moments = iter(times)
    last = [0.0]

    def clock() -> float:
        last[0] = next(moments, last[0])
        return last[0]

    return View(out, clock=clock)


def test_a_log_has_no_control_codes_and_a_live_line_only_now_and_then() -> None:
    out = io.StringIO()
    time = [0.0]
    shown = View(out, clock=lambda: time[0])
    for second in range(25):
        time[0] = second
        shown.live(f"{second} of 25")
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ["0", "10", "20"]
    assert "\033" not in out.getvalue()
    assert "\r" not in out.getvalue()


def test_a_terminal_redraws_its_live_line_and_clears_it_for_what_stays() -> None:
    out = Terminal()
    shown = View(out, clock=lambda: 0.0)
    shown.live("1 of 2")
    shown.say("done")
    assert out.getvalue() == "\r\033[K  0:00    1 of 2\r\033[K  0:00  done\n"


def test_a_step_tells_its_time() -> None:
    out = io.StringIO()
    shown = view(out, [0, 1, 2, 65, 65])
    with shown.step("Work"):
        pass
    assert out.getvalue().splitlines() == ["  0:01  ── Work", "  1:05     done in 1:03"]
    assert shown.times == {"Work": 63}


def test_durations_read_as_minutes_and_seconds() -> None:
    assert [duration(s) for s in (0, 59.9, 60, 3725)] == ["0:00", "0:59", "1:00", "62:05"]
