"""Reading a log while it grows."""

from __future__ import annotations

import json
from pathlib import Path

from saddle.runs.following import Follower, read_end


def write(path: Path, numbers: range, mode: str = "a") -> None:
    with path.open(mode) as log:
        for number in numbers:
            log.write(json.dumps({"images": 10 * number, "loss": (number * 37) % 101, "epoch": 1.0}) + "\n")


def test_it_reads_on_where_it_stopped(tmp_path: Path):
    path, heard, begun = tmp_path / "log.jsonl", list[int](), list[None]()
    follower = Follower(path, lambda entry: heard.append(entry["images"]), lambda: begun.append(None))
    assert follower.read(1)
    assert follower.part().images == []
    write(path, range(1, 4))
    with path.open("a") as log:
        log.write('{"images": 40, "lo')
    follower.read(1)
    part = follower.part()
    assert part.images == heard == [10, 20, 30]
    assert list(part.figures) == ["loss"]
    with path.open("a") as log:
        log.write('ss": 5}\nno JSON\n')
    follower.read(1)
    assert follower.part(part.life, 1, 3).images == [40]
    write(path, range(1, 2), "w")  # shorter: it was begun anew
    follower.read(1)
    assert follower.part(part.life, 1, 3).images == [10]
    assert len(begun) == 3


def test_a_long_log_keeps_its_extremes_in_a_picture_that_does_not_grow(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    write(path, range(1, 9001))
    with path.open("a") as log:
        log.write('{"images": 90010, "loss": 1e6}\n{"images": 90020, "loss": "nan"}\n')
    follower = Follower(path)
    while not follower.read(0.01):
        pass
    part = follower.part()
    assert part.width == 16
    assert 1000 < len(part.images) <= 2048
    assert part.images == sorted(part.images)
    values = [value for value in part.figures["loss"] if value is not None]
    assert (min(values), max(values)) == (0, 1e6)
    window = follower.window(50_000, 52_000)
    assert window is not None
    assert window.width == 1
    assert {50_000, 51_000, 52_000} <= set(window.images)
    assert follower.part(part.life, part.width, follower.places).images[-1] == 90_020


def test_a_log_that_was_not_read_yet_shows_lines_from_all_over(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    write(path, range(1, 100_001))
    follower = Follower(path)
    assert not follower.read(0)
    part = follower.part()
    assert 200 < len(part.images) <= 401
    assert part.images[0] == 10
    assert part.images[-1] == 1_000_000
    assert part.done < 0.1


def test_the_end_of_a_log(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    assert read_end(path) == []
    write(path, range(1, 5000))
    with path.open("a") as log:
        log.write('{"images"')
    assert read_end(path)[0]["images"] == 49_990
