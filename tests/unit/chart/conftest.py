"""The chart as Helm renders it."""

import functools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.tools import helm

CHART = Path(__file__).parents[3] / "charts" / "fathom"

Objects = list[dict[str, Any]]
Render = Callable[..., Objects]


@functools.cache
def _template(values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [helm(), "template", "fathom", CHART, "--namespace", "fathom-system", "--values", "-"],
        input=values,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def render() -> Render:
    """Objects that the chart makes with these values."""

    def objects(**values: Any) -> Objects:
        done = _template(json.dumps(values))
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all(done.stdout) if each]

    return objects


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    """What Helm says of values that it refuses."""

    def said(**values: Any) -> str:
        done = _template(json.dumps(values))
        assert done.returncode != 0, "Helm accepted the values"
        return done.stderr

    return said
