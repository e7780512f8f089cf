from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut would do is not tested here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
