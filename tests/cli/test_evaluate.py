"""``saddle evaluate`` and ``saddle reproduce`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from saddle.base.tensors import load_tensors, save_tensors
from saddle.reproduction.tables import load_table

SMALL = ["--threads", "1", "--set", "images=256", "--set", "batch_size=32"]
SMALL += ["--set", "generator.network.widths=[8]", "--set", "discriminator.network.widths=[8]"]


@pytest.fixture
def run(saddle) -> Path:
    """A run of the bundled digits, trained for a moment."""
    done = saddle("train", "mlp-tanh", "--data", "digits", "--out", "run", *SMALL)
    assert done.code == 0, done.err
    return Path("run")


def rows(out: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}


def test_evaluate_prints_a_table_and_keeps_it(saddle, run: Path):
    done = saddle("evaluate", "run", "--metric", "fd", "--metric", "classes", "--count", "400", "--seeds", "2")
    assert done.code == 0, done.err
    table = rows(done.out)
    assert list(table) == ["metric", "fd", "classes", "class_gap", "The"]  # one measure gives both; a footnote
    assert done.out.endswith("is of 297 held-out samples: too few to compare with 400; --count 297 scores as many.\n")
    assert "fd-digits-cnn-v1-400" in table["fd"] and "±" in table["fd"]
    assert "held-out samples" in done.out
    kept = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    fd = next(score for score in kept["generator.safetensors"]["scores"] if score["metric"] == "fd")
    assert fd["count"] == 400 and fd["seeds"] == 2 and fd["floor"] < fd["value"]


def test_few_samples_are_scored_with_a_warning(saddle, run: Path):
    done = saddle("evaluate", "run", "--metric", "fd", "--extractor", "pixels", "--count", "40", "--seeds", "1")
    assert done.code == 0, done.err
    assert "warning: 40 samples span at most 39 of 64 dimensions" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--metric", "recal"], ["no metric 'recal'", "did you mean 'recall'"]),
        (["--metric", "modes"], ["does not fit digits"]),
        (["--metric", "errors"], ["a semi-supervised run"]),
        (["--count", "1"], ["there is nothing to score", "2 samples"]),
        (["--metric", "recall", "--count", "3"], ["too few", "at least 4"]),
        (["--seeds", "0"], ["at least 1 seed"]),
        (["--extractor", "vgg"], ["no extractor 'vgg'", "mnist-cnn-v1"]),
        (["--extractor", "mnist-cnn-v1"], ["mnist-cnn-v1 does not fit samples of shape (1, 8, 8)", "pixels"]),
        (["--inception-weights", "nothing.pt"], ["only for the Inception network", "--extractor inception-v3"]),
        (["--data", "nowhere"], ["no data set or path called nowhere"]),
        (["--data", "points.npy"], ["points.npy"]),
        (["--device", "abacus"], ["no device 'abacus'"]),
    ],
)
def test_bad_wishes_exit_2_and_leave_the_run_as_it_was(saddle, run: Path, words: list[str], said: list[str]):
    np.save("points.npy", np.zeros((40, 2)))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = saddle("evaluate", "run", *words)
    assert done.code == 2, done.out
    assert done.out == ""
    for part in said:
        assert part in done.err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_generator_that_makes_no_numbers(saddle, run: Path):
    tensors, header = load_tensors(run / "generator.safetensors")
    weights = (name for name in tensors if name.endswith("weight"))
    broken = tensors | {name: torch.full_like(tensors[name], float("nan")) for name in weights}
    save_tensors(run / "generator.safetensors", broken, header)
    done = saddle("evaluate", "run", "--metric", "fd", "--count", "200")
    assert done.code == 2
    assert "NaN or infinite" in done.err and "earlier checkpoint" in done.err
    assert not (run / "evaluation.json").exists()


def test_nothing_to_evaluate(saddle, tmp_path: Path):
    assert saddle("evaluate", "nowhere").code == 2
    assert "there is no file nowhere" in saddle("evaluate", "nowhere").err
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_reproduce_lists_its_tables(saddle):
    done = saddle("reproduce")
    assert done.code == 0
    assert "pacgan-2d" in rows(done.out) and "stacked-mnist" in rows(done.out)


def test_reproduce_prints_what_it_writes(saddle):
    row = load_table("gaussian").rows[0].name
    words = ["--quick", "--out", "tables", "--row", row, "--set", "images=500", "--length", "0.5"]
    done = saddle("reproduce", "gaussian", *words)
    assert done.code == 0, done.err
    page = Path("tables/quick/gaussian.md").read_text(encoding="utf-8")
    assert page in done.out and "written to tables/quick/gaussian.md" in done.out
    assert "saddle reproduce gaussian --quick --seeds 1 --length 0.125 --out tables" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--quick"], "no table is named"),
        (["pacgan2d"], "did you mean 'pacgan-2d'"),
        (["gaussian", "--seeds", "0"], "at least 1 seed"),
        (["gaussian", "--length", "2"], "at most 1"),
        (["pacgan-2d", "--row", "ours, ring"], "did you mean 'ours, ring of 8'"),
        (["gaussian", "--set", "seed=3"], "--seeds N"),
        (["gaussian", "--set", "bath_size=3"], "did you mean 'batch_size'"),
        (["gaussian", "--out", "file"], "file cannot be written"),
    ],
)
def test_bad_tables_exit_2_and_run_nothing(saddle, tmp_path: Path, words: list[str], said: str):
    (tmp_path / "file").write_text("not a folder")
    done = saddle("reproduce", *words)
    assert done.code == 2
    assert said in done.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "file"]
