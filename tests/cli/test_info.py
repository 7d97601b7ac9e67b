"""``saddle list`` and ``saddle info`` as a user types them."""

from __future__ import annotations

import fcntl
import json
import shlex
from hashlib import sha256
from pathlib import Path

import pytest

from saddle.config import load_recipe, resolve, to_toml
from saddle.config.resolve import settle
from saddle.runs.folder import RunFolder
from saddle.runs.scores import Evaluation, Score, keep_scores

SMALL = ["--set", "generator.network.widths=[8]", "--set", "discriminator.network.widths=[8]", "--set", "game.r1=0.5"]


def start(path: Path) -> RunFolder:
    run = RunFolder(path)
    run.create()
    run.lock.touch()
    run.config.write_text(
        to_toml(settle(resolve(load_recipe("digits"), {"seed": 5}), {}, total=300_000)), encoding="utf-8"
    )
    run.environment.write_text(json.dumps({"command": "saddle train digits --seed 5"}), encoding="utf-8")
    run.append_log(
        {"images": 150_000, "epoch": 100.0, "discriminator_loss": 1.25, "d_real": 0.6, "seconds": 75.0,
         "images_per_second": 2000.0}
    )  # fmt: skip
    return run


def test_every_run_has_a_line(saddle, tmp_path: Path):
    start(tmp_path / "runs" / "digits").append_scores({"images": 100_000, "epoch": 66.7, "fd": 0.25, "best": True})
    start(tmp_path / "runs" / "bad").config.write_text("recipe = [")
    start(tmp_path / "runs" / "worse").diverged.write_text("the loss is nan")
    running = start(tmp_path / "runs" / "now")
    with running.lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        code, out, err = saddle("list")
    assert code == 0, err
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:5]}
    progress = ["150,000", "of", "300,000", "images", "(50", "%)"]
    assert rows["runs/digits"][:10] == ["digits", "stopped", *progress, "fd", "0.25"]
    assert rows["runs/bad"] == ["damaged"]
    assert "runs/bad/config.toml cannot be read as TOML" in err
    assert rows["runs/worse"][:2] == ["digits", "diverged"]
    assert rows["runs/now"][:2] == ["digits", "running"]


def test_no_runs(saddle, tmp_path: Path):
    (tmp_path / "runs").mkdir()
    assert "there are no runs in runs" in saddle("list").out
    code, out, err = saddle("list", "elsewhere")
    assert (code, out) == (2, "")
    assert "there is no folder elsewhere" in err
    assert {path.name for path in tmp_path.iterdir()} <= {"runs", "cache"}


def test_info_tells_everything(saddle, tmp_path: Path):
    run = start(tmp_path / "my run")
    run.append_scores({"images": 100_000, "epoch": 66.7, "fd": 0.25, "best": True})
    run.append_scores({"images": 150_000, "epoch": 100.0, "fd": 0.5, "best": False})
    run.generator.write_bytes(b"g" * 12_345)
    score = Score(
        metric="kd", title="kernel distance", better="lower", value=0.125, spread=0.01, floor=None, floor_of=None,
        count=100, seeds=2, protocol="kd-pixels-100", data="digits", seconds=1.0,
    )  # fmt: skip
    digest = sha256(run.generator.read_bytes()).hexdigest()
    keep_scores(run, run.generator.name, Evaluation(generator=digest, images_seen=150_000, scores=(score,)))
    code, out, err = saddle("info", "my run")
    assert code == 0, err
    facts = dict(line.split(":", 1) for line in out.splitlines() if ":" in line)
    told = {name: text.strip() for name, text in facts.items()}
    assert told["recipe"] == "digits"
    assert told["seed"] == "5"
    assert told["state"] == "stopped"
    assert told["progress"] == "150,000 of 300,000 images (50 %)"
    assert told["last saved"] == "after 0 images"
    assert told["trained for"] == "1:15"
    assert told["last figures"] == "loss of D 1.25, D(x) 0.6, images per second 2,000"
    assert told["best score"] == "fd 0.25 after 100,000 images, kept in best.safetensors"
    assert told["scores"] == "kd 0.125 ± 0.01; of generator.safetensors after 150,000 images"
    assert told["resume"] == "saddle train digits --out 'my run' --seed 5"
    assert ["generator.safetensors", "12.3", "kB"] in [line.split() for line in out.splitlines()]


def test_info_of_what_is_no_run_or_damaged(saddle, tmp_path: Path):
    start(tmp_path / "bad").config.write_text("recipe = [")
    for name, said in (("nowhere", "nowhere holds no run"), ("bad", "cannot be read as TOML")):
        code, out, err = saddle("info", name)
        assert (code, out) == (2, "")
        assert said in err
    run = start(tmp_path / "odd")
    run.evaluation.write_text("{")
    run.environment.write_text("{")
    code, out, err = saddle("info", "odd")
    assert code == 0, err
    assert "evaluation.json is damaged" in err
    assert "environment.json is damaged" in err
    assert "by the Python call" in out


def test_a_run_whose_schedules_have_ended_is_trained_longer_beside_it(saddle, tmp_path: Path):
    rate = "generator.optimizer.learning_rate={value=1e-3,to=0,end='100%'}"
    words = ["train", "mlp-tanh", "--data", "digits", "--threads", "1", *SMALL, "--set", rate]
    assert saddle(*words, "--set", "images=256", "--out=runs/a b").code == 0
    what, _, command = saddle("info", "runs/a b").out.splitlines()[-1].partition(": ")[2].partition(": ")
    assert what == "a new --out trains a longer run with schedules of its own"
    again = saddle(*shlex.split(command)[1:])
    assert again.code == 0, again.err
    assert "512 of 512" in saddle("info", "runs/a b-longer").out
    assert 'end = "100% of 512"' in (tmp_path / "runs/a b-longer/config.toml").read_text(encoding="utf-8")


@pytest.mark.timeout(60)
def test_the_command_that_info_tells_goes_on(saddle):
    done = saddle("train", "mlp-tanh", "--data", "digits", "--threads", "1", "--set", "images=256", *SMALL)
    assert done.code == 0, done.err
    told = saddle("info", "runs/mlp-tanh").out.splitlines()[-1]
    what, _, command = told.partition(": ")
    assert what == "train twice as long"
    again = saddle(*shlex.split(command)[1:])
    assert again.code == 0, again.err
    assert "512" in saddle("info", "runs/mlp-tanh").out
    assert "of 512 images (100 %)" in saddle("list").out
