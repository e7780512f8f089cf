from pathlib import Path

import pytest

from cluster import golang, providers, settings
from cluster.console import ClusterError
from cluster.providers.embedded import Embedded
from cluster.providers.existing import Existing, missing
from cluster.providers.kind import Kind


def test_an_empty_environment_names_the_default_cluster_and_folders():
    chosen = settings.from_env({})
    assert chosen.home == Path("/var/lib/fathom/clusters/fathom")
    assert chosen.cache == Path.home() / ".cache" / "fathom"
    assert chosen.kubeconfig is None


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"FATHOM_CLUSTER": "../etc"}, id="a name with a path in it"),
        pytest.param({"FATHOM_CLUSTER": "Demo"}, id="a name with a capital"),
        pytest.param({"FATHOM_CLUSTER": "a" * 21}, id="a name too long for a network namespace's comment"),
        pytest.param({"FATHOM_CLUSTER": "demo-"}, id="a name that ends in a dash"),
        pytest.param({"FATHOM_CLUSTER_PROVIDER": "minikube"}, id="a provider that does not exist"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(env: dict[str, str]):
    (variable,) = env
    with pytest.raises(ClusterError, match=variable):
        settings.from_env(env)


@pytest.mark.parametrize(
    ("env", "docker", "expected"),
    [
        pytest.param({"FATHOM_KUBECONFIG": "/k"}, True, Existing, id="a cluster the user names comes first"),
        pytest.param({}, True, Kind, id="kind where a Docker engine answers"),
        pytest.param({}, False, Embedded, id="the embedded cluster elsewhere"),
        pytest.param({"FATHOM_CLUSTER_PROVIDER": "embedded"}, True, Embedded, id="what was asked for wins"),
    ],
)
def test_the_provider(env: dict[str, str], docker: bool, expected: type, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(providers, "docker_answers", lambda: docker)
    assert isinstance(providers.choose(settings.from_env(env)), expected)


@pytest.mark.parametrize(
    ("crds", "lacking"),
    [
        pytest.param([], ["KServe", "Knative"], id="a bare cluster lacks both"),
        pytest.param(["services.serving.knative.dev"], ["KServe"], id="Knative alone lacks KServe"),
        pytest.param(
            ["services.serving.knative.dev", "inferenceservices.serving.kserve.io"],
            [],
            id="both lack nothing",
        ),
    ],
)
def test_an_existing_cluster_is_told_what_it_lacks(crds: list[str], lacking: list[str]):
    assert [how.split()[0] for how in missing(crds)] == lacking


@pytest.mark.parametrize(
    ("said", "version"),
    [
        pytest.param("go version go1.26.8 linux/amd64", (1, 26), id="a release"),
        pytest.param("go version go1.27rc1 linux/arm64", (1, 27), id="a release candidate"),
        pytest.param("", (0, 0), id="a program that said nothing"),
    ],
)
def test_the_version_of_go(said: str, version: tuple[int, int]):
    assert golang.version_of(said) == version
