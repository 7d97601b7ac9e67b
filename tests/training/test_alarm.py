"""The alarm of real trainings: what is told, what is kept, and what the run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import saddle
from saddle.errors import Collapsed, ConfigError
from saddle.health.course import read_health
from saddle.runs.edits import read_edits
from saddle.runs.folder import RunFolder
from saddle.training.steering import Steering

# Small networks at the tutorial's rates, which make few kinds of sample and stay there.
COLLAPSING = {
    "images": 40_000, "threads": 1, "samples.every": 40_000, "generator.network.widths": [16],
    "discriminator.network.widths": [16],
}  # fmt: skip


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("alarm") / "run"
    return saddle.train("mlp-tanh", data="digits", out=out, settings=COLLAPSING).folder


def told(run: RunFolder) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.alarms.read_text().splitlines()]


def test_a_collapse_is_told_and_can_be_found_again(collapsed: RunFolder):
    first = told(collapsed)[0]
    assert first["verdict"] == "collapsed" and int(str(first["images"])) < 40_000
    assert read_health(collapsed).now.kind == "collapsed"


def test_the_best_generator_is_kept_without_scores(collapsed: RunFolder):
    looks = [entry for entry in collapsed.read_log() if "distance" in entry]
    best = min(looks, key=lambda entry: entry["distance"])
    assert saddle.load(collapsed.best).header.images_seen == best["images"]


def test_a_run_that_has_collapsed_stops_and_may_go_on(tmp_path: Path):
    out = tmp_path / "run"
    settings = {**COLLAPSING, "health.on_collapse": "stop"}
    with pytest.raises(Collapsed, match="G makes nearly one kind"):
        saddle.train("mlp-tanh", data="digits", out=out, settings=settings)
    run = RunFolder(out)
    assert run.generator.is_file() and run.all_checkpoints()
    with pytest.raises(Collapsed):  # whoever types the same has not read it
        saddle.train("mlp-tanh", data="digits", out=out, settings=settings)
    again = saddle.train("mlp-tanh", data="digits", out=out, settings=COLLAPSING)
    assert again.log[-1]["images"] >= 40_000


@pytest.mark.slow
def test_a_run_goes_back_with_gentler_settings_and_repeats(tmp_path: Path):
    settings = {**COLLAPSING, "health.on_collapse": "rollback", "health.rollbacks": 1}
    run = saddle.train("mlp-tanh", data="digits", out=tmp_path / "run", settings=settings).folder
    (edit,) = read_edits(run.edits)
    assert edit.images == 0 and edit.rolled_back_from is not None
    assert edit.set["generator.optimizer.learning_rate"] == pytest.approx(5e-5) and edit.set["game.r1"] == 1
    again = saddle.train("mlp-tanh", data="digits", out=tmp_path / "again", settings=settings, edits=run.edits).folder
    assert again.generator.read_bytes() == run.generator.read_bytes()
    assert again.best.read_bytes() == run.best.read_bytes()


@pytest.mark.slow
def test_a_way_back_that_a_kill_has_cut_off_is_taken_when_the_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = {**COLLAPSING, "health.on_collapse": "rollback", "health.rollbacks": 1, "checkpoint.every": 800}
    whole = saddle.train("mlp-tanh", data="digits", out=tmp_path / "whole", settings=settings).folder
    with monkeypatch.context() as patched:  # the process ends after the alarm, and before it acts
        patched.setattr(Steering, "go_back", end)
        with pytest.raises(KeyboardInterrupt):
            saddle.train("mlp-tanh", data="digits", out=tmp_path / "cut", settings=settings)
    cut = saddle.train("mlp-tanh", data="digits", out=tmp_path / "cut", settings=settings).folder
    assert read_edits(cut.edits) == read_edits(whole.edits)
    assert cut.generator.read_bytes() == whole.generator.read_bytes()


def end(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_members_are_told_of_by_their_numbers(tmp_path: Path):
    settings = {**COLLAPSING, "members": 2}
    run = saddle.train("mlp-tanh", data="digits", out=tmp_path / "run", settings=settings)
    for member in run.folder.all_members():
        assert told(member)[0]["verdict"] == "collapsed"
    with pytest.raises(ConfigError, match="members = 1"):
        saddle.train("mlp-tanh", data="digits", out=tmp_path / "x", settings={**settings, "health.on_collapse": "stop"})


def test_a_likelihood_model_is_not_looked_at(tmp_path: Path):
    settings = {"images": 128, "generator.network.width": 4, "generator.network.blocks": 1}
    run = saddle.train("pixelcnn", data="digits", out=tmp_path / "run", settings=settings).folder
    assert not run.alarms.exists() and not any("variety" in entry for entry in run.read_log())
