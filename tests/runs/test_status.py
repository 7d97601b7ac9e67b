"""How runs stand, read from their folders alone."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from saddle.config import Config, load_config, load_recipe, parse_settings, resolve, to_toml
from saddle.config.resolve import settle
from saddle.errors import RunError
from saddle.runs.folder import RunFolder
from saddle.runs.status import Status, find_runs, is_locked, read_status, resume_command


def start(path: Path, *assignments: str, recipe: str = "mlp-tanh", command: str | None = "saddle train x") -> RunFolder:
    run = RunFolder(path)
    run.create()
    run.lock.touch()
    run.checkpoints.mkdir()
    config = resolve(load_recipe(recipe), parse_settings(assignments))
    run.config.write_text(to_toml(config), encoding="utf-8")
    if command is not None:
        run.environment.write_text(json.dumps({"command": command}), encoding="utf-8")
    return run


def log(run: RunFolder, images: int, **more: Any) -> None:
    run.append_log({"images": images, "epoch": images / 1500, "seconds": images / 1000, **more})


def status(run: RunFolder) -> Status:
    return read_status(run, load_config(run.config))


def test_a_new_run_is_stopped_at_nothing(tmp_path: Path):
    found = status(start(tmp_path / "run", "images=1000"))
    assert (found.state, found.images, found.total, found.seconds, found.score) == ("stopped", 0, 1000, None, None)
    assert found.progress == "0 of 1,000 images (0 %)"


def test_a_run_is_finished_once_its_end_is_saved(tmp_path: Path):
    run = start(tmp_path / "run", "images=1000")
    run.checkpoint(640).touch()
    log(run, 1024)
    assert status(run).state == "stopped"  # killed between the last line and the last checkpoint
    assert (status(run).images, status(run).saved) == (1024, 640)
    run.checkpoint(1024).touch()
    assert status(run).state == "finished"
    assert status(run).progress == "1,024 of 1,000 images (100 %)"
    for _, path in run.all_checkpoints():  # a user makes room
        path.unlink()
    assert status(run).state == "finished"


def test_epochs_become_images_by_the_log(tmp_path: Path):
    run = start(tmp_path / "run", "epochs=20")
    assert status(run).total is None
    assert status(run).progress == "0 images of 20 epochs"
    log(run, 3000)
    assert (status(run).state, status(run).total) == ("stopped", 30_000)
    assert status(run).progress == "3,000 of 30,000 images (10 %)"
    run.append_log({"images": 30_000, "epoch": 19.9999})  # the log has four decimals
    assert status(run).state == "finished"


def test_a_run_that_diverged(tmp_path: Path):
    run = start(tmp_path / "run", "images=1000")
    run.diverged.write_text("the loss is nan\n")
    assert status(run).state == "diverged"


def test_a_held_lock_means_running_and_looking_changes_nothing(tmp_path: Path):
    run = start(tmp_path / "run", "images=1000")
    run.diverged.write_text("earlier")
    run.lock.write_text("kept")
    with run.lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert status(run).state == "running"
    assert status(run).state == "diverged"
    assert run.lock.read_text() == "kept"
    run.lock.unlink()
    assert not is_locked(run)
    assert not run.lock.exists()


def test_a_lock_that_is_a_pipe_or_a_link_is_none(tmp_path: Path):
    run = start(tmp_path / "run", "images=1000")
    run.lock.unlink(missing_ok=True)
    os.mkfifo(run.lock)
    assert not is_locked(run)
    run.lock.unlink()
    (tmp_path / "other").touch()
    run.lock.symlink_to(tmp_path / "other")
    with (tmp_path / "other").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not is_locked(run)


def test_looking_does_not_keep_the_lock(tmp_path: Path):
    run = start(tmp_path / "run", "images=1000")
    assert not is_locked(run)
    with run.lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_score_time_and_last_writing(tmp_path: Path):
    run = start(tmp_path / "run", "images=1000")
    log(run, 500)
    run.append_scores({"images": 300, "epoch": 0.2, "fd": 3.0, "best": True})
    run.append_scores({"images": 400, "epoch": 0.3, "fd": 4.0, "best": False})
    for file in (run.config, run.environment, run.log, run.scores):
        os.utime(file, (1e9, 1e9))
    os.utime(run.log, (1.5e9, 1.5e9))
    found = status(run)
    assert (found.seconds, found.score) == (0.5, ("fd", 4.0))
    assert found.written.timestamp() == 1.5e9


def test_damaged_lines_are_left_out(tmp_path: Path):
    run = start(tmp_path / "run", "images=1000")
    log(run, 100)
    with run.log.open("ab") as file:
        file.write(b'null\n[3]\n{"images": "many"}\n{"epoch": 1}\n\xff\xfe\n')
    log(run, 200, generator_loss=float("nan"))
    with run.log.open("ab") as file:
        file.write(b'{"images": 300, "ep')
    assert status(run).images == 200
    assert [entry["images"] for entry in run.read_log()] == [100, 200]
    run.rewind(150, lambda _: None)
    assert [entry["images"] for entry in run.read_log()] == [100]


def test_runs_are_found_below_a_folder(tmp_path: Path):
    for name in ("b", "a/deep/run", "a/first", ".hidden/run"):
        start(tmp_path / name)
    start(tmp_path / "b" / "samples" / "inner")  # inside a run is no other
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.toml").write_text("[tool]\n")
    found = [str(run.path.relative_to(tmp_path)) for run in find_runs(tmp_path)]
    assert found == ["a/deep/run", "a/first", "b"]
    assert [run.path for run in find_runs(tmp_path / "b")] == [tmp_path / "b"]
    with pytest.raises(RunError, match="there is no folder"):
        list(find_runs(tmp_path / "nowhere"))


def rebuilt(command: str) -> Config:
    """The config that a command of ours gives."""
    words = shlex.split(command)
    assert words[:2] == ["saddle", "train"]
    named = {"--data": "data.source", "--seed": "seed"}
    pairs = list(zip(words[3::2], words[4::2], strict=True))
    settings = [
        value if option == "--set" else f"{named[option]}={value}" for option, value in pairs if option != "--out"
    ]
    return resolve(load_recipe(words[2]), parse_settings(settings))


@pytest.mark.parametrize(
    "assignments",
    [
        [],
        ["seed=3", "data.source=my data", "game.r1=1"],
        ["epochs=7"],
        ["generator.network.family=dcgan", "generator.network.width=16", "data.size=[16,32]"],
        ["generator.optimizer.learning_rate={ value = 1e-3, to = 0, start = '50%' }"],
    ],
)
def test_the_command_that_resumes_gives_the_same_config(tmp_path: Path, assignments: list[str]):
    run = start(tmp_path / "my run", *assignments)
    config = settle(load_config(run.config), {}, total=1000)
    run.config.write_text(to_toml(config), encoding="utf-8")
    command = resume_command(run, config)
    assert command is not None
    assert command.startswith("saddle train mlp-tanh --out ")
    assert shlex.split(command)[4] == str(run.path)
    assert settle(rebuilt(command), {}, total=9, recorded=config) == config  # as the session does


def test_what_auto_chose_is_left_to_auto(tmp_path: Path):
    run = start(tmp_path / "run")
    config = load_config(run.config)
    chosen = config.model_copy(update={"device": "cuda:1", "threads": 3})
    command = resume_command(run, chosen)
    assert command is not None
    assert rebuilt(command) == config


def test_where_the_recipe_is_a_file_the_recorded_command_is_told(tmp_path: Path):
    (tmp_path / "mine.toml").write_text("images = 3\n")
    run = start(
        tmp_path / "run", recipe=str(tmp_path / "mine.toml"), command="__main__.py train mine.toml --out 'my run'"
    )
    assert resume_command(run, load_config(run.config)) == "saddle train mine.toml --out 'my run'"


def test_a_run_started_from_python_has_no_command(tmp_path: Path):
    own = ["generator.network.family=custom", "generator.network.name=Mine", "generator.network.parameters=3"]
    for number, (assignments, command) in enumerate([([], "notebook.py"), ([], None), (own, "saddle train x")]):
        run = start(tmp_path / str(number), *assignments, command=command)
        assert resume_command(run, load_config(run.config)) is None
    run.environment.write_text("[]")
    assert resume_command(run, load_config(start(tmp_path / "other").config)) is None


def test_it_does_not_need_torch():
    script = "import saddle.runs.status, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
