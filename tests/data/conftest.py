from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and no data sets lying about."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SADDLE_CACHE", str(folder))
    monkeypatch.delenv("SADDLE_DATA", raising=False)
    return folder
