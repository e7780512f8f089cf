"""When is an image another image? Its tag says so."""

from pathlib import Path

import pytest

from builder import context
from fathom_api.meta import VERSION

CPU = context.Variant("debian", "cpu", None)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that tags depend on, to be changed at will."""
    for name in ("requirements.lock", "images/Containerfile", "images/install.sh"):
        _write(tmp_path / name, name)
    for name in ("crds", "operator", "workloads"):
        _write(tmp_path / name / "pyproject.toml", (context.ROOT / name / "pyproject.toml").read_text())
        _write(tmp_path / name / "src" / "code.py", f"VERSION = {VERSION!r}\n")
    monkeypatch.setattr(context, "ROOT", tmp_path)
    return tmp_path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tags(variant: context.Variant = CPU) -> dict[str, str]:
    return {image: context.tag(image, variant) for image in context.IMAGES}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {image for image in before if before[image] != after[image]}


@pytest.mark.parametrize(
    ("path", "images"),
    [
        pytest.param("operator/src/code.py", {"operator"}, id="the operator's code"),
        pytest.param(
            "workloads/src/code.py",
            {"captioner", "trainer", "ranker", "retriever"},
            id="the workloads' code",
        ),
        pytest.param("crds/src/code.py", set(context.IMAGES), id="the API, which all share"),
        pytest.param("requirements.lock", set(context.IMAGES), id="a dependency"),
        pytest.param("images/install.sh", set(context.IMAGES), id="how they are made"),
        pytest.param("workloads/src/__pycache__/code.pyc", set(), id="what Python leaves behind"),
        pytest.param("README.md", set(), id="what is not in them"),
    ],
)
def test_a_change_of_a_file_changes_the_images_it_is_in(checkout: Path, path: str, images: set[str]) -> None:
    before = tags()
    _write(checkout / path, "changed")

    assert changed(before, tags()) == images


def test_another_base_or_another_torch_makes_other_images(checkout: Path) -> None:
    assert changed(tags(), tags(context.Variant("ubuntu", "cpu", None))) == set(context.IMAGES)
    assert changed(tags(), tags(context.Variant("debian", "cu128", None))) == set(context.IMAGES)


def test_the_wheel_counts_by_its_name_not_by_where_it_lies(checkout: Path) -> None:
    wheel = f"torch-{context.torch_version()}+cpu-cp311-cp311-linux_x86_64.whl"
    for folder in ("here", "there"):
        _write(checkout / folder / wheel, "")
    here, there = (context.Variant("debian", "cpu", checkout / name) for name in ("here", "there"))

    assert tags(here) == tags(there)
    assert changed(tags(here), tags(CPU)) == set(context.IMAGES)


def test_a_cpu_wheel_is_not_put_into_a_cuda_image(checkout: Path) -> None:
    _write(checkout / f"torch-{context.torch_version()}+cpu-cp311-cp311-linux_x86_64.whl", "")

    assert context.Variant("debian", "cu128", checkout).wheel() is None


@pytest.mark.parametrize(
    ("torch", "found"),
    [
        pytest.param("cpu", "fbgemm-gpu-cpu==1.8.0", id="for CPUs"),
        pytest.param("cu130", "fbgemm-gpu==1.8.0", id="for GPUs"),
    ],
)
def test_kernels_are_those_of_what_torch_is_built_for(torch: str, found: str) -> None:
    assert context.kernels(context.Variant("debian", torch, None)) == found
