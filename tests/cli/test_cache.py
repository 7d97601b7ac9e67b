"""``saddle cache`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def test_the_cache_is_shown_and_cleared(saddle, tmp_path: Path):
    Path("photos").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("photos/1.png")
    small = ["--set", "generator.network.widths=[8]", "--set", "discriminator.network.widths=[8]"]
    words = ["train", "mlp-tanh", "--data", "photos", "--set", "images=8", "--set", "batch_size=4", "--threads", "1"]
    assert saddle(*words, *small, "--out", "run").code == 0
    shown = saddle("cache")
    assert shown.code == 0
    assert str(tmp_path / "cache") in shown.out
    rows = {line.split()[0]: line.split()[1:] for line in shown.out.splitlines()[2:]}
    assert rows["images"][0] == "1"
    assert float(rows["images"][1]) > 12.2  # of 64 x 64 x 3 bytes, in kB
    assert rows["downloads"] == ["0", "0", "B"]
    cleared = saddle("cache", "clear")
    assert cleared.code == 0
    assert "removed" in cleared.out
    assert rows["images"] == next(line.split()[1:] for line in cleared.out.splitlines() if line.startswith("images"))
    assert list((tmp_path / "cache" / "images").iterdir()) == []
    assert "total      0        0 B" in saddle("cache").out


def test_inspect_tells_what_a_training_needs(saddle):
    Path("photos").mkdir()
    for side in (20, 30):
        Image.fromarray(np.full((side, 40), side, np.uint8)).save(f"photos/{side}.png")
    done = saddle("data", "inspect", "photos", "--out", "look.png")
    assert done.code == 0, done.err
    assert "a training would need:" in done.out
    assert "saddle train images --data photos --set data.size=16" in done.out
    assert Path("look.png").exists()
