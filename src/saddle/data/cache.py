"""The user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from saddle.errors import DataError


def cache_folder() -> Path:
    """``$SADDLE_CACHE``, else ``$XDG_CACHE_HOME/saddle``, else ``~/.cache/saddle``; it need not exist."""
    if own := os.environ.get("SADDLE_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "saddle"
    return Path.home() / ".cache" / "saddle"


def unusable_cache(error: OSError) -> DataError:
    """What to tell the user when the cache cannot be written."""
    return DataError(
        f"the cache folder {cache_folder()} cannot be written",
        got=error.strerror or error,
        remedy="make room there, or set SADDLE_CACHE to another folder",
    )
