"""Pictures one after the other in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saddle.errors import ConfigError, DataError
from saddle.show.animation import save_animation


def frames(mode: str, count: int = 5) -> list[Image.Image]:
    """Flat pictures, each brighter than the one before, so that no two are merged into one."""
    return [Image.new("L", (40, 24), 40 * index).convert(mode) for index in range(count)]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_every_frame_comes_back_in_its_place(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"film{suffix}"
    save_animation(frames(mode), path, seconds_per_frame=0.1)
    with Image.open(path) as film:
        assert (film.n_frames, film.info["loop"], film.size) == (5, 0, (40, 24))
        for index in range(5):
            film.seek(index)
            shown = np.asarray(film.convert("RGB")).astype(int)
            assert abs(shown - 40 * index).max() <= 6
            assert film.info["duration"] == pytest.approx(100)


def test_a_gif_shows_what_is_transparent_as_white(tmp_path: Path) -> None:
    clear = [Image.new("RGBA", (8, 8), (255, 0, 0, 0)), Image.new("RGBA", (8, 8), (255, 0, 0, 255))]
    save_animation(clear, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.convert("RGB").getpixel((4, 4)) == (255, 255, 255)


def test_one_frame_is_enough(tmp_path: Path) -> None:
    save_animation(frames("RGB", 1), tmp_path / "film.webp")
    with Image.open(tmp_path / "film.webp") as film:
        assert film.size == (40, 24)


@pytest.mark.parametrize("name", ["film.avi", "film"])
def test_an_unknown_suffix_names_those_that_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.webp or \.gif or \.png"):
        save_animation(frames("L"), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [[], [Image.new("L", (8, 8)), Image.new("L", (8, 9))]])
def test_frames_must_exist_and_agree_in_size(tmp_path: Path, bad: list[Image.Image]) -> None:
    with pytest.raises(DataError, match="one size"):
        save_animation(bad, tmp_path / "film.webp")
    assert not list(tmp_path.iterdir())
