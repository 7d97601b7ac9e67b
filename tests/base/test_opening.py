from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from saddle.base import opening
from saddle.base.opening import kind_at, open_regular, read_at_most, read_up_to, shown


def test_a_regular_file_is_opened_and_inherited_by_nobody(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"
            assert not os.get_inheritable(file.fileno())


@pytest.mark.parametrize("path", ["fifo", "folder", "/dev/null", "nowhere", "nope" * 100, "a\0b", "\ud800", ""])
def test_all_else_is_refused_in_words(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    before = len([*Path("/dev/fd").iterdir()])
    with pytest.raises(OSError) as caught:
        open_regular(path)
    assert caught.value.strerror
    assert len([*Path("/dev/fd").iterdir()]) == before


def test_a_fifo_that_takes_the_files_place_is_refused_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between the look and the opening, another process may put something else there."""
    (tmp_path / "a").touch()
    os.mkfifo(tmp_path / "fifo")
    seen = (tmp_path / "a").stat()
    monkeypatch.setattr(opening, "_status", lambda _: seen)
    with pytest.raises(OSError, match="it is a FIFO, not a regular file"):
        open_regular(tmp_path / "fifo")


def test_what_is_there(tmp_path: Path):
    (tmp_path / "a").touch()
    (tmp_path / "itself").symlink_to("itself")
    assert (kind_at(tmp_path), kind_at(tmp_path / "a")) == ("folder", "file")
    assert kind_at(tmp_path / "b") is kind_at(tmp_path / "a" / "b") is None
    for odd in ("/dev/null", tmp_path / "itself", "nope" * 100, "a\0b"):
        with pytest.raises(OSError):
            kind_at(odd)


class Endless:
    """A stream without an end, which tells the most that was asked for at once."""

    def __init__(self) -> None:
        self.largest = self.given = 0

    def read(self, size: int, /) -> bytes:
        self.largest = max(self.largest, size)
        self.given += size
        return bytes(size)


def test_streams_are_counted_while_they_are_read():
    assert read_at_most(io.BytesIO(b"abc"), 3) == b"abc"
    assert read_up_to(io.BytesIO(b"abc"), 10**15) == b"abc"
    assert read_up_to(io.BytesIO(b"abc"), 2) == b"ab"
    assert read_up_to(io.BytesIO(b"abc"), 0) == b""
    stream = Endless()
    with pytest.raises(OSError, match=r"more than 1\.0 MB"):
        read_at_most(stream, 10**6)
    assert stream.given == 10**6 + 1
    assert stream.largest <= opening.PIECE


def test_names_can_be_written():
    assert shown("ä\n") == "ä\n"
    assert shown(os.fsdecode(b"a\xff")) == "a\\udcff"
    assert shown("\ud800") == "\\ud800"
