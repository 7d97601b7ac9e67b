"""What a look at samples tells, on samples whose faults are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from saddle.config.schema import DataConfig
from saddle.data.sources import open_data
from saddle.data.store import Store
from saddle.scoring.look import COUNT, FEWEST, Real

DIGITS = DataConfig(source="digits")
RING = DataConfig(source="ring(8)")


@pytest.fixture(scope="module")
def digits() -> Real:
    store = open_data(DIGITS)
    real = Real.of(store, DIGITS)
    assert real is not None
    return real


@pytest.fixture(scope="module")
def ring() -> Real:
    store = open_data(RING)
    real = Real.of(store, RING)
    assert real is not None
    return real


def others(store: Store, count: int = COUNT) -> torch.Tensor:
    """Real samples, most of which the look does not hold."""
    chosen = np.random.default_rng(0).choice(len(store), count, replace=False)
    return torch.from_numpy(store.values[chosen])


@pytest.mark.parametrize("which", ["digits", "ring"])
def test_of_real_samples_nothing_is_wrong(which: str, request: pytest.FixtureRequest):
    real: Real = request.getfixturevalue(which)
    figures, _ = real.look(others(real.store), None)
    for name in ("spread", "variety", "coverage"):
        assert 0.85 < figures[name] < 1.15, name
    assert 0.7 < figures["nearest"] < 1.3
    assert figures["inside"] > 0.9
    assert figures["distance"] < 0.1


def test_one_image_again_and_again_is_one_kind(digits: Real):
    figures, _ = digits.look(others(digits.store)[:1].repeat(COUNT, 1, 1, 1), None)
    assert figures["kinds"] == pytest.approx(1)
    assert figures["variety"] < 0.02 and figures["nearest"] < 0.01 and figures["spread"] < 1e-6
    assert figures["coverage"] < 0.05


def test_half_of_the_modes_are_half_of_the_variety(ring: Real):
    values = others(ring.store, 2_000)
    half = values[values[:, 0] > 0.01][:COUNT]
    figures, _ = ring.look(half, None)
    assert 0.35 < figures["variety"] < 0.65
    assert 0.35 < figures["coverage"] < 0.65
    assert figures["inside"] > 0.9


def test_noise_lies_outside(digits: Real):
    noise = torch.randint(0, 256, (COUNT, *digits.store.shape), generator=torch.Generator().manual_seed(0))
    figures, _ = digits.look(noise.to(torch.uint8), None)
    assert figures["inside"] < 0.02 and figures["coverage"] < 0.02
    assert figures["distance"] > 0.5


def test_training_images_are_copies_and_held_out_ones_are_not(digits: Real):
    copies, _ = digits.look(others(digits.store), None)
    assert copies["copies"] == 1
    blurred = (others(digits.store).float() * 0.6 + others(digits.store).flip(0).float() * 0.4).to(torch.uint8)
    mixed, _ = digits.look(blurred, None)
    assert mixed["copies"] < 0.1


def test_change_is_how_far_the_samples_of_the_same_latents_moved(digits: Real):
    values = others(digits.store)
    _, seen = digits.look(values, None)
    still, _ = digits.look(values, seen)
    moved, _ = digits.look(values.flip(0), seen)
    assert still["change"] == 0
    assert 0.8 < moved["change"] < 1.2


def test_too_few_samples_are_not_looked_at(digits: Real):
    some = digits.store.taking(slice(0, 2 * FEWEST - 1))
    assert Real.of(some, DIGITS) is None
    just = Real.of(digits.store.taking(slice(0, 2 * FEWEST)), DIGITS)
    assert just is not None and just.count == FEWEST


def test_where_points_lie_and_in_which_units_changes_nothing(ring: Real):
    points = others(ring.store)
    far = replace(ring.store, values=(ring.store.values * [3, 500] + [20_000, -70_000]).astype(np.float32))
    moved = Real.of(far, RING)
    assert moved is not None
    here, _ = ring.look(points, None)
    there, _ = moved.look(torch.from_numpy((points.numpy() * [3, 500] + [20_000, -70_000]).astype(np.float32)), None)
    for name in ("spread", "nearest", "variety", "coverage"):
        assert there[name] == pytest.approx(here[name], rel=0.1), name


def test_the_targets_of_pairs_are_no_copies(digits: Real):
    pairs = replace(digits.store, inputs=digits.store.values)
    real = Real.of(pairs, DIGITS)
    assert real is not None
    figures, _ = real.look(others(digits.store), None)
    assert "copies" not in figures
