"""A task ends with an exit code that its Job understands and an outcome that people do."""

import json
from pathlib import Path

import pytest

from fathom.errors import InvalidInputError
from fathom.run import run_task
from fathom_api.progress import MAX_TERMINATION_BYTES, Outcome, Progress
from fathom_api.tasks import FeaturiseTask

DOCUMENT = {"output": "out", "model": {"uri": "m"}}


def invalid(_: FeaturiseTask) -> Outcome:
    raise InvalidInputError("MissingColumn", "no column image; there are: id, title")


def unlucky(_: FeaturiseTask) -> Outcome:
    raise OSError("disk is full")


def fine(_: FeaturiseTask) -> Outcome:
    return Outcome(result="Succeeded", digest="sha256:1", progress=Progress(total=3, done=3))


@pytest.mark.parametrize(
    ("work", "code", "outcome"),
    [
        pytest.param(fine, 0, {"digest": "sha256:1"}, id="work that is done ends with 0 and its digest"),
        pytest.param(
            invalid,
            65,
            {"reason": "MissingColumn"},
            id="wrong input ends with 65, which the Job does not retry",
        ),
        pytest.param(unlucky, 1, {"reason": "OSError"}, id="bad luck ends with 1, which the Job retries"),
    ],
)
def test_how_a_task_ends(work, code: int, outcome: dict[str, str], tmp_path: Path, capsys) -> None:
    file = tmp_path / "task.json"
    file.write_text(json.dumps(DOCUMENT))
    with pytest.raises(SystemExit) as ended:
        run_task(file, FeaturiseTask, work)
    said = json.loads(capsys.readouterr().out)
    assert ended.value.code == code
    assert outcome.items() <= said.items()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("{", "Invalid JSON", id="text that is not JSON"),
        pytest.param('{"output": "o"}', "model: Field required", id="a task without a required field"),
        pytest.param(json.dumps(DOCUMENT | {"colour": 1}), "colour", id="a task with an unknown field"),
    ],
)
def test_a_wrong_task_is_refused_by_naming_the_field(
    text: str, complaint: str, tmp_path: Path, capsys
) -> None:
    file = tmp_path / "task.json"
    file.write_text(text)
    with pytest.raises(SystemExit) as ended:
        run_task(file, FeaturiseTask, fine)
    said = json.loads(capsys.readouterr().out)
    assert (ended.value.code, said["reason"]) == (65, "InvalidTask")
    assert complaint in said["message"]


def test_an_outcome_always_fits_into_a_termination_message(tmp_path: Path, capsys) -> None:
    def talkative(_: FeaturiseTask) -> Outcome:
        return Outcome(result="Succeeded", message="m" * 9000, progress=Progress(samples=["x" * 3000] * 3))

    file = tmp_path / "task.json"
    file.write_text(json.dumps(DOCUMENT))
    with pytest.raises(SystemExit):
        run_task(file, FeaturiseTask, talkative)
    assert len(capsys.readouterr().out.encode()) <= MAX_TERMINATION_BYTES
