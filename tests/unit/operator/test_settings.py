"""Settings come from the environment, and a wrong one is named."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fathom_operator.settings import Settings


def test_without_an_environment_everything_has_a_default() -> None:
    settings = Settings.from_environment({})
    assert settings.captioner_image.startswith("dev.local/fathom-captioner:")
    assert settings.namespaces == ()
    assert settings.progress_url is None


def test_an_empty_variable_counts_as_unset() -> None:
    settings = Settings.from_environment({"FATHOM_PROGRESS_URL": "", "FATHOM_WORKERS": ""})
    assert (settings.progress_url, settings.workers) == (None, 4)


def test_namespaces_are_separated_by_commas() -> None:
    assert Settings.from_environment({"FATHOM_WATCH_NAMESPACES": "shop, films,"}).namespaces == (
        "shop",
        "films",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FATHOM_WORKERS", "0"),
        ("FATHOM_IMAGE_PULL_POLICY", "sometimes"),
        ("FATHOM_HTTP_PORT", "http"),
        ("FATHOM_PRICES", "cheap"),
        ("FATHOM_PRICES", '{"cpuHour": -1}'),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.from_environment({name: value})
