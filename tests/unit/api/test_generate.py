"""The generated files: fresh, readable by every YAML parser, and complete."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fathom_api.crd import KINDS, Kind, crd
from fathom_api.generate import main, outputs, yaml_text

ROOT = Path(__file__).parents[3]


def test_the_files_in_the_repository_are_those_that_the_models_make(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(ROOT), "--check"]) == 0, capsys.readouterr().err


def test_a_stale_file_is_named_with_the_command_that_makes_it_fresh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    (tmp_path / "crds/recmodels.yaml").write_text("edited: by hand\n")

    assert main([str(tmp_path), "--check"]) == 1

    assert capsys.readouterr().err == "crds/recmodels.yaml is stale: run `make crds` and commit the result\n"
    assert (tmp_path / "crds/recmodels.yaml").read_text() == "edited: by hand\n"


def test_writing_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path)])
    capsys.readouterr()
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_yaml_says_what_the_models_say(kind: Kind) -> None:
    assert yaml.safe_load(outputs()[f"crds/{kind.plural}.yaml"]) == crd(kind)


def test_the_chart_installs_the_same_crds() -> None:
    for kind in KINDS:
        files = outputs()
        assert files[f"charts/fathom/files/crds/{kind.plural}.yaml"] == files[f"crds/{kind.plural}.yaml"]


def test_kustomize_names_every_crd() -> None:
    resources = yaml.safe_load(outputs()["crds/kustomization.yaml"])["resources"]
    assert resources == [f"{kind.plural}.yaml" for kind in KINDS]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"a": {}, "b": [], "c": None}, id="empty things"),
        pytest.param({"a": [{"b": 1, "c": [2, 3]}, {"d": "e"}]}, id="lists of objects with lists"),
        pytest.param({"yes": "no", "1": "2", "on": True, "x": 1e-6}, id="what YAML would misread"),
        pytest.param({"text": 'colons: "quotes" \\ # and … more\nlines'}, id="text with everything in it"),
        pytest.param({"x-kubernetes-validations": [{"rule": "a ? b : c"}]}, id="rules"),
    ],
)
def test_yaml_round_trip(value: object) -> None:
    assert yaml.safe_load(yaml_text(value)) == value


def test_the_reference_has_every_field_of_every_kind() -> None:
    text = outputs()["docs/reference/api.md"]
    for line in (
        "| `model.prompt` | string |",
        "| `fineTune.learningRate` | number | `0.001` |",
        "| `features.captions[].userHistory.maxItems` | integer | `50` |",
        "| `status.gates[].verdict` | `Pass` \\| `Fail` \\| `Skipped` | *required* |",
        "- weights must rise from step to step, as in 10, 50.",
    ):
        assert line in text, line
