"""Every score answers to damage in the right direction: on the bundled digits, and on MNIST where it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from saddle.features.random_conv import RandomConv


@pytest.fixture(scope="module")
def tool(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("tools/metric_responses.py")


# What happens to a figure from no damage to the most; a figure that is not named says little about the damage.
WORSE = {
    "noise, standard deviation": {"fd": 1, "kd": 1, "precision": -1, "density": -1, "coverage": -1, "is": -1, "1nn": 1},
    "blur, pixels": {"fd": 1, "kd": 1, "precision": -1, "recall": -1, "coverage": -1, "agreement": -1},
    "classes missing": {"fd": 1, "kd": 1, "recall": -1, "coverage": -1, "is": -1, "classes": -1, "class_gap": 1},
    "share of repeats": {"fd": 1, "kd": 1, "recall": -1, "coverage": -1, "parzen": -1},
    "share replaced by one class": {"fd": 1, "kd": 1, "recall": -1, "is": -1, "classes": -1, "class_gap": 1, "1nn": 1},
    "share of copies": {"copies": 1},
}


@pytest.mark.parametrize("damage", [damage for damage in WORSE if damage != "share of copies"])  # too few are held out
def test_digits_that_get_worse_score_worse(tool: ModuleType, damage: str):
    check(tool, damage, "digits", 1200, slice(None))


@pytest.mark.parametrize("channels", [1, 3])
def test_damages_change_pictures_and_keep_their_shape(tool: ModuleType, channels: int):
    chance = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, channels, 12, 12), dtype=torch.uint8, generator=chance)
    samples = tool.Samples(images, torch.arange(20) % 10)
    training = tool.Samples(images.flip(2), torch.arange(20) % 10)
    for damage in tool.DAMAGES:
        none, most = (damage.apply(samples, training, level) for level in (damage.levels[0], damage.levels[-1]))
        assert torch.equal(none.images, images), damage.name
        assert most.images.shape == images.shape and not torch.equal(most.images, images), damage.name
    pieces = next(damage for damage in tool.DAMAGES if "shuffled" in damage.name)
    shuffled = pieces.apply(samples, training, 2).images
    assert torch.equal(shuffled.flatten(1).sort().values, images.flatten(1).sort().values)  # the same pixels


def test_features_of_any_pictures_answer_to_damage(load_script: Callable[[str], ModuleType]):
    responses = load_script("tools/extractor_responses.py")
    place = torch.arange(32) - 16
    radius = 4 + 10 * torch.rand(200, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    discs = ((place[:, None] ** 2 + place**2) < radius**2).to(torch.uint8) * 255
    ratios = dict(zip(responses.DAMAGES, responses.distances(RandomConv(), discs), strict=True))
    assert ratios.pop("none") == 1
    assert all(ratio > 1.1 for name, ratio in ratios.items() if "pattern" not in name), ratios


@pytest.mark.slow
@pytest.mark.parametrize("damage", WORSE)
def test_mnist_that_gets_worse_scores_worse(tool: ModuleType, damage: str, real_data: Path):
    check(tool, damage, "mnist", 5000, slice(1000))


@pytest.mark.slow
def test_parzen_prefers_blurred_digits(tool: ModuleType, real_data: Path):
    """Why nothing is tuned by it."""
    real, samples = tool.two_sides("mnist", 5000)
    samples = tool.Samples(samples.images[:1000], samples.labels[:1000])
    (blur,) = (one for one in tool.DAMAGES if one.name == "blur, pixels")
    sharp, blurred = tool.responses(real, samples, ["parzen"], [blur._replace(levels=(0, 1))])[blur.name]["parzen"]
    assert blurred > sharp


def check(tool: ModuleType, damage: str, data: str, first: int, rows: slice) -> None:
    real, samples = tool.two_sides(data, first)
    samples = tool.Samples(samples.images[rows], samples.labels[rows])
    (chosen,) = (one for one in tool.DAMAGES if one.name == damage)
    ends = chosen._replace(levels=(chosen.levels[0], chosen.levels[-2], chosen.levels[-1]))
    found = tool.responses(real, samples, list(WORSE[damage]), [ends])[damage]
    for name, sign in WORSE[damage].items():
        before, much, most = (sign * value for value in found[name])
        assert before < most, f"{name}: {found[name]}"
        assert before <= much + 1e-9, f"{name}: {found[name]}"
