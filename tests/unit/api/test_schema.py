"""The CRDs: what a structural schema may hold, and that `kubectl explain` has an answer for every field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import Field

from fathom_api.crd import CAPTION_JOB, KINDS, REC_MODEL, Kind, crd
from fathom_api.meta import ApiModel
from fathom_api.schema import structural

Schema = dict[str, Any]


def every_field(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Yield every schema below `schema`, with its path as in `kubectl explain`."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from every_field(field, f"{path}.{name}")
    if "items" in schema:
        yield f"{path}[]", schema["items"]
        yield from every_field(schema["items"], f"{path}[]")


def object_schema(kind: Kind) -> Schema:
    return crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


FIELDS = [each for kind in KINDS for each in every_field(object_schema(kind), kind.singular)]
NAMED = [(path, field) for path, field in FIELDS if not path.endswith(("[]", ".metadata"))]


def test_there_are_fields() -> None:
    assert len(NAMED) > 200


def test_every_field_is_explained_in_sentences() -> None:
    def is_sentence(text: str) -> bool:
        return bool(re.fullmatch(r"[A-Z`].*[.…]", text, re.DOTALL))

    assert [path for path, field in NAMED if not is_sentence(field.get("description", ""))] == []


def test_the_schema_is_structural() -> None:
    foreign = {"$ref", "$defs", "const", "title", "oneOf", "allOf"}
    typed = {"type", "x-kubernetes-int-or-string"}
    assert [path for path, field in FIELDS if foreign & set(field) or not typed & set(field)] == []


def test_only_a_number_or_text_may_be_one_of_two_types() -> None:
    assert [p for p, f in FIELDS if "anyOf" in f and "x-kubernetes-int-or-string" not in f] == []


def test_a_default_is_one_of_the_choices() -> None:
    assert [p for p, f in FIELDS if "enum" in f and f.get("default", f["enum"][0]) not in f["enum"]] == []


def test_text_and_lists_in_specs_have_an_end() -> None:
    """The API server bounds the cost of rules by these; and an object must fit etcd."""
    spec = [(path, field) for path, field in FIELDS if ".spec." in path and "enum" not in field]
    assert [p for p, f in spec if f.get("type") == "array" and "maxItems" not in f] == []
    assert [p for p, f in spec if f.get("type") == "string" and not {"maxLength", "pattern"} & set(f)] == []


def test_a_choice_of_one_is_still_a_choice() -> None:
    class Model(ApiModel):
        media_type: Literal["Image"] = Field(default="Image", description="Kind.")

    assert structural(Model)["properties"]["mediaType"] == {
        "description": "Kind.",
        "type": "string",
        "enum": ["Image"],
        "default": "Image",
    }


def test_above_zero_is_said_as_openapi_says_it() -> None:
    class Model(ApiModel):
        rate: float = Field(gt=0, description="Rate.")

    schema = structural(Model)["properties"]["rate"]
    assert (schema["minimum"], schema["exclusiveMinimum"]) == (0, True)


def test_the_default_of_an_object_is_left_to_its_fields() -> None:
    spec = object_schema(CAPTION_JOB)["properties"]["spec"]["properties"]
    assert spec["features"]["default"] == {}
    assert spec["features"]["properties"]["minCount"]["default"] == 5


def test_the_default_of_an_object_with_rules_is_whole() -> None:
    """The API server tries the rules on the default as it stands, when the CRD is made."""
    split = object_schema(REC_MODEL)["properties"]["spec"]["properties"]["data"]["properties"]["split"]
    assert "x-kubernetes-validations" in split
    assert split["default"] == {"strategy": "Time", "validation": 0.1, "test": 0.1, "seed": 0}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_status_is_written_apart_from_the_spec(kind: Kind) -> None:
    assert crd(kind)["spec"]["versions"][0]["subresources"] == {"status": {}}


@pytest.mark.parametrize(
    ("kind", "narrow", "wide"),
    [
        pytest.param(
            CAPTION_JOB,
            ["Stage", "Done", "Items", "Failed", "Per-s", "Ready", "Age"],
            ["ETA", "Cost", "Next-run", "Reused", "Vocabulary", "Coverage", "Reason", "Message"],
            id="CaptionJob: how far, how fast, what is wrong",
        ),
        pytest.param(
            REC_MODEL,
            ["Stage", "Stable", "Candidate", "Weight", "AUC", "Lift", "Ready", "Age"],
            [
                "GAUC",
                "NE",
                "Training",
                "Rows-per-s",
                "Gate",
                "Since",
                "Next-retrain",
                "URL",
                "Reason",
                "Message",
            ],
            id="RecModel: how good, what is served, what is wrong",
        ),
    ],
)
def test_what_kubectl_get_shows(kind: Kind, narrow: list[str], wide: list[str]) -> None:
    columns = crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == narrow
    assert [c["name"] for c in columns if c.get("priority")] == wide


def test_no_short_name_is_one_of_kubernetes_own() -> None:
    """`kubectl get cj` lists CronJobs whatever we say: the built-in kind wins."""
    taken = {
        "cj",
        "cm",
        "cs",
        "ds",
        "ep",
        "ev",
        "hpa",
        "ing",
        "no",
        "ns",
        "po",
        "pv",
        "pvc",
        "rc",
        "rs",
        "sa",
        "sc",
    }
    assert not taken & {kind.short for kind in KINDS}
