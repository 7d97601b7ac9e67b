"""Real processes, really killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPE = """
images = 40_000
batch_size = 16
threads = 1
[latent]
size = 8
[generator.network]
widths = [32]
norm = "batch"
dropout = 0.1
[discriminator.network]
widths = [32]
[game]
r1 = 0.1
[average]
half_life = 1000
[checkpoint]
every = 1_000
[samples]
every = 8_000
[log]
every = 1_000
"""
KILLS = 10


def start(folder: Path, out: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "saddle", "train", "killed.toml", "--out", out]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
    )


def newest(folder: Path, out: str) -> str:
    return max((path.name for path in (folder / out / "checkpoints").glob("[0-9]*")), default="")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments_the_result_is_the_same_bytes(tmp_path: Path):
    (tmp_path / "killed.toml").write_text(RECIPE)
    moments = random.Random(0)
    kills = 0
    while kills < KILLS:
        before = newest(tmp_path, "killed")
        process = start(tmp_path, "killed")
        # Wait until it gets somewhere, so that ten kills are ten different places; then strike at any moment.
        while newest(tmp_path, "killed") == before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.25))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"finished before kill {kills + 1}: make the run longer"
        kills += 1
    output, _ = (process := start(tmp_path, "killed")).communicate()
    assert process.returncode == 0, output
    assert "resuming at" in output

    output, _ = (process := start(tmp_path, "whole")).communicate()
    assert process.returncode == 0, output
    for name in ("generator.safetensors", "best.safetensors", "alarms.jsonl"):
        whole, killed = (tmp_path / out / name for out in ("whole", "killed"))
        assert killed.read_bytes() == whole.read_bytes(), name
    grids = sorted(path.name for path in (tmp_path / "whole" / "samples").iterdir())
    assert sorted(path.name for path in (tmp_path / "killed" / "samples").iterdir()) == grids


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_process_asked_to_stop_exits_with_the_signals_code(tmp_path: Path, number: int, code: int):
    (tmp_path / "killed.toml").write_text(RECIPE.replace("64_000", "10_000_000"))
    process = start(tmp_path, "run")
    while not newest(tmp_path, "run"):
        time.sleep(0.01)
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == code
    assert "run the same command again to resume" in output
    assert "Traceback" not in output
