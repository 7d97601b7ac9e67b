"""Settings that a recipe leaves open, chosen from the data and the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saddle
from saddle.base.progress import Silent
from saddle.config import Config, load_recipe, parse_settings, resolve
from saddle.config.schema import DataConfig
from saddle.data import Store
from saddle.data.sources import open_data
from saddle.errors import ConfigError
from saddle.training import plan

CPU = torch.device("cpu")
OPEN = (
    *("images", "generator.network.width", "discriminator.network.width", "game.augment", "evaluate.every"),
    "data.mirror",
)
RECIPE = f"""
images = 200_000
auto = {list(OPEN)}
[data]
source = ""
[generator]
network = {{ family = "dcgan", width = 4 }}
optimizer = {{ learning_rate = {{ value = 1e-3, to = 0.0, start = "50%" }} }}
[discriminator]
network = {{ family = "dcgan", width = 4, norm = "none" }}
[evaluate]
count = 16
extractor = "pixels"
[samples]
count = 4
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "open.toml"
    path.write_text(RECIPE)
    return str(path)


def store_of(count: int, classes: int = 0) -> Store:
    values = np.zeros((count, 3, 8, 8), np.uint8)
    labels = np.arange(count) % classes if classes else None
    return Store("pictures", values, labels, tuple(map(str, range(classes))), "0" * 64)


def configure(recipe: str, *settings: str) -> Config:
    return resolve(load_recipe(recipe), parse_settings(settings))


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        ("images=500", OPEN[1:]),
        ("epochs=2", OPEN[1:]),
        ("game.augment.kind=ada", (*OPEN[:3], *OPEN[4:])),
        ("generator.network.width=8", (OPEN[0], *OPEN[2:])),
        ("generator.network={family='mlp'}", (OPEN[0], *OPEN[2:])),
        ("game.r1=1", OPEN),
        ("auto=[]", ()),
    ],
)
def test_what_is_given_is_not_chosen(recipe: str, setting: str, left: tuple[str, ...]):
    assert configure(recipe, setting).auto == left


@pytest.mark.parametrize(("count", "kind"), [(100, "diffaugment"), (4_999, "diffaugment"), (5_000, "none")])
def test_little_data_are_augmented(recipe: str, count: int, kind: str):
    found = plan.from_data(configure(recipe), store_of(count), CPU)
    assert found["game"]["augment"] == {"kind": kind}
    assert "game" not in plan.from_data(configure(recipe, "game.augment.kind=none"), store_of(count), CPU)


def test_images_are_mirrored_where_mirrored_ones_look_like_the_others(recipe: str):
    digits = open_data(DataConfig(source="digits"))
    both = np.concatenate([digits.values, np.flip(digits.values, 3)])
    order = np.random.default_rng(0).permutation(len(both))
    sides = (order >= len(digits)).astype(np.int64)  # two classes, each the mirror image of the other
    mixed = Store("digits and mirrored digits", both[order], sides, ("left", "right"), "0" * 64)

    def mirrored(store: Store, *settings: str) -> bool:
        return plan.from_data(configure(recipe, *settings), store, CPU)["data"]["mirror"]

    assert not mirrored(digits) and mirrored(mixed)
    assert not mirrored(mixed, "conditional=true")
    assert not mirrored(store_of(100))
    assert "data" not in plan.from_data(configure(recipe, "data.mirror=true"), digits, CPU)


def test_it_is_said_whether_images_are_mirrored(recipe: str):
    for setting, words in (("true", "mirrored at random"), ("false", "not mirrored")):
        config = configure(recipe, f"data.mirror={setting}")
        assert f", {words}, " in plan.in_words(config, store_of(300), 1.0)


def test_the_length_follows_from_the_speed_and_the_data(recipe: str):
    config = configure(recipe)
    slow, fast = (plan.from_speed(config, store_of(50_000), seconds, 1.0)["images"] for seconds in (2.0, 1.0))
    assert 1.8 < fast / slow < 2.2
    assert plan.from_speed(config, store_of(50_000), 1e6, 1.0)["images"] == 100_000  # as short as is worth it
    assert plan.from_speed(config, store_of(200), 0.1, 1.0)["images"] == 200_000  # 200 images teach no more
    assert "images" not in plan.from_speed(configure(recipe, "images=5"), store_of(200), 0.1, 1.0)


@pytest.mark.parametrize(("score", "scores"), [(1.0, 20), (20.0, 8), (1e6, 1)])
def test_scores_take_a_twentieth_of_the_time_at_most(recipe: str, score: float, scores: int):
    found = plan.from_speed(configure(recipe), store_of(50_000), 1.0, score)
    assert found["images"] // found["evaluate"]["every"] == scores
    assert scores == 1 or scores * score <= 0.05 * found["images"] / 1_000


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def train(recipe: str, out: Path, progress: Silent, shade: int = 0, **settings: Any) -> saddle.Run:
    values = np.random.default_rng(shade).integers(0, 256, (64, 3, 8, 8), dtype=np.uint8)
    return saddle.train(
        recipe, data=values, out=out, threads=1, progress=progress,
        settings={"data.held_out": 0.0, "batch_size": 8, **settings},
    )  # fmt: skip


def test_a_batch_far_larger_than_the_data_is_refused(tmp_path: Path):
    few = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    settings = {"images": 8, "data.size": 8, "evaluate.extractor": "pixels", "evaluate.count": 4}

    def trained(recipe: str, name: str, **further: Any) -> saddle.Run:
        return saddle.train(recipe, data=few, out=tmp_path / name, threads=1, settings={**settings, **further})

    chosen = trained("images", "chosen").config
    assert chosen.batch_size == 4
    assert chosen.game.classification == 0  # there are no classes
    for recipe, size in (("images", 51), ("mnist", 64)):
        with pytest.raises(ConfigError, match="too few samples for its batches") as refused:
            trained(recipe, "refused", batch_size=size)
        assert refused.value.remedy == "add some, or --set batch_size=5"
        assert not (tmp_path / "refused").exists()
    with pytest.raises(ConfigError) as refused:
        trained("mlp-tanh", "refused", **{"batch_size": 64, "game.packing": 4})
    assert refused.value.remedy == "add some, or --set batch_size=4"
    few = few[:1]
    with pytest.raises(ConfigError) as refused:
        trained("mnist", "refused")
    assert (refused.value.got, refused.value.remedy) == (1, "add some")


def test_a_batch_larger_than_the_data_is_told(recipe: str, tmp_path: Path):
    listener = Listener()
    train(recipe, tmp_path / "run", listener, images=70, batch_size=70, auto=[])
    assert any(
        "batches of 70 hold some of the 64 samples" in text and "batch_size=64" in text for text in listener.said
    )
    alike = Listener()
    train(recipe, tmp_path / "fits", alike, images=64, batch_size=64, auto=[])
    assert not any("more than once" in text for text in alike.said)


def test_a_run_says_what_it_chose_and_keeps_it(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan, "_FEWEST", 120)
    monkeypatch.setattr(plan, "_SHOWINGS", 2)
    listener = Listener()
    run = train(recipe, tmp_path / "run", listener)
    config = run.config
    assert config.images == 120 == run.log[-1]["images"]
    assert config.generator.network.width == 32  # pyright: ignore
    assert config.game.augment.kind == "diffaugment"
    assert config.generator.optimizer.learning_rate.start == "50% of 120"  # pyright: ignore
    assert "timing a few rounds" in listener.said[0]
    plan_in_words = "8 × 8, 64 images: networks of width 32, diffaugment, not mirrored, batches of 8, 120 images; about"
    assert plan_in_words in listener.said[1]
    assert "64 images are very few" in listener.said[1]
    assert len(run.scores) >= 1 and run.folder.best.is_file()

    monkeypatch.setattr(plan, "_FEWEST", 500)  # another machine would choose otherwise
    again = train(recipe, tmp_path / "run", listener)
    assert again.config == config and again.log == run.log
    longer = train(recipe, tmp_path / "run", listener, images=160)
    assert longer.log[-1]["images"] == 160
    assert longer.config.auto == OPEN[1:]
    with pytest.raises(saddle.SaddleError, match="other settings"):
        train(recipe, tmp_path / "run", listener, **{"generator.network.width": 4})
    with pytest.raises(saddle.SaddleError, match="have changed since"):
        train(recipe, tmp_path / "run", listener, images=160, shade=1)


def scores(metric: str, *values: float, best: Callable[..., float] = min) -> list[dict[str, float]]:
    """What ten intervals of a run came to."""
    return [
        {"images": 10 * (at + 1), metric: value, "best": value == best(values[: at + 1])}
        for at, value in enumerate(values)
    ]


def test_a_run_that_was_still_improving_says_so():
    falling = scores("fd", *(100 / number for number in range(1, 11)))
    words = plan.prospect(falling, "fd", 100, 600.0)
    assert words is not None
    assert words.startswith("fd was still improving, from 14.3 to 10") and "takes 20 minutes, --set images=200" in words
    settled = scores("fd", *(5.0 + 0.01 * (number % 3) for number in range(1, 11)))
    assert "has settled" in str(plan.prospect(settled, "fd", 100, 600.0))
    rising = scores("recall", *(0.05 * number for number in range(1, 11)), best=max)
    assert "recall was still improving, from 0.35 to 0.5" in str(plan.prospect(rising, "recall", 100, 600.0))
    worse = scores("precision", *(0.8 - 0.06 * number for number in range(10)), best=max)
    assert "precision has settled" in str(plan.prospect(worse, "precision", 100, 600.0))
    assert plan.prospect(falling[:2], "fd", 100, 600.0) is None
    assert plan.prospect([], "fd", 100, 600.0) is None


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("images", {"members": 3, "generator.network.width": 4, "discriminator.network.width": 4}),
        ("pix2pix", {"auto": ["images", "evaluate.every"], "data.pairs": "edges"}),
        ("ring8", {"auto": ["images", "evaluate.every", "game.augment", "data.mirror"], "data.source": "ring(8)"}),
    ],
)
def test_lengths_are_chosen_for_populations_pairs_and_points(
    recipe: str, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(plan, "_FEWEST", 64)
    monkeypatch.setattr(plan, "_MOST", 64)
    images = np.random.default_rng(0).integers(0, 256, (300, 3, 8, 8), dtype=np.uint8)
    settings = {"data.size": 8, "evaluate.extractor": "pixels", "evaluate.count": 4, "batch_size": 32, **changes}
    data = None if recipe == "ring8" else images
    if data is None:
        settings = {key: value for key, value in settings.items() if key not in ("data.size", "evaluate.extractor")}
    run = saddle.train(recipe, data=data, out=tmp_path / "run", settings=settings, threads=1, progress=Silent())
    assert run.config.images == 64 and run.config.evaluate.every
