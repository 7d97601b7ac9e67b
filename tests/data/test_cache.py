from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.data.cache import cache_contents, clear_cache
from saddle.errors import DataError

ENTRY = "0123456789abcdef" * 2


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def contents() -> dict[str, tuple[int, int]]:
    return {kind: (entries, size) for kind, entries, size in cache_contents()}


def test_a_cache_that_is_not_there_is_empty(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SADDLE_CACHE", str(cache / "nowhere"))
    assert contents() == {"images": (0, 0), "features": (0, 0), "downloads": (0, 0)}
    assert sum(held.entries for held in clear_cache()) == 0
    assert not (cache / "nowhere").exists()


def test_everything_is_counted_and_removed(cache: Path, tmp_path: Path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "1.png")
    assert len(open_data(DataConfig(source=str(tmp_path)))) == 1
    write(cache / "features" / "pixels-0.safetensors", 30)
    write(cache / "mnist" / "train-images-idx3-ubyte.gz", 5)
    write(cache / "mnist" / "t10k-labels.idx1-ubyte", 6)
    write(cache / "cifar10" / "cifar-10-binary.tar.gz", 7)
    before = contents()
    assert before["features"] == (1, 30)
    assert before["downloads"] == (3, 18)
    assert before["images"][0] == 1
    assert before["images"][1] > 16
    assert {kind: (entries, size) for kind, entries, size in clear_cache()} == before
    assert contents() == {"images": (0, 0), "features": (0, 0), "downloads": (0, 0)}
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    assert len(open_data(DataConfig(source=str(tmp_path)))) == 1  # made anew


def test_other_files_are_not_touched(cache: Path):
    """Should SADDLE_CACHE name a folder in which other things lie, too."""
    kept = [write(cache / name, 3) for name in ("images/holiday.png", "images/2024/a.png", "mnist/notes.txt", "x.txt")]
    write(cache / "images" / ENTRY / "values.bin", 4)
    assert contents()["images"] == (1, 4)
    clear_cache()
    assert all(path.is_file() for path in kept)
    assert not (cache / "images" / ENTRY).exists()


def test_links_are_not_followed(cache: Path, tmp_path: Path):
    outside = write(tmp_path / "outside" / "values.bin", 100)
    write(tmp_path / "outside" / "a.safetensors", 100)
    (cache / "features").symlink_to(tmp_path / "outside", target_is_directory=True)
    (cache / "images" / ENTRY).mkdir(parents=True)
    (cache / "images" / ENTRY / "values.bin").symlink_to(outside)
    (cache / "images" / ENTRY / "folder").symlink_to(tmp_path / "outside", target_is_directory=True)
    (cache / "images" / ENTRY[::-1]).symlink_to(tmp_path / "outside", target_is_directory=True)
    assert contents()["images"][0] == 1
    assert contents()["images"][1] < 500  # the links' own size
    assert contents()["features"] == (0, 0)
    clear_cache()
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["a.safetensors", "values.bin"]
    assert outside.stat().st_size == 100
    assert not (cache / "images" / ENTRY).exists()


def test_what_another_process_writes_stays(cache: Path):
    fresh = write(cache / "images" / "tmpabc.partial" / "values.bin", 4)
    stale = write(cache / "images" / "tmpxyz.partial" / "values.bin", 4)
    os.utime(stale.parent, (0, 0))
    half = write(cache / "features" / ".pixels-0.12.partial.safetensors", 4)
    clear_cache()
    assert fresh.exists()
    assert half.exists()
    assert not stale.parent.exists()


def test_what_the_file_system_refuses_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch):
    write(cache / "features" / "a.safetensors", 4)

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(DataError, match=r"a.safetensors cannot be removed"):
        clear_cache()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"features cannot be read"):
        cache_contents()
