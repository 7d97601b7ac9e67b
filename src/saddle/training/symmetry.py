"""Whether images look the same when they are mirrored."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

from saddle.data.store import Store
from saddle.features.random_conv import RandomConv, takes

# Mirrored images look like the others if their distance is at most so many times that of two halves of the images. In
# 40 draws of 200 images it was 0.9 to 1.1 times for CIFAR-10, at least 2.3 times for MNIST and for the bundled digits,
# and at least 1.5 times for two classes that are each other's mirror images.
_ALIKE = 1.3
_FEWEST_COMPARED, _MOST_COMPARED = 200, 1_000  # images
_MOST_VALUES = 2**29  # of them at once
_SPLITS = 20


def look_alike_mirrored(store: Store, *, labelled: bool) -> bool:
    """Whether images that are mirrored left to right look like the others, as photographs do and letters do not.

    One half of the images is held against the other half, as it is and mirrored, by the mean features of
    ``random-conv-v1``: of all images, or of each class. Of few images this cannot be told: False.

    Args:
        store: the images.
        labelled: whether an image must look like those of its class.
    """
    if not takes(store.shape) or store.kind != "images":
        return False
    some = store.spread(min(_MOST_COMPARED, _MOST_VALUES // prod(store.shape)))
    if len(some) < _FEWEST_COMPARED:
        return False
    extractor, pieces = RandomConv(), torch.from_numpy(some.values).split(RandomConv.batch)
    plain = torch.cat([extractor(piece).features for piece in pieces]).double()
    mirrored = torch.cat([extractor(piece.flip(-1)).features for piece in pieces]).double()
    scale = plain.std(0).clamp(min=1e-9)
    labels, classes = torch.zeros(len(some), dtype=torch.int64), 1
    if labelled and some.labels is not None:
        labels, classes = torch.from_numpy(some.labels.astype(np.int64)), len(some.class_names)
    chance, apart = torch.Generator().manual_seed(0), torch.zeros(2, dtype=torch.float64)
    for _ in range(_SPLITS):
        half, other = torch.randperm(len(some), generator=chance).tensor_split(2)
        sides = [(plain[half], labels[half]), (mirrored[other], labels[other]), (plain[other], labels[other])]
        (mean, count), *others = (_means(features / scale, label, classes) for features, label in sides)
        for place, (another, another_count) in enumerate(others):
            weight = 1 / (1 / count + 1 / another_count)  # 0 where a half has none of the class
            apart[place] += (weight[:, None] * (mean - another).square()).sum()
    return bool(apart[0] <= _ALIKE * apart[1])


def _means(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The mean features of each class (classes, d), and how many there are of it, (classes,)."""
    sums = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
    count = torch.bincount(labels, minlength=classes).double()
    return sums / count.clamp(min=1)[:, None], count
