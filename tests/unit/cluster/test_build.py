from dataclasses import replace
from pathlib import Path

import pytest

from cluster import build
from cluster.components import ALL, Component

COMPONENT = Component("tool", {"tool": "example.org/tool"})


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "go.mod").write_text("module tool\n")
    (tmp_path / "tool" / "go.sum").write_text("")
    return tmp_path


def test_the_same_sources_have_the_same_key(sources: Path):
    assert build.key(COMPONENT, sources) == build.key(COMPONENT, sources)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"ldflags": "-s -w -X main.version=2"}, id="linker flags"),
        pytest.param({"binaries": {"tool": "example.org/tool/v2"}}, id="the package"),
        pytest.param({"manifests": {"example.org/tool": ("*.yaml",)}}, id="the manifests that are kept"),
    ],
)
def test_what_decides_the_binary_decides_the_key(sources: Path, changed: dict[str, object]):
    assert build.key(replace(COMPONENT, **changed), sources) != build.key(COMPONENT, sources)


def test_a_new_version_in_go_mod_changes_the_key(sources: Path):
    before = build.key(COMPONENT, sources)
    (sources / "tool" / "go.mod").write_text("module tool\nrequire example.org/tool v1.0.1\n")
    assert build.key(COMPONENT, sources) != before


@pytest.mark.parametrize(
    ("package", "name"),
    [
        pytest.param("k8s.io/kubernetes/cmd/kubelet", "kubelet", id="the last part of the path"),
        pytest.param("go.etcd.io/etcd/server/v3", "server", id="a major version does not count"),
        pytest.param("helm.sh/helm/v4/cmd/helm", "helm", id="a major version in the middle is no matter"),
        pytest.param(".", "pause", id="the folder's own package"),
    ],
)
def test_the_name_that_go_gives_a_binary(package: str, name: str):
    assert build.go_name(package, "pause") == name


def test_every_component_is_locked():
    unlocked = [one.name for one in ALL if not (build.SOURCES / one.folder / "go.sum").exists()]
    assert unlocked == []


def test_no_two_components_bring_the_same_binary():
    names = [name for one in ALL for name in one.binaries]
    assert len(names) == len(set(names))
