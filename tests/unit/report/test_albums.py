"""Pictures that cannot be had cost a report its pictures, not more."""

import logging

import pytest

from fathom.errors import InvalidInputError
from fathom.report import pictures
from fathom.report.albums import album_of
from fathom_api.tasks import AnySource

SOURCE = AnySource(uri="items.parquet")


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError("NotFound", "no such table"),
        OSError("the store does not answer"),
        ImportError("nothing decodes media here"),
    ],
)
def test_a_source_that_cannot_be_opened_leaves_a_report_without_pictures_and_says_why(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(source: AnySource) -> pictures.Album:
        raise error

    monkeypatch.setattr(pictures, "open_album", gone)
    with caplog.at_level(logging.WARNING, "fathom"):
        assert album_of(SOURCE) is None
    assert str(error) in caplog.text


def test_a_report_of_no_source_has_no_pictures() -> None:
    assert album_of(None) is None
