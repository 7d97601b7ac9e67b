"""The bytes that short runs end with: run it at two commits, and equal lines mean that training did not change.

    python tools/same_bytes.py

Each line is the SHA-256 of the ``generator.safetensors`` that a recipe's short run wrote on one thread of a CPU. What
newer defaults may decide otherwise (the ends of schedules) is set here. Between processors the bytes may differ.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from saddle.config.schema import AdamConfig


def _falling(player: str, rate: float) -> list[str]:
    """A rate that falls to zero from 1,000 to 4,000 images, as this version of saddle writes it."""
    optimizer, line = f"{player}.optimizer", "to=0.0, start=1000, end=4000"
    if "schedule" in AdamConfig.model_fields:
        return [f"{optimizer}.schedule={{kind='linear', {line}}}"]
    return [f"{optimizer}.learning_rate={{value={rate}, {line}}}"]


RUNS: dict[str, list[str]] = {
    "mlp-dropout": ["images=3000"],
    "digits": [
        "images=4000",
        *_falling("generator", 2e-3),
        *_falling("discriminator", 5e-4),
    ],  # batch norm, averages, schedule
    "images": ["images=2000", "data.size=16"],  # convolutions, lazy penalties, labels by projection
    "cgan": ["images=3000"],  # labels
    "semi-supervised": ["images=3000", "data.labelled=100"],
    "ring8": ["images=20000", *_falling("generator", 1e-3), *_falling("discriminator", 1e-3)],  # points
    "ring8-pacgan": ["images=3200", "game.packing=2"],  # packing
    "dcgan": ["images=1000"],  # convolutions with batch norm in D
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for recipe, settings in RUNS.items():
            out = Path(folder) / recipe
            data = [] if recipe.startswith("ring") else ["--data", "digits"]
            options = [part for setting in settings for part in ("--set", setting)]
            command = ["saddle", "train", recipe, *data, "--out", str(out), *options]
            on_one_thread = ["--device", "cpu", "--threads", "1"]
            subprocess.run([sys.executable, "-m", *command, *on_one_thread], check=True, capture_output=True)
            digest = hashlib.sha256((out / "generator.safetensors").read_bytes()).hexdigest()
            print(f"{digest}  {recipe}", flush=True)


if __name__ == "__main__":
    main()
