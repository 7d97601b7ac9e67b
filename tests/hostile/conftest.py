"""Whatever is handed in: a clear answer, and nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

# The same examples each time, and no folder in which examples are kept.
settings.register_profile("fixed", derandomize=True, database=None, deadline=None, max_examples=150)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Details of errors that nobody foresaw go to the test's folder; the tiniest floats are as other tests found them.

    A training flushes those to zero for the whole process, and hypothesis needs them.
    """
    torch.set_flush_denormal(False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs a line of bash, in which ``saddle`` is the command, in a fresh folder; a traceback fails the test."""

    def run(line: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-c", f'saddle() {{ "{sys.executable}" -m saddle "$@"; }}\n{line}'],
            check=False, cwd=tmp_path, env=os.environ | env, capture_output=True, errors="replace", timeout=100,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """Starts ``saddle WORDS`` in a fresh folder, with both outputs in one pipe."""

    def run(*words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "saddle", *words],
            cwd=tmp_path, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    return run
