from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from fathom.cli import app
from fathom.examples import COMMANDS, example


@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_task_is_printed_and_is_valid(command: str) -> None:
    printed = CliRunner().invoke(app, ["task", command])
    assert printed.exit_code == 0
    kind = type(example(command))
    assert kind.model_validate_json(printed.output) == example(command)
    assert json.loads(printed.output)["kind"] == kind.__name__


def test_every_command_that_takes_a_task_has_an_example() -> None:
    names = {
        info.name or (info.callback.__name__ if info.callback else "") for info in app.registered_commands
    }
    assert names - {"task", "drift", "dataset", "items", "retrieve"} == set(COMMANDS)


def test_an_unknown_command_names_the_known_ones() -> None:
    refused = CliRunner().invoke(app, ["task", "fly"])
    assert refused.exit_code == 2
    assert "finetune" in refused.output
