"""Every command as a user types it, with what it prints and its exit code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from saddle import train
from saddle.base.progress import Silent

SMALL = ["--set", "images=256", "--set", "generator.network.widths=[8]", "--set", "discriminator.network.widths=[8]"]


def test_train_sample_interpolate_report(saddle, tmp_path: Path):
    done = saddle("train", "mlp-tanh", "--data", "digits", "--threads", "1", "--seed", "3", *SMALL)
    assert done.code == 0, done.err
    assert "runs/mlp-tanh-seed-3 is finished" in done.out
    assert "images" in done.err
    assert "D(G(z))" in done.err
    run = tmp_path / "runs" / "mlp-tanh-seed-3"
    names = {path.name for path in run.iterdir()}
    names_wanted = {"config.toml", "environment.json", "log.jsonl", "samples", "checkpoints"}
    assert names >= names_wanted | {"report.html", "curves.png"}
    again = saddle("train", "mlp-tanh", "--data", "digits", "--threads", "1", "--seed", "3", *SMALL)
    assert again.code == 0
    assert "is finished" in again.out

    assert saddle("sample", "runs/mlp-tanh-seed-3", "--count", "12", "--seed", "1", "--out", "x.npy").code == 0
    assert np.load("x.npy", allow_pickle=False).shape == (12, 1, 8, 8)
    generator = "runs/mlp-tanh-seed-3/generator.safetensors"
    assert saddle("sample", generator, "--count", "12", "--seed", "1", "--out", "y.npy").code == 0
    assert Path("x.npy").read_bytes() == Path("y.npy").read_bytes()
    walk = ["interpolate", "runs/mlp-tanh-seed-3", "--from", "1", "--to", "2", "--steps", "5", "--out", "s.png"]
    assert saddle(*walk).code == 0
    with Image.open("s.png") as strip:
        assert strip.width > strip.height
    report = saddle("report", "runs/mlp-tanh-seed-3")
    assert Path(report.out.strip()).read_text().startswith("<!")


def test_latent_tools_on_a_conditional_run(saddle, tmp_path: Path):
    train = ["train", "cgan", "--data", "digits", "--threads", "1", *SMALL, "--out", "run"]
    done = saddle(*train)
    assert done.code == 0, done.err

    def check(*words: str) -> str:
        done = saddle(*words)
        assert done.code == 0, done.err
        return done.out

    assert check("sample", "run", "--count", "64", "--out", "grid.png") == "64 samples in grid.png\n"
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
    told = check("arithmetic", "run", "1,2,3", "-", "4,5", "+", "0:6", "--label", "4", "--out", "sum.png")
    assert told.startswith("result = mean(1,2,3) - mean(4,5) + mean(0:6)\n")
    assert told.endswith("\n4 rows in sum.png\n")
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
        (["sample", "run", "--label", "1", "--labels", "2"], "cannot both be given"),
        (["interpolate", "run", "--from", "one"], "seed:number"),
        (["walk", "run", "--seeds", "1"], "2 seeds or more"),
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


def test_equal_training_samples_are_one_neighbour(saddle):
    rows = np.random.default_rng(0).normal(size=(200, 2))
    np.save("points.npy", np.concatenate([rows, rows]))
    train = ["train", "mlp-tanh", "--data", "points.npy", "--set", "data.held_out=0", "--threads", "1", *SMALL]
    assert saddle(*train, "--out", "run").code == 0
    done = saddle("nearest", "run", "--count", "3")
    assert done.code == 0, done.err
    assert [line.endswith(" x2") for line in done.out.splitlines()[1:4]] == [True] * 3
    assert "nothing is held out" in done.out and "--set data.held_out=0.05" in done.out
    assert saddle(*train, "--set", "data.held_out=0.2", "--out", "held").code == 0
    assert "they say nothing about copies" in saddle("nearest", "held", "--count", "3").out


def test_a_module_of_ones_own_needs_python(saddle, tmp_path: Path):
    settings = {"latent.size": 4, "images": 64, "threads": 1, "discriminator.network.widths": [8]}
    module = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    train("mlp-tanh", data="digits", generator=module, settings=settings, out="own", progress=Silent())
    done = saddle("sample", "own")
    assert done.code == 2
    assert 'saddle.load("own", generator=YourModule())' in done.err
    assert "Sequential with 320 parameters" in done.err


def test_a_generator_is_no_classifier(saddle, tmp_path: Path):
    assert saddle("train", "mlp-tanh", "--data", "digits", "--threads", "1", *SMALL, "--out", "run").code == 0
    done = saddle("classify", "run/generator.safetensors", "--data", "digits")
    assert done.code == 2
    assert "run/generator.safetensors is a generator file, not a classifier file" in done.err
    assert "run holds no classifier" in saddle("classify", "run", "--data", "digits").err


def test_dry_run_prints_the_config_and_makes_nothing(saddle, tmp_path: Path):
    done = saddle("train", "mlp-tanh", "--set", "game.r1=2", "--dry-run")
    assert done.code == 0
    assert "r1 = 2.0" in done.out
    assert not list(tmp_path.iterdir())


def test_recipes_are_listed_with_a_line_each(saddle):
    done = saddle("recipes")
    assert done.code == 0
    ours, published = done.out.split("As published")
    assert "\n  digits  " in ours and "\n  mlp-sigmoid  " in published
    assert "saddle recipes NAME" in published
    assert len(done.out.splitlines()) < 35
    assert max(map(len, done.out.splitlines())) < 100


def test_one_recipe_is_shown_with_source_settings_and_command(saddle, tmp_path: Path):
    done = saddle("recipes", "goodfellow2014")
    assert done.code == 0, done.err
    assert "https://arxiv.org/abs/1406.2661" in done.out
    assert "Expected: Parzen" in done.out
    assert done.out.endswith("Train it: saddle train goodfellow2014\n")
    (tmp_path / "mine.toml").write_text("images = 9\n[game]\nr1 = 2.0\nr2 = 0.0\n")
    own = saddle("recipes", "mine.toml")
    assert own.code == 0, own.err
    assert "  images = 9\n  game.r1 = 2.0\n\n" in own.out  # r2 = 0 is the default
    assert "Source" not in own.out
    wrong = saddle("recipes", "mlp-tan")
    assert (wrong.code, wrong.out) == (2, "")
    assert "did you mean 'mlp-tanh'" in wrong.err


def test_settings_are_listed_with_default_and_help(saddle):
    done = saddle("settings")
    assert done.code == 0
    (line,) = (line for line in done.out.splitlines() if line.startswith("  game.r1 = 0.0 "))
    assert "gradient penalty on real samples (number >= 0 or schedule; may change while a run goes on)" in line
    section = saddle("settings", "checkpoint").out
    assert section.splitlines()[0].startswith("checkpoint: ")
    assert "checkpoint.keep = 2" in section and "game" not in section
    assert "may change when a run is resumed" in section
    both = saddle("settings", "generator.optimizer.learning_rate").out
    assert "with kind = adam" in both and "with kind = sgd" in both and "divisor" in both
    for wrong, said in (("game.r11", "did you mean 'game.r1'"), ("r1", "did you mean 'game.r1'"), ("xyz", "lists all")):
        done = saddle("settings", wrong)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


def test_the_shown_settings_make_the_recipe(saddle):
    for name in ("mnist", "goodfellow2014"):
        lines = [line.strip() for line in saddle("recipes", name).out.splitlines() if line.startswith("  ")]
        settings = [line.replace(" = ", "=", 1) for line in lines if " = " in line and not line.startswith("https")]
        Path("same.toml").write_text("")
        again = saddle("train", "same.toml", "--dry-run", *(part for each in settings for part in ("--set", each)))
        assert again.out.replace('"same"', f'"{name}"') == saddle("train", name, "--dry-run").out


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
        (["sample", "file"], "file is not a generator file"),
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
    for words, told in (
        (["-1 + 2"], "- mean(1) + mean(2)"),
        (["-1", "+", "2"], "- mean(1) + mean(2)"),
        (["1", "-2"], "mean(1) - mean(2)"),
    ):
        done = saddle("arithmetic", "run", *words, "--out", "sum.png")
        assert done.code == 0, done.err
        assert f"result = {told}\n" in done.out


def test_places_that_cannot_be_written(saddle, tmp_path: Path):
    done = saddle("data", "inspect", "digits", "--out", "nowhere/p.png")
    assert done.code == 2
    assert "nowhere/p.png cannot be written" in done.err


def test_ctrl_c_prints_one_line(saddle, monkeypatch: pytest.MonkeyPatch):
    def stop() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("saddle.config.all_recipes", stop)
    done = saddle("recipes")
    assert (done.code, done.err) == (130, "saddle: interrupted\n")


def test_a_reader_that_goes_away_is_no_error():
    code = "from saddle.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "recipes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
