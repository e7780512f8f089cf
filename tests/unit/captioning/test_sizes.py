from __future__ import annotations

import resource
from pathlib import Path

import pytest

from fathom import memory
from fathom.captioning.engines.sizes import BatchSizes, CpuRoom


def settle(sizes: BatchSizes, rate: dict[int, float], rounds: int = 40) -> int:
    """Run full batches whose items a second are `rate`, and return the size that is left."""
    for _ in range(rounds):
        size = sizes.size("a")
        sizes.done("a", size, size / rate[size])
    return sizes.size("a")


@pytest.mark.parametrize(
    ("rate", "left"),
    [
        pytest.param({8: 10, 16: 19, 32: 36, 64: 70}, 64, id="larger is faster, up to the largest"),
        pytest.param({8: 10, 16: 19, 32: 36, 64: 37}, 64, id="hardly faster is fast enough to stay"),
        pytest.param({8: 10, 16: 19, 32: 15}, 16, id="slower goes back"),
        pytest.param({8: 10, 16: 9}, 8, id="the first doubling does not pay"),
    ],
)
def test_a_size_is_doubled_while_that_makes_items_faster(rate: dict[int, float], left: int) -> None:
    assert settle(BatchSizes(None, largest=64), rate) == left


def test_a_slow_first_batch_does_not_count_against_its_size() -> None:
    sizes = BatchSizes(None, largest=16)
    for seconds in (1, 1, 60, 1):
        size = sizes.size("a")
        sizes.done("a", size, seconds)
    assert sizes.size("a") == 16


def test_a_size_that_was_asked_for_stays() -> None:
    sizes = BatchSizes(5, largest=64)
    for _ in range(10):
        sizes.done("a", 5, 1.0)
    assert sizes.size("a") == 5


def test_batches_that_are_not_full_tell_nothing() -> None:
    sizes = BatchSizes(None, largest=64)
    for _ in range(10):
        sizes.done("a", 3, 0.001)
    assert sizes.size("a") == 8


def test_running_out_of_memory_halves_and_much_later_tries_again() -> None:
    sizes = BatchSizes(None, largest=64)
    sizes.exhausted("a", 8)
    assert sizes.size("a") == 4
    for _ in range(63):
        sizes.done("a", 4, 1.0)
    assert sizes.size("a") == 4
    sizes.done("a", 4, 1.0)
    assert sizes.size("a") == 8


def test_one_item_is_the_smallest_batch() -> None:
    sizes = BatchSizes(1, largest=64)
    sizes.exhausted("a", 1)
    assert sizes.size("a") == 1


def test_groups_have_sizes_of_their_own_and_start_where_the_last_one_is() -> None:
    sizes = BatchSizes(None, largest=64)
    assert settle(sizes, {8: 10, 16: 19, 32: 36, 64: 70}) == 64
    sizes.exhausted("large pictures", 64)
    assert (sizes.size("a"), sizes.size("large pictures")) == (64, 32)


def test_nothing_is_doubled_without_room() -> None:
    assert settle(BatchSizes(None, largest=64, roomy=lambda factor: False), {8: 10}) == 8


def test_room_on_a_cpu_is_what_batches_have_needed_against_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "used", lambda: 0)
    room = CpuRoom()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    monkeypatch.setattr(memory, "available", lambda: 4 * peak)
    assert room(2)
    assert not room(4)
    assert not room(2, replicas=2)


def _cgroup(folder: Path, limit: str) -> Path:
    (folder / "memory.max").write_text(limit)
    (folder / "memory.current").write_text("700")
    (folder / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    return folder


@pytest.mark.parametrize(
    ("limit", "free"),
    [
        pytest.param("1000", 450, id="a limit, and cached files that can go"),
        pytest.param("600", 50, id="a limit that was passed"),
        pytest.param("max", 4096, id="no limit: what the machine has"),
    ],
)
def test_free_memory_is_that_of_the_container(limit: str, free: int, tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8 kB\nMemAvailable:    4 kB\n")
    assert memory.available(_cgroup(tmp_path, limit), meminfo) == free


def test_this_process_uses_memory() -> None:
    kept = b"x" * (64 << 20)
    assert memory.used() > len(kept)
