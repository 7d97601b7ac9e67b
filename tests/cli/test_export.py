"""``saddle export`` and ``saddle serve`` where nothing can be written or served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export", "none", "--to", "pdf"), "--to onnx or --to html"),
        (("export", "none", "--runtime", "folder"), "--runtime is of pages"),
        (("export", "none"), "none"),
        (("export", "none", "--to", "html"), "none"),
        (("serve", "none", "--port", "0"), "none"),
        (("serve", "none", "--most", "0"), "--most of at least 1"),
    ],
)
def test_errors_are_told_and_nothing_is_left(saddle: Any, tmp_path: Path, words: tuple[str, ...], said: str):
    done = saddle(*words)
    assert done.code == 2
    assert said in done.err
    assert not list(tmp_path.iterdir())
