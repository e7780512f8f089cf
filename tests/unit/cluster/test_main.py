import pytest
from typer.testing import CliRunner

from cluster.__main__ import app
from cluster.console import ClusterError


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param("nvidia.com/gpu", id="without a count"),
        pytest.param("gpu=1", id="without a domain, which would be one of Kubernetes' own"),
        pytest.param("nvidia.com/gpu=some", id="with a count that is no number"),
    ],
)
def test_advertise_refuses_a_resource(resource: str):
    outcome = CliRunner().invoke(app, ["advertise", resource])
    assert isinstance(outcome.exception, ClusterError)
    assert "nvidia.com/gpu=1" in str(outcome.exception)


def test_no_verb_prints_the_verbs():
    outcome = CliRunner().invoke(app, [])
    assert all(verb in outcome.output for verb in ("up", "down", "status", "load", "base-image", "advertise"))
