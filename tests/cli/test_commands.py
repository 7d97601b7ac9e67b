"""Every command as a user types it, with what it prints and its exit code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SMALL = ["--set", "images=256", "--set", "generator.network.widths=[8]", "--set", "discriminator.network.widths=[8]"]


def test_train_sample_interpolate_report(saddle, tmp_path: Path):
    done = saddle("train", "mlp-tanh", "--data", "digits", "--threads", "1", "--seed", "3", *SMALL)
    assert done.code == 0, done.err
    assert "runs/mlp-tanh is finished" in done.out
    assert "images" in done.err
    assert "D(G(z))" in done.err
    run = tmp_path / "runs" / "mlp-tanh"
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.toml", "environment.json", "log.jsonl", "samples", "checkpoints", "report.html"}
    again = saddle("train", "mlp-tanh", "--data", "digits", "--threads", "1", "--seed", "3", *SMALL)
    assert again.code == 0
    assert "is finished" in again.out

    assert saddle("sample", "runs/mlp-tanh", "--count", "12", "--seed", "1", "--out", "x.npy").code == 0
    assert np.load("x.npy", allow_pickle=False).shape == (12, 1, 8, 8)
    generator = "runs/mlp-tanh/generator.safetensors"
    assert saddle("sample", generator, "--count", "12", "--seed", "1", "--out", "y.npy").code == 0
    assert Path("x.npy").read_bytes() == Path("y.npy").read_bytes()
    walk = ["interpolate", "runs/mlp-tanh", "--from", "1", "--to", "2", "--steps", "5", "--out", "s.png"]
    assert saddle(*walk).code == 0
    with Image.open("s.png") as strip:
        assert strip.width > strip.height
    report = saddle("report", "runs/mlp-tanh")
    assert Path(report.out.strip()).read_text().startswith("<!")


def test_latent_tools_on_a_conditional_run(saddle, tmp_path: Path):
    train = ["train", "cgan", "--data", "digits", "--threads", "1", *SMALL, "--out", "run"]
    done = saddle(*train)
    assert done.code == 0, done.err

    def check(*words: str) -> str:
        done = saddle(*words)
        assert done.code == 0, done.err
        return done.out

    assert check("sample", "run", "--count", "64", "--out", "grid.png") == "70 samples in grid.png\n"
    check("sample", "run", "--count", "6", "--label", "3", "--out", "three.npz")
    check("sample", "run", "--count", "6", "--labels", "7,3", "--out", "two.npz")
    check("sample", "run", "--count", "20", "--labels", "balanced", "--out", "all.npz")
    for name, labels in (("three", [3] * 6), ("two", [7, 3] * 3), ("all", [*range(10)] * 2)):
        with np.load(f"{name}.npz", allow_pickle=False) as archive:
            assert archive["labels"].tolist() == labels
    check("interpolate", "run", "--from-label", "3", "--to-label", "8", "--steps", "4", "--out", "classes.png")
    assert check(
        "walk", "run", "--seeds", "1,2,0:5", "--steps", "3", "--grid", "2", "--label", "4", "--out", "w.gif"
    ) == ("9 frames in w.gif\n")
    check("arithmetic", "run", "1,2,3", "-", "4,5", "+", "0:6", "--label", "4", "--out", "sum.png")
    nearest = check("nearest", "run", "--count", "3", "--neighbours", "2", "--label", "4", "--out", "nearest.png")
    assert "held-out data" in nearest
    inverted = check("invert", "run", "--image", "grid.png", "--image", "12", "--steps", "3", "--out", "inverted.png")
    assert "12: mean squared error 0." in inverted
    assert "as class" in inverted
    for name in ("grid", "classes", "sum", "nearest", "inverted"):
        with Image.open(f"{name}.png") as picture:
            assert min(picture.size) > 48

    shutil.copy("run/generator.safetensors", "alone.safetensors")
    for words, said in (
        (["sample", "run", "--label", "ten"], "no class 'ten'"),
        (["sample", "run", "--labels", "1,12"], "index below 10"),
        (["sample", "run", "--label", "1", "--labels", "2"], "exclude each other"),
        (["interpolate", "run", "--from", "one"], "seed:number"),
        (["walk", "run", "--seeds", "1"], "at least 2"),
        (["walk", "run", "--out", "walk.png"], ".mp4"),
        (["walk", "run", "--grid", "0"], "at least 1"),
        (["arithmetic", "run", "1", "-"], "seed:number"),
        (["nearest", "run", "--neighbours", "0"], "1 to 1,500"),
        (["nearest", "run", "--out", "nearest.gif"], ".png"),
        (["nearest", "alone.safetensors"], "--data"),
        (["invert", "run", "--image", "1500"], "below 1,500"),
        (["invert", "run", "--image", "nowhere.png"], "cannot be read"),
        (["invert", "run", "--image", "1", "--steps", "0"], "at least 1"),
    ):
        done = saddle(*words)
        assert done.code == 2, words
        assert said in done.err


def test_points_have_neighbours_too(saddle):
    np.save("points.npy", np.random.default_rng(0).normal(size=(200, 2)))
    assert saddle("train", "mlp-tanh", "--data", "points.npy", "--threads", "1", *SMALL, "--out", "run").code == 0
    done = saddle("nearest", "run", "--count", "2")
    assert done.code == 0, done.err
    assert "nothing is held out" in done.out
    assert not Path("nearest.png").exists()
    for words in (["walk", "run"], ["arithmetic", "run", "1"], ["invert", "run", "--image", "1"]):
        done = saddle(*words)
        assert done.code == 2
        assert "points" in done.err
    labelled = saddle("sample", "run", "--label", "3")
    assert labelled.code == 2
    assert "takes no labels" in labelled.err


def test_dry_run_prints_the_config_and_makes_nothing(saddle, tmp_path: Path):
    done = saddle("train", "mlp-tanh", "--set", "game.r1=2", "--dry-run")
    assert done.code == 0
    assert "r1 = 2.0" in done.out
    assert not list(tmp_path.iterdir())


def test_recipes_tell_source_and_expectation(saddle):
    done = saddle("recipes")
    assert done.code == 0
    for word in ("mlp-sigmoid", "source:", "expect:"):
        assert word in done.out


def test_inspect(saddle):
    done = saddle("data", "inspect", "digits", "--out", "look.png")
    assert done.code == 0, done.err
    assert "1,500" in done.out
    assert "class 3" in done.out
    assert Path("look.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "mlp-tan"], "did you mean 'mlp-tanh'"),
        (["train", "mlp-tanh", "--set", "bath_size=3"], "did you mean 'batch_size'"),
        (["train", "mlp-tanh", "--set", "batch_size=-3"], "greater than 0"),
        (["train", "mlp-tanh", "--threads", "lots"], "'auto'"),
        (["train", "mlp-tanh", "--threads", "-1"], "greater than 0"),
        (["train", "mlp-tanh", "--seed", "-1"], "seed"),
        (["train", "mlp-tanh", "--data", "digits", "--device", "abacus"], "no device 'abacus'"),
        (["train", "mlp-tanh", "--data", "nowhere"], "nowhere"),
        (["train", "mlp-tanh", "--data", "digitz"], "digits"),
        (["train", "mlp-tanh", "--data", "digits", "--out", "file"], "is a file"),
        (["train", "mlp-tanh", "--data", "digits", "--out", "file/run"], "run folder"),
        (["train", "mlp-tanh", "--data", "nan.npy"], "nan"),
        (["sample", "nowhere"], "nowhere"),
        (["sample", "file"], "no generator file"),
        (["report", "nowhere"], "no run"),
        (["data", "inspect", "nowhere"], "nowhere"),
        (["data", "inspect", "digits", "--set", "data.sise=3"], "did you mean 'data.size'"),
        (["sample"], "RUN"),
        (["nonsense"], "nonsense"),
        (["sample", "nowhere", "--count", "many"], "--count"),
    ],
)
def test_bad_input_exits_2_with_a_message_and_leaves_nothing(saddle, tmp_path: Path, words: list[str], said: str):
    (tmp_path / "file").write_text("not a run")
    np.save(tmp_path / "nan.npy", np.array([[1.0, np.nan]]))
    done = saddle(*words)
    assert done.code == 2
    assert said.lower() in (done.out + done.err).lower()
    assert {path.name for path in tmp_path.iterdir()} <= {"file", "nan.npy", "cache"}


def test_a_sum_may_start_with_a_minus(saddle):
    assert saddle("train", "mlp-tanh", "--data", "digits", "--threads", "1", *SMALL, "--out", "run").code == 0
    for words in (["-1 + 2"], ["-1", "+", "2"], ["1", "-2"]):
        done = saddle("arithmetic", "run", *words, "--out", "sum.png")
        assert done.code == 0, done.err
        assert "2 means" in done.out


def test_places_that_cannot_be_written(saddle, tmp_path: Path):
    done = saddle("data", "inspect", "digits", "--out", "nowhere/p.png")
    assert done.code == 2
    assert "nowhere/p.png cannot be written" in done.err


def test_ctrl_c_prints_one_line(saddle, monkeypatch: pytest.MonkeyPatch):
    def stop() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("saddle.config.recipe_names", stop)
    done = saddle("recipes")
    assert (done.code, done.err) == (130, "saddle: interrupted\n")


def test_a_reader_that_goes_away_ends_it_quietly():
    code = "from saddle.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "recipes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
