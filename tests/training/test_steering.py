"""Runs that are steered while they are trained, and their replays."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import saddle
from saddle.base.progress import Silent
from saddle.base.tensors import load_tensors
from saddle.errors import CheckpointError, ConfigError, Interrupted, RunError
from saddle.runs import control
from saddle.runs.folder import RunFolder
from saddle.training.steering import Steering

SETTINGS: dict[str, Any] = {
    "images": 320,
    "batch_size": 16,
    "threads": 1,
    "latent.size": 4,
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
    "discriminator.network.dropout": 0.2,
    "checkpoint.every": 96,
    "samples.every": 96,
    "samples.count": 4,
    "log.every": 48,
    "average.half_life": 100,
}
RATE = "generator.optimizer.learning_rate"


class Killed(BaseException):
    """The process dies: nothing is saved."""


class Hand(Silent):
    """Asks for something after so many rounds, from within them: as another process would, but at once."""

    def __init__(self, run: Path, plan: Mapping[int, Sequence[Any]]) -> None:
        self.run, self.plan = RunFolder(run), plan
        self.rounds = 0
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, n: int) -> None:
        self.rounds += 1
        for request in self.plan.get(self.rounds, ()):
            if request is Killed:
                raise Killed
            if callable(request):
                request()
            else:
                control.ask(self.run, *request)


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "_LOOK", 0.0)


def train(out: Path, plan: Mapping[int, Sequence[Any]] | None = None, edits: Path | None = None, **changes: Any) -> Any:
    """20 rounds on the bundled digits, with ``changes`` to SETTINGS (dots written as __): the run, and who watched."""
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changes.items()}
    recipe = out.parent / "small.toml"
    recipe.write_text("")
    hand = Hand(out, plan or {})
    return saddle.train(str(recipe), out=out, settings=settings, progress=hand, edits=edits), hand


def log(run: saddle.Run) -> list[dict[str, Any]]:
    timing = ("seconds", "images_per_second")
    return [{key: value for key, value in entry.items() if key not in timing} for entry in run.log]


def saved(run: saddle.Run) -> dict[int, Any]:
    """All that the checkpoints hold, but for the time."""
    found: dict[int, Any] = {}
    for position, path in run.folder.all_checkpoints():
        tensors, header = load_tensors(path)
        del header["record"]["seconds"]
        found[position] = header, {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
    return found


def check_same(run: saddle.Run, other: saddle.Run) -> None:
    runs = [run, other] if run.config.members == 1 else [run.member(0), other.member(0)]
    files = [each.folder.generator.read_bytes() for each in runs]
    assert files[0] == files[1]
    assert log(run) == log(other) and log(runs[0]) == log(runs[1])
    ours, theirs = saved(run), saved(other)
    assert max(ours) == max(theirs)
    assert all(ours[position] == theirs[position] for position in ours.keys() & theirs.keys())


def replay(run: saddle.Run, out: Path, **changes: Any) -> saddle.Run:
    """The same from nothing, in a folder that holds only the edits."""
    out.mkdir()
    shutil.copy(run.folder.edits, out)
    return train(out, **changes)[0]


CASES: dict[str, tuple[dict[str, Any], dict[int, Sequence[Any]]]] = {
    "a rate, a pause, a penalty that comes and goes": (
        {},
        {
            5: [("edit", {RATE: 1e-3})],
            8: [("pause",), ("edit", {"game.r1": 0.5}), ("edit", {"game": {"r1": 1.0}}), ("resume",)],
            14: [("edit", {"game.r1": 0}), ("save",), ("sample",)],
        },
    ),
    "momentum, a schedule, intervals": (
        {"generator.optimizer": {"kind": "sgd"}, "discriminator.optimizer": {"kind": "sgd"}},
        {
            3: [("edit", {"generator.optimizer.momentum": 0.9, "log.every": 16})],
            7: [("edit", {RATE: {"value": 0.1, "to": 0.0, "start": 100, "end": "100%"}, "checkpoint.keep": 4})],
            13: [("edit", {"generator.optimizer.momentum": 0.0, "average.half_life": 10})],
        },
    ),
    "lazy penalties, betas, clip": (
        {"game": {"r1": 1.0, "penalty_every": 3, "discriminator_steps": 2}, "images": 640},
        {
            4: [("edit", {"discriminator.optimizer.betas": [0.0, 0.9]})],
            9: [("edit", {"game.r1": 0, "game.penalty_every": 1, "game.clip": 0.05})],
        },
    ),
    "augmentation": (
        {"game.augment": {"kind": "ada", "rise": 300}},
        {6: [("edit", {"game.augment.target": 0.1})]},
    ),
    "a population": (
        {"members": 2, "vary.game.r1": [0.0, 1.0]},
        {5: [("edit", {RATE: 1e-3, "game.r2": 0.5})], 9: [("pause",), ("edit", {"game.r2": 0}), ("resume",)]},
    ),
}


QUICK = "a rate, a pause, a penalty that comes and goes"


@pytest.mark.parametrize(
    "case", [pytest.param(each, marks=[] if each == QUICK else pytest.mark.slow) for each in CASES]
)
def test_a_steered_run_and_its_replay_from_nothing_are_equal_byte_for_byte(tmp_path: Path, case: str):
    settings, plan = CASES[case]
    run, hand = train(tmp_path / "run", plan, **settings)
    edits = [request[1] for requests in plan.values() for request in requests if request[0] == "edit"]
    assert len(run.edits) == len(edits)
    images = 16 * run.config.game.discriminator_steps
    positions = [images * number for number, requests in plan.items() for each in requests if each[0] == "edit"]
    assert [edit["images"] for edit in run.edits] == positions
    assert {edit["images"] for edit in run.edits} <= {entry["images"] for entry in run.log}
    assert not list(run.folder.control.iterdir()) and not any("refused" in text for text in hand.said)
    check_same(replay(run, tmp_path / "replay", **settings), run)


@pytest.mark.parametrize("paused", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_after_an_edit_replays_it(tmp_path: Path, paused: bool):
    edit = ("edit", {"game.r1": 0.5, RATE: 1e-3})
    requests = [("pause",), edit, ("resume",)] if paused else [edit]
    for number, kill in enumerate((8, 11)):  # right after the edit, and once there is a checkpoint after it
        out = tmp_path / f"{number}"
        with pytest.raises(Killed):
            train(out, {7: requests, kill: [Killed]})
        killed = saddle.Run(out)
        assert killed.edits == [{"images": 112, "set": {"game.r1": 0.5, RATE: 1e-3}}]
        before = max(position for position, _ in killed.folder.all_checkpoints())
        assert before == (112 if paused else 96)
        run, hand = train(out)
        assert any("resuming" in text for text in hand.said)
        check_same(run, replay(run, tmp_path / f"replay {number}"))


def test_turns_of_one_player_are_noted_and_played_again(tmp_path: Path):
    turns = [("pause",), ("turn_d",), ("turn_d",), ("turn_g",), ("save",), ("resume",)]
    steered, _ = train(tmp_path / "steered", {6: [("turn_g",)], 9: turns})
    assert [(edit["images"], edit["turn"]) for edit in steered.edits] == [(96, "G"), (144, "D"), (144, "D"), (144, "G")]
    plain, _ = train(tmp_path / "plain")
    assert plain.folder.generator.read_bytes() != steered.folder.generator.read_bytes()
    check_same(steered, replay(steered, tmp_path / "again"))
    with pytest.raises(Killed):
        train(tmp_path / "killed", {6: [("turn_g",)], 9: turns, 10: [Killed]})
    killed, hand = train(tmp_path / "killed")
    assert any("resuming" in text for text in hand.said)
    check_same(steered, killed)


def test_a_likelihood_model_has_no_turns(tmp_path: Path):
    hand = Hand(tmp_path / "run", {2: [("turn_g",)]})
    settings = {"images": 64, "batch_size": 16, "generator.network.width": 4, "generator.network.blocks": 1}
    run = saddle.train("pixelcnn", data="digits", out=tmp_path / "run", settings=settings, progress=hand)
    assert any("neither G nor D" in text for text in hand.said) and run.edits == []


def test_going_back_is_noted_and_its_replay_goes_straight_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from saddle.training import session

    made: list[Steering] = []

    def make(*arguments: Any) -> Steering:
        made.append(Steering(*arguments))
        return made[-1]

    monkeypatch.setattr(session, "Steering", make)
    plan = {
        4: [("edit", {RATE: 1e-3})],  # stays
        9: [("edit", {"game.r2": 2.0})],  # is undone
        13: [lambda: made[0].go_back(96, {"game.r1": 0.5}, "a test")],  # as an alarm would
        16: [("edit", {"log.every": 16})],  # three rounds after it went back
    }
    run, hand = train(tmp_path / "run", plan)
    assert run.edits[2:] == [
        {"images": 96, "set": {"game.r1": 0.5}, "rolled_back_from": 208, "why": "a test"},
        {"images": 144, "set": {"log.every": 16}},
    ]
    assert any("back from 208 images" in text for text in hand.said)
    assert len({entry["images"] for entry in run.log}) == len(run.log)
    assert all(("r1" in entry) == (entry["images"] > 96) for entry in run.log)
    check_same(replay(run, tmp_path / "replay"), run)
    assert not any("r2" in entry for entry in run.log)
    assert [steering.rollbacks for steering in made] == [1, 1]


@pytest.mark.slow
def test_going_back_forgets_what_the_optimizer_remembers_from_later(tmp_path: Path):
    sgd = {"generator.optimizer": {"kind": "sgd"}, "discriminator.optimizer": {"kind": "sgd"}}
    momentum = {"generator.optimizer.momentum": 0.9}
    plan = {8: [("edit", momentum)], 12: [("back", {}, 96)], 15: [("edit", momentum)]}
    run, _ = train(tmp_path / "run", plan, **sgd)
    check_same(replay(run, tmp_path / "replay", **sgd), run)


def test_stop_saves_everything_and_the_run_resumes(tmp_path: Path):
    with pytest.raises(Interrupted, match="stopped at 112 of 320") as caught:
        train(tmp_path / "run", {7: [("stop",)]})
    assert caught.value.exit_code == 0
    stopped = saddle.Run(tmp_path / "run")
    assert (stopped.status.state, stopped.status.saved) == ("stopped", 112)
    assert not list(stopped.folder.control.iterdir())
    run, _ = train(tmp_path / "run")
    whole, _ = train(tmp_path / "whole")
    check_same(run, whole)


def test_a_pause_saves_and_the_clock_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from saddle.training import record, steering

    seen: list[str] = []
    passed = 0.0

    def wait(seconds: float) -> None:
        nonlocal passed
        passed += 1000
        run = saddle.Run(tmp_path / "run")
        seen.append(f"{run.status.state} {run.status.saved}")
        if len(seen) == 3:
            control.ask(run.folder, "resume")

    monkeypatch.setattr(steering, "time", SimpleNamespace(sleep=wait))
    monkeypatch.setattr(record, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed))
    run, hand = train(tmp_path / "run", {7: [("pause",)]})
    assert seen == ["paused 112"] * 3
    assert [text.partition(";")[0] for text in hand.said] == ["paused at 112 images seen", "going on"]
    assert passed == 3000 and run.log[-1]["seconds"] < 900
    assert run.status.state == "finished"


def test_what_makes_no_sense_is_put_aside_and_the_run_goes_on(tmp_path: Path):
    class Forges(Hand):
        def advance(self, n: int) -> None:
            self.rounds += 1
            folder = self.run.control
            folder.mkdir(exist_ok=True)
            if self.rounds == 3:
                (folder / "1.json").write_text("{")
                (folder / "2.json").write_text('{"do": "dance"}')
                (folder / "3.json").write_text('{"do": "edit", "set": {"seed": 3}}')
                (folder / "4.json").write_text('{"do": "edit", "set": {"game.r1": -1}}')
                (folder / "5.json").symlink_to("/etc/hostname")
                (folder / "6.json").write_text('{"do": "back", "to": 7}')
                (folder / "notes.txt").write_text("of somebody")
            if self.rounds == 5:
                self.reasons = {path.stem: path.read_text() for path in folder.glob("*.refused")}

    (tmp_path / "small.toml").write_text("")
    hand = Forges(tmp_path / "run", {})
    run = saddle.train(str(tmp_path / "small.toml"), out=tmp_path / "run", settings=SETTINGS, progress=hand)
    assert hand.reasons.keys() == {"1", "2", "3", "4", "5", "6"}
    assert "not JSON" in hand.reasons["1"] and "one of pause" in hand.reasons["2"]
    assert "cannot change" in hand.reasons["3"] and "greater than or equal to 0" in hand.reasons["4"]
    assert "link" in hand.reasons["5"] and "no checkpoint after 7 images" in hand.reasons["6"]
    assert len(hand.said) == 6 and not run.edits
    check_same(run, train(tmp_path / "whole")[0])


def test_edits_that_do_not_fit_are_told_before_anything_is_made(tmp_path: Path):
    edits = tmp_path / "edits.jsonl"
    for line, words in (
        ('{"images": 48, "set": {"seed": 3}}\n', "seed cannot change"),
        ('{"images": 48, "set": {"game.r3": 3}}\n', "unknown key 'game.r3'"),
        ('{"images": 48, "set": {"game.r1": 1}}\n{"images": -1, "set": {}}\n', "line 2"),
        ('{"images": 48, "set": {"average.half_life": 0}}\n', "averaged generator is decided"),
    ):
        edits.write_text(line)
        with pytest.raises(RunError, match=words):
            train(tmp_path / "run", edits=edits)
        assert not (tmp_path / "run").exists()
    with pytest.raises(RunError, match="no file"):
        train(tmp_path / "run", edits=tmp_path / "none.jsonl")
    edits.write_text('{"images": 50, "set": {"game.r1": 1}}\n{"images": 400, "set": {"game.r1": 2}}\n{"images": 99, "s')
    run, hand = train(tmp_path / "run", edits=edits)
    assert any("beyond the end of this run, which do not come into force: 1" in text for text in hand.said)
    assert any("was cut short and is left out" in text for text in hand.said)
    assert [edit["images"] for edit in run.edits] == [50, 400]
    assert [entry["images"] for entry in run.log if "r1" not in entry] == [48, 64]  # where the next round begins
    train(tmp_path / "run", edits=edits, images=352)  # the same command resumes it
    edits.write_text('{"images": 48, "set": {"game.r1": 3}}\n')
    with pytest.raises(RunError, match="did not begin with these edits"):
        train(tmp_path / "run", edits=edits)
    whole, _ = train(tmp_path / "whole")
    with pytest.raises(RunError, match="did not begin with these edits"):
        train(tmp_path / "whole", edits=edits)
    assert not whole.edits


def test_a_fork_goes_on_as_a_run_that_was_edited_there(tmp_path: Path):
    parent, _ = train(
        tmp_path / "parent", {3: [("edit", {RATE: 1e-3})], 11: [("edit", {"game.r2": 1.0})]}, checkpoint__keep=9
    )
    fork = saddle.fork(parent, out=tmp_path / "fork", at=111, settings={"game": {"r1": 0.5}})
    assert fork.status.images == 96 and fork.generator.header.images_seen == 96
    assert fork.edits == [{"images": 48, "set": {RATE: 1e-3}}, {"images": 96, "set": {"game.r1": 0.5}}]
    assert [images for images, _ in fork.folder.sample_grids()] == [0, 96]
    assert fork.log == parent.log[:2]
    told = json.loads(fork.folder.parent.read_text())
    assert (told["run"], told["images"], len(told["checkpoint"])) == (str(parent.path.resolve()), 96, 64)
    run, hand = train(tmp_path / "fork", checkpoint__keep=9)
    assert any("resuming at 96" in text for text in hand.said)
    check_same(replay(run, tmp_path / "replay", checkpoint__keep=9), run)
    whole = saddle.fork(parent, out=tmp_path / "same", at=200)
    assert whole.status.images == 192
    check_same(train(tmp_path / "same", checkpoint__keep=9)[0], parent)


def test_what_cannot_be_forked(tmp_path: Path):
    run, _ = train(tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="no checkpoint at or before 5 images"):
        saddle.fork(run, out=tmp_path / "out", at=5)
    with pytest.raises(ConfigError, match="cannot change while a run goes on"):
        saddle.fork(run, out=tmp_path / "out", settings={"seed": 1})
    with pytest.raises(RunError, match="not empty"):
        saddle.fork(run, out=run.path)
    newest = run.folder.all_checkpoints()[-1][1]
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        saddle.fork(run, out=tmp_path / "out")
    newest.write_bytes(whole)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_member_that_is_taken_out_takes_the_edits_along(tmp_path: Path):
    plan = {5: [("edit", {"game.r1": 0.5})]}
    pair, _ = train(tmp_path / "pair", plan, members=2, images=208)
    saddle.fork(pair, member=1, out=tmp_path / "one")
    one, _ = train(tmp_path / "one", seed=1)
    assert one.edits == pair.edits and "r1" in one.log[-1]
    alone = replay(one, tmp_path / "alone", seed=1)
    torch.testing.assert_close(one.sample(4), alone.sample(4), rtol=1e-2, atol=1e-3)


RECIPE = """
batch_size = 16
threads = 1
[latent]
size = 8
[generator.network]
widths = [32]
[discriminator.network]
widths = [32]
dropout = 0.2
[average]
half_life = 1000
[checkpoint]
every = 500
[samples]
every = 8_000
[log]
every = 1_000
"""


def start(folder: Path, out: str, *words: str, processes: int = 1) -> subprocess.Popen[str]:
    (folder / "steered.toml").write_text(RECIPE)
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m"]
    command = [sys.executable, "-m", *(torchrun if processes > 1 else []), "saddle", "train", "steered.toml"]
    return subprocess.Popen(
        [*command, "--out", out, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_until_trained(folder: Path) -> saddle.Run:
    while not list(folder.glob("checkpoints/[0-9]*")):
        time.sleep(0.01)
    return saddle.Run(folder)


@pytest.mark.slow
def test_a_process_that_is_steered_and_killed_ends_as_its_replay(tmp_path: Path):
    length = ("--set", "images=16000")
    process = start(tmp_path, "run", *length)
    run = wait_until_trained(tmp_path / "run")
    assert run.pause() and run.status.state == "paused"
    at = run.status.saved
    assert run.edit({RATE: 1e-3}) and run.edit({"game.r1": 0.5}) and run.save() and run.resume()
    time.sleep(0.2)
    assert run.edit({"game.r1": 0.0}) and run.edits[-1]["images"] > at
    process.kill()
    process.communicate()
    assert run.status.state == "stopped"
    output, _ = (process := start(tmp_path, "run", *length)).communicate(timeout=100)
    assert process.returncode == 0, output
    output, _ = (process := start(tmp_path, "replay", "--edits", "run/edits.jsonl", *length)).communicate(timeout=100)
    assert process.returncode == 0, output
    check_same(saddle.Run(tmp_path / "replay"), run)


@pytest.mark.slow
def test_processes_that_train_together_are_steered_together(tmp_path: Path):
    process = start(tmp_path, "run", "--set", "images=10_000_000", processes=2)
    run = wait_until_trained(tmp_path / "run")
    assert run.pause() and run.edit({RATE: 1e-3, "game.r1": 0.5}) and run.resume()
    at = max(position for position, _ in run.folder.all_checkpoints())
    while run.status.images < at + 500:
        time.sleep(0.05)
    control.wait_for(control.ask(run.folder, "back", {"game.r2": 0.5}, run.folder.all_checkpoints()[-1][0]))
    assert run.edits[-1]["set"] == {"game.r2": 0.5} and run.edits[-1]["rolled_back_from"] > at
    assert run.stop()
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    assert output.count("everything is saved") == 1
    length = ("--set", f"images={run.status.saved + 320}")
    for out, words in (("run", ()), ("replay", ("--edits", "run/edits.jsonl"))):
        output, _ = (process := start(tmp_path, out, *words, *length, processes=2)).communicate(timeout=100)
        assert process.returncode == 0, output
    check_same(saddle.Run(tmp_path / "replay"), run)
