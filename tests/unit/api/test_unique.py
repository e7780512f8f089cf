"""Lists without duplicates."""

import pytest
from pydantic import ValidationError

from fathom_api.recmodel import Features

JOB = {"captionJob": "catalog"}


@pytest.mark.parametrize(
    "captions",
    [
        pytest.param([JOB, {**JOB, "aspect": "mood"}], id="two aspects of one job"),
        pytest.param([JOB, {"captionJob": "other"}], id="the same aspect of two jobs"),
    ],
)
def test_entries_that_differ_in_one_key_are_two(captions: list[dict[str, str]]) -> None:
    assert len(Features.model_validate({"captions": captions}).captions) == 2


def test_entries_that_differ_in_no_key_are_refused_even_where_a_default_says_the_same() -> None:
    with pytest.raises(ValidationError, match="catalog/caption must not be there twice"):
        Features.model_validate({"captions": [JOB, {**JOB, "aspect": "caption"}]})


def test_the_api_server_tells_entries_apart_by_the_same_keys() -> None:
    schema = Features.model_json_schema()["properties"]["captions"]
    assert schema["x-kubernetes-list-type"] == "map"
    assert schema["x-kubernetes-list-map-keys"] == ["captionJob", "aspect"]
