from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from saddle.config.schema import DataConfig
from saddle.data import from_object, open_data
from saddle.errors import MetricError
from saddle.features import random_conv
from saddle.features.extractors import find_extractor
from saddle.features.random_conv import DIGEST, RandomConv
from saddle.metrics.frechet import Moments, frechet_distance


def pictures(count: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8))


def test_the_weights_are_the_same_everywhere(monkeypatch: pytest.MonkeyPatch):
    assert RandomConv().fingerprint == DIGEST
    monkeypatch.setattr(random_conv, "DIGEST", "0" * 64)
    with pytest.raises(MetricError, match="this version of numpy draws other weights"):
        RandomConv()


def test_the_features_of_a_picture_are_the_same_everywhere():
    """What they were where the extractor was written; rounding differs between machines."""
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    picture = torch.stack([rows * 10, columns * 10, (rows - columns).abs() * 10]).to(torch.uint8)
    found = RandomConv()(picture[None]).features[0]
    wanted = torch.tensor([6.47567, 8.31617, 7.90873, 7.12961, 8.56557, 6.63978, 3.27163, 2.95935])
    torch.testing.assert_close(found[::8], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (4, 20, 33), (3, 8, 200), (2, 150, 100)])
def test_pictures_of_any_size_have_as_many_features_and_are_seen_alone(shape: tuple[int, ...]):
    extractor = RandomConv()
    extractor.check(shape)
    images = pictures(30, *shape)
    features = extractor(images).features
    assert features.shape == (30, 64)
    assert features.isfinite().all()
    assert features.std(0).min() > 0
    torch.testing.assert_close(features[7:8], extractor(images[7:8]).features)


def test_a_picture_differs_from_its_negative_and_flat_ones_from_each_other():
    flat = torch.stack([torch.full((3, 16, 16), value) for value in (0, 128, 255)]).to(torch.uint8)
    features = RandomConv()(torch.cat([flat, pictures(1, 3, 16, 16), 255 - pictures(1, 3, 16, 16)])).features
    assert features.isfinite().all()
    assert torch.cdist(features, features)[~torch.eye(5, dtype=torch.bool)].min() > 0.1


@pytest.mark.parametrize("shape", [(3, 7, 32), (1, 32, 7)])
def test_pictures_that_do_not_fit(shape: tuple[int, ...]):
    store = from_object(np.zeros((5, *shape), np.uint8), config=DataConfig(source="own"))
    with pytest.raises(MetricError, match=r"(?s)at least 8 by 8 pixels and at most 4 channels.*pixels takes any"):
        find_extractor("random-conv-v1", store)
    assert find_extractor(None, store).name == "pixels"


def test_digits_that_get_worse_are_farther_from_the_real_ones():
    train, test = (
        open_data(DataConfig(source="digits", first=600)),
        open_data(DataConfig(source="digits", split="test")),
    )
    assert test.labels is not None
    images, threes = torch.from_numpy(test.values.copy()), np.flatnonzero(test.labels == 3)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)) * 50
    extractor = find_extractor("random-conv-v1", train)
    moments = Moments.of(extractor(torch.from_numpy(train.values.copy())).features)

    def distance(images: torch.Tensor) -> float:
        return frechet_distance(Moments.of(extractor(images.byte()).features), moments)

    real = distance(images)
    assert distance((images + noise).clamp(0, 255)) > 1.3 * real
    assert distance(avg_pool2d(images.float(), 3, 1, 1)) > 3 * real
    assert distance(images[np.resize(threes, len(images))]) > 3 * real
