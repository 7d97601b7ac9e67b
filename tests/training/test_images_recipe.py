"""The convolutional recipes from data to samples, on very little of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import saddle
from saddle.base.progress import Silent
from saddle.cli.commands import app
from saddle.errors import ConfigError

SMALL: dict[str, Any] = {
    "auto": ["game.classification"],  # tests/training/test_plan.py is about the others
    "images": 8,
    "precision": "float32",  # auto may find another one for one of two runs
    "batch_size": 4,
    "threads": 1,
    "latent.size": 4,
    "generator.network.width": 2,
    "discriminator.network.width": 2,
    "samples.count": 4,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs of two classes, no two of one size."""
    chance = np.random.default_rng(0)
    for number in range(10):
        path = tmp_path / "photos" / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = chance.integers(0, 256, (19 + 7 * number, 90 - 5 * number, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def train(recipe: str, out: Path, data: object, **changes: Any) -> saddle.Run:
    settings = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return saddle.train(recipe, data=data, out=out, settings=settings, progress=Silent())


def test_images_recipe_needs_nothing_but_a_folder(tmp_path: Path, folder: Path):
    run = train("images", tmp_path / "run", folder)
    assert run.generator.shape == (3, 64, 64)
    assert run.generator.class_names == ("cat", "dog")
    out = tmp_path / "cats.npz"
    words = ["sample", str(run.path), "--label", "cat", "--count", "3", "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    with np.load(out) as found:
        assert found["images"].shape == (3, 3, 64, 64)
        assert found["labels"].tolist() == [0, 0, 0]


def test_images_recipe_asks_for_data_and_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "images", "--out", "run"])
    assert result.exit_code == 2
    assert "saddle train images --data FOLDER_OR_ZIP" in result.output
    assert list(tmp_path.iterdir()) == []
    dry = CliRunner().invoke(app, ["train", "images", "--dry-run"])
    assert dry.exit_code == 0
    assert 'source = ""' in dry.output


def test_a_training_says_what_is_held_out_and_what_is_shown_on_white(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    hole = Image.new("RGBA", (20, 20), (9, 9, 9, 0))
    hole.save(folder / "cat" / "hole.png")
    settings = SMALL | {"data.size": 8, "data.held_out": 0.05}
    saddle.train("images", data=folder, out=tmp_path / "few", settings=settings)
    said = capsys.readouterr().err
    assert "1 of 11 images are transparent: shown on white; --set data.channels=4" in said
    assert "held out" not in said  # of so few
    values = np.random.default_rng(0).integers(0, 256, (300, 3, 8, 8), np.uint8)
    run = saddle.train("images", data=values, out=tmp_path / "run", settings=settings)
    assert "50 samples of the ndarray given are held out" in capsys.readouterr().err
    found = saddle.evaluate(run, data=values, metrics=["kd"], count=60, seeds=1)
    assert found["kd"].floor_of == "50 held-out samples"
    assert "(250)" in found["kd"].data


def test_images_recipe_without_classes_and_not_square(tmp_path: Path, folder: Path):
    run = train("images", tmp_path / "run", folder / "cat", data__size=[20, 36])
    assert run.generator.shape == (3, 20, 36)
    assert run.generator.class_names == ()


@pytest.mark.parametrize("norm", ["batch", "virtual"])
def test_two_rounds_and_two_more_are_four(tmp_path: Path, folder: Path, norm: str):
    settings: dict[str, Any] = {"generator.network.norm": norm, "data.size": 16, "checkpoint.every": 8}
    settings |= {f"{player}.optimizer.learning_rate": 1e-3 for player in ("generator", "discriminator")}
    whole = train("images", tmp_path / "whole", folder, **settings, images=16)
    parts = train("images", tmp_path / "parts", folder, **settings)
    assert parts.folder.generator.read_bytes() != whole.folder.generator.read_bytes()
    parts = train("images", tmp_path / "parts", folder, **settings, images=16)
    assert parts.folder.generator.read_bytes() == whole.folder.generator.read_bytes()


@pytest.mark.parametrize("recipe", ["dcgan", "dcgan-conditional", "dcgan-failing"])
def test_mnist_recipes_take_two_rounds(tmp_path: Path, recipe: str):
    length = {"epochs": None, "images": 8} if recipe == "dcgan-failing" else {}
    run = train(recipe, tmp_path / "run", "digits", data__size=28, **length)
    assert run.sample(3).shape == (3, 1, 28, 28)


def test_packing_joins_channels(tmp_path: Path, folder: Path):
    run = train("images", tmp_path / "run", folder, conditional=False, data__size=16, game__packing=2)
    assert run.generator.shape == (3, 16, 16)


def test_impossible_size_leaves_no_run_folder(tmp_path: Path, folder: Path):
    with pytest.raises(ConfigError, match=r"data\.size=8"):
        train("images", tmp_path / "run", folder, data__size=6)
    assert not (tmp_path / "run").exists()
