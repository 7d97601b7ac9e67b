"""Whole or not there, and told in words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from saddle.base.files import atomic_folder, atomic_path, write_text
from saddle.errors import SaddleError
from saddle.runs.folder import RunFolder


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", ["nowhere/x.txt", "file/x.txt"])
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaddleError, match="cannot be written") as raised:
        write_text(tmp_path / place, "text")
    assert raised.value.remedy == "name a place that exists and may be written to"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path):
    write_text(tmp_path / "x.txt", "old")
    with pytest.raises(SaddleError, match="No space left") as raised, atomic_path(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        full()
    assert raised.value.remedy == "make room and run the same command again"
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["old"]


def test_a_folder_is_whole_or_absent(tmp_path: Path):
    final = tmp_path / "folder"
    with pytest.raises(SaddleError, match="No space left"), atomic_folder(final) as temporary:
        (temporary / "1").write_text("")
        full()
    assert not list(tmp_path.iterdir())
    final.mkdir()  # an empty one is taken
    with atomic_folder(final) as temporary:
        (temporary / "1").write_text("")
        assert not list(final.iterdir())
    assert list(tmp_path.rglob("*")) == [final, final / "1"]


def test_numbers_that_are_not_finite_come_back_from_the_log_as_numbers(tmp_path: Path):
    run = RunFolder(tmp_path)
    run.append_log({"images": 1, "loss": float("inf"), "other": float("-inf")})
    run.append_log({"images": 2, "loss": float("nan")})
    text = run.log.read_text()
    assert text == '{"images": 1, "loss": "inf", "other": "-inf"}\n{"images": 2, "loss": "nan"}\n'
    first, second = run.read_log()
    assert first == {"images": 1, "loss": float("inf"), "other": float("-inf")}
    assert second["loss"] != second["loss"]
    run.rewind(1, lambda _: None)
    assert run.log.read_text() == text.splitlines(keepends=True)[0]


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path):
    with pytest.raises(SaddleError, match=r"log\.jsonl cannot be written"):
        RunFolder(tmp_path / "nowhere").append_log({"images": 1})


def test_where_folders_cannot_be_opened_files_are_saved_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As on Windows."""
    real = os.open

    def no_folders(path: Any, *rest: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr(os, "open", no_folders)
    monkeypatch.setattr("sys.platform", "win32")
    write_text(tmp_path / "file.txt", "x")
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "inside.txt").write_text("y")
    assert (tmp_path / "file.txt").read_text() == "x"
    assert (tmp_path / "folder" / "inside.txt").read_text() == "y"
