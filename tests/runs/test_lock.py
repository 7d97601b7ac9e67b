"""Who may train in a folder, and what a folder may hold."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from saddle.errors import RunError
from saddle.runs.folder import RunFolder
from saddle.runs.lock import held

pytest.importorskip("fcntl")


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path: Path):
    run = RunFolder(tmp_path / "run")
    with held(run), pytest.raises(RunError, match="another process"), held(run):
        pass
    with held(run):
        pass


def test_what_held_no_run_is_removed_with_the_folders_that_were_made(tmp_path: Path):
    with pytest.raises(KeyError), held(RunFolder(tmp_path / "a" / "b" / "run")):
        raise KeyError
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with held(RunFolder(tmp_path / "mine")):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_with_a_run_stays(tmp_path: Path):
    run = RunFolder(tmp_path / "run")
    with held(run):
        run.config.write_text("x")
    assert run.exists()


def test_a_lock_file_that_is_a_link_empties_nothing(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.lock.symlink_to(victim)
    with pytest.raises(RunError, match="is a link"), held(run):
        pass
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["log.jsonl", "samples", "checkpoints", "generator.safetensors", "config.toml"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, name: str):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.config.write_text("x")
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).symlink_to(tmp_path)
    (run.config if name != "config.toml" else run.log).touch()
    with pytest.raises(RunError, match=f"{name} is a link"):
        run._check_entries()


@pytest.mark.parametrize(("name", "folder"), [("samples", False), ("log.jsonl", True), ("generator.safetensors", True)])
def test_entries_of_the_wrong_kind_are_refused(tmp_path: Path, name: str, folder: bool):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.config.write_text("x")
    path = run.path / name
    path.mkdir() if folder else path.write_text("x")
    with pytest.raises(RunError, match="is not a"):
        run.check()


def test_a_path_that_is_not_utf8_is_refused_before_anything_is_made(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"bad\xff")
    with pytest.raises(RunError, match="not text in UTF-8"), held(RunFolder(path)):
        pass
    assert not list(tmp_path.iterdir())


def test_damaged_lines_of_the_log_are_named_and_cost_only_themselves(tmp_path: Path):
    run = RunFolder(tmp_path)
    good = [f'{{"images": {number}}}\n' for number in range(1, 5)]
    run.log.write_bytes(good[0].encode() + b"\xff{]\n" + "".join(good[1:]).encode() + b'{"images": 9')
    said: list[str] = []
    run.rewind(3, said.append)
    assert [entry["images"] for entry in run.read_log()] == [1, 2, 3]
    assert len(said) == 1
    assert "line 2" in said[0]


def test_a_look_at_the_lock_does_not_stop_a_training_from_starting(tmp_path: Path):
    """``saddle list`` holds a shared lock for a moment."""
    import fcntl

    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.lock.touch()
    look = run.lock.open("rb")
    fcntl.flock(look, fcntl.LOCK_SH)
    timer = threading.Timer(0.1, look.close)
    timer.start()
    with held(run):
        pass
    timer.join()
