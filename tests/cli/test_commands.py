"""Every command as a user types it, with what it prints and its exit code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saddle import cli

SMALL = ["--set", "images=256", "--set", "generator.network.widths=[8]", "--set", "discriminator.network.widths=[8]"]


class Output:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def saddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Output:
        monkeypatch.setattr("sys.argv", ["saddle", *words])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Output(int(exit_.value.code or 0), out, err)

    return run


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
