"""Real SIGKILLs at random moments, over all recipes by turns: the result must equal that of a run without a kill.

    python benchmarks/kills.py --kills 200 --seed 0

Each recipe trains a short run in processes of its own, which are killed while they start, decode images, train, score,
save a checkpoint or write the report. Then it is left to finish, and compared with an uninterrupted run: generator,
best generator, scores, grids and log (times apart) must be equal, and nothing half-written may be left. The exit code
is 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from saddle.config import load_recipe, recipe_names, resolve
from saddle.config.schema import Config

ROUNDS, BATCH = 400, 8
SETTINGS = ("checkpoint.every={eighth}", "samples.every={quarter}", "evaluate.every={quarter}", "evaluate.count=200")


def words(name: str, images: Path, out: Path) -> list[str]:
    """The command of a short run of the recipe."""
    config = resolve(load_recipe(name))
    batch = max(config.game.packing, BATCH)
    length = ROUNDS * batch * config.game.discriminator_steps
    settings = [f"images={length}", f"batch_size={batch}"]
    settings += [text.format(eighth=length // 8, quarter=length // 4) for text in SETTINGS]
    data = ["--data", str(images) if name == "images" else "digits"]
    if name == "images":
        settings.append("data.size=16")
    if is_points(config):
        data = []
        settings[3:] = [f"samples.every={length // 4}"]
    if config.data.first:
        settings.append("data.first=1000")
    if "parzen" in config.evaluate.metric:
        settings.append("evaluate.metric=fd")
    sets = [part for setting in settings for part in ("--set", setting)]
    return ["train", name, *data, "--threads", "1", "--device", "cpu", "--out", str(out), *sets]


def is_points(config: Config) -> bool:
    return "(" in config.data.source


def start(command: list[str], cache: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"SADDLE_CACHE": str(cache)}
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", "saddle", *command], env=environment, stdout=quiet, stderr=quiet)


def killed(command: list[str], cache: Path, kills: int, chance: random.Random, seconds: float) -> int:
    """Kill that many times at random moments of ``seconds``, then let it finish; how many processes were hit."""
    hit = 0
    while hit < kills:
        process = start(command, cache)
        time.sleep(chance.uniform(0, seconds))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            hit += 1
        elif process.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {process.returncode}")
        else:
            shutil.rmtree(command[command.index("--out") + 1])  # it had finished: begin once more
        process.wait()
    if start(command, cache).wait():
        raise SystemExit(f"{' '.join(command)}: it did not finish after the kills")
    return hit


def result(folder: Path) -> dict[str, Any]:
    """What must be equal."""
    files = ("generator.safetensors", "best.safetensors", "classifier.safetensors", "scores.jsonl")
    found: dict[str, Any] = {name: (folder / name).read_bytes() for name in files if (folder / name).exists()}
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    found["log"] = [{key: line[key] for key in line if key not in ("seconds", "images_per_second")} for line in lines]
    found["grids"] = [(path.name, path.read_bytes()) for path in sorted((folder / "samples").iterdir())]
    found["report"] = (folder / "report.html").is_file()
    return found


def leftovers(folder: Path, cache: Path) -> list[Path]:
    """Half-written files of the run; of the cache, what another process may still be writing stays for a day."""
    return [path for path in folder.rglob(".*") if "partial" in path.name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", action="append", help="only this one; repeatable")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    names = arguments.recipe or recipe_names()
    shares = [arguments.kills // len(names) + (number < arguments.kills % len(names)) for number in range(len(names))]
    total, wrong = 0, 0
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        images = root / "images"
        pixels = np.random.default_rng(0)
        for number in range(600):
            path = images / f"class {number % 3}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.integers(0, 256, (20, 24, 3), np.uint8)).save(path)
        for name, kills in zip(names, shares, strict=True):
            whole, parts = root / "whole" / name, root / "parts" / name
            began = time.monotonic()
            if start(words(name, images, whole), root / "cache" / name).wait():
                raise SystemExit(f"{name}: the uninterrupted run failed")
            seconds = time.monotonic() - began
            # Another cache: images are decoded anew, and real samples are looked at anew.
            cache = root / "other" / name
            total += killed(words(name, images, parts), cache, kills, chance, 1.1 * seconds)
            first, second = result(whole), result(parts)
            differs = [key for key in first if first[key] != second.get(key)]
            left = leftovers(parts, cache)
            wrong += bool(differs or left)
            verdict = "equal" if not differs else f"DIFFERS in {', '.join(differs)}"
            print(f"{name:<22} {kills:>3} kills in {seconds:4.1f} s: {verdict}; {len(left)} leftovers", flush=True)
    print(f"{total} kills over {len(names)} recipes: {wrong} recipes differ or left something")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
