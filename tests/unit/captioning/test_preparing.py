"""Preparing beside the model: in threads, or in processes that may die of what they are given."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from builders.pictures import png
from builders.preparing import Fragile, opened_and_told, prepare_one

from fathom.captioning.engines import Prepared, Question, UnansweredError
from fathom.captioning.engines.transformers_engine import TransformersEngine
from fathom.captioning.media import Clip, Media
from fathom.captioning.media.unusable import UnusableMediaError
from fathom.captioning.preparing import Preparer, Processes, Threads
from fathom.errors import InvalidInputError
from fathom_api.tasks import AnyModel, AnySource

SOURCE = AnySource.model_validate({"uri": "items.parquet"})
EVERY = [
    pytest.param(lambda: Threads(Fragile()), id="threads"),
    pytest.param(lambda: Processes(Fragile), id="processes"),
]


def item(width: int) -> Media:
    data = png("red", (width, 9))
    return Media(data, hashlib.sha256(data).hexdigest())


def asked(*prompts: str) -> list[Question]:
    return [Question("caption", prompt, Clip((), ()), 6) for prompt in prompts]


def seen(outcomes: Sequence[Prepared | UnansweredError]) -> list[list[int]]:
    assert all(isinstance(outcome, Prepared) for outcome in outcomes)
    return [o.inputs[1]["seen"].tolist() for o in outcomes if isinstance(o, Prepared)]


@pytest.mark.parametrize("make", EVERY)
def test_each_question_is_prepared_with_the_items_picture(make: type[Preparer]) -> None:
    assert [width for width, *_ in seen(make().prepare(item(31), SOURCE, asked("a", "b")))] == [31, 31]


@pytest.mark.parametrize("make", EVERY)
def test_a_question_that_is_refused_leaves_the_others(make: type[Preparer]) -> None:
    first, second = make().prepare(item(31), SOURCE, asked("refuse", "b"))
    assert isinstance(first, UnansweredError)
    assert (first.reason, str(first), first.transient) == ("Refused", "not this one", True)
    assert isinstance(second, Prepared)


@pytest.mark.parametrize("make", EVERY)
def test_media_that_cannot_be_decoded_are_said_to_be_so(make: type[Preparer]) -> None:
    with pytest.raises(UnusableMediaError) as caught:
        make().prepare(Media(b"no picture", "0"), SOURCE, asked("a"))
    assert caught.value.reason == "NotAnImage"


@pytest.mark.parametrize("make", EVERY)
def test_a_model_that_can_take_nothing_ends_the_run(make: type[Preparer]) -> None:
    with pytest.raises(InvalidInputError, match="takes no pictures") as caught:
        make().prepare(item(31), SOURCE, asked("wrong"))
    assert caught.value.reason == "WrongModel"


def test_processes_yield_to_the_one_that_runs_the_model() -> None:
    [[_, process, niceness]] = seen(Processes(Fragile).prepare(item(31), SOURCE, asked("a")))
    assert process != os.getpid()
    assert niceness == os.nice(0) + 10


def test_a_process_opens_its_engine_once(tmp_path: Path) -> None:
    preparer = Processes(partial(opened_and_told, tmp_path))
    processes = {seen(preparer.prepare(item(width), SOURCE, asked("a")))[0][1] for width in range(31, 41)}
    assert len(list(tmp_path.iterdir())) == len(processes)


def test_what_is_to_be_done_meanwhile_is_done_while_a_process_starts() -> None:
    done: list[str] = []
    Processes(Fragile, meanwhile=lambda: done.append("opened")).prepare(item(31), SOURCE, asked("a"))
    assert done == ["opened"]


def test_media_that_kill_a_process_twice_fail_alone(tmp_path: Path) -> None:
    preparer = Processes(Fragile)
    with ThreadPoolExecutor(4) as pool:
        deadly = pool.submit(preparer.prepare, item(31), SOURCE, asked("die"))
        others = [pool.submit(preparer.prepare, item(width), SOURCE, asked("a")) for width in range(40, 60)]
        assert [seen(other.result())[0][0] for other in others] == list(range(40, 60))
        with pytest.raises(UnusableMediaError) as caught:
            deadly.result()
    assert caught.value.reason == "DecoderDied"


def test_a_process_that_was_killed_by_somebody_costs_no_item(tmp_path: Path) -> None:
    outcomes = Processes(Fragile).prepare(item(31), SOURCE, asked(f"die-once {tmp_path / 'mark'}"))
    assert seen(outcomes)[0][0] == 31


PARENT = """
import os, sys
from builders.preparing import Fragile, opened_and_told, prepare_one
from fathom.captioning.preparing import Processes
from unit.captioning.test_preparing import SOURCE, asked, item, seen
if __name__ == "__main__":
    [[_, process, _]] = seen(Processes(Fragile).prepare(item(31), SOURCE, asked("a")))
    print(process, flush=True)
    sys.stdin.read()
"""


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    with subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as parent:
        assert parent.stdout is not None
        worker = Path("/proc") / parent.stdout.readline().decode().strip()
        assert worker.exists()
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()


def test_a_process_of_multiprocessing_that_prepared_ends_by_itself() -> None:
    child = get_context("spawn").Process(target=prepare_one)
    child.start()
    child.join(240)
    child.kill()
    assert child.exitcode == 0


def test_a_model_gets_the_same_input_from_a_process_as_from_a_thread(any_checkpoint: str) -> None:
    model = AnyModel.model_validate({"uri": any_checkpoint, "prompt": "What is it?", "maxNewTokens": 6})
    engine = TransformersEngine.of(model)
    preparer = engine.preparer()
    assert isinstance(preparer, Processes)
    [there] = preparer.prepare(item(64), SOURCE, asked("What is it?"))
    [here] = Threads(engine).prepare(item(64), SOURCE, asked("What is it?"))
    assert isinstance(there, Prepared)
    assert isinstance(here, Prepared)
    assert (there.group, there.nbytes, there.question) == (here.group, here.nbytes, here.question)
    assert there.inputs[1].keys() == here.inputs[1].keys()
    assert all(torch.equal(there.inputs[1][name], tensor) for name, tensor in here.inputs[1].items())


def test_a_model_that_is_open_and_lies_nowhere_is_prepared_for_in_threads(llava_checkpoint: str) -> None:
    model = AnyModel.model_validate({"uri": llava_checkpoint, "prompt": "What is it?", "maxNewTokens": 6})
    engine = TransformersEngine.of(model)
    assert TransformersEngine.around(engine._model, engine._processor, model).preparer() is None
