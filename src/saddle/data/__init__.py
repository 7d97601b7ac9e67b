"""Data of every kind become one ``Store``: named sets, image folders and zips, arrays, tables, drawn points."""

from __future__ import annotations

from saddle.base.progress import Progress
from saddle.data.inspect import Inspection, inspect_data
from saddle.data.objects import from_object
from saddle.data.sources import NAMES, open_data
from saddle.data.store import Skipped, Store

__all__ = ["NAMES", "Inspection", "Progress", "Skipped", "Store", "from_object", "inspect_data", "open_data"]
