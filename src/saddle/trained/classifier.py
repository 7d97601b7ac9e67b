"""Use the classifier of a semi-supervised run."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saddle.base.files import atomic_path
from saddle.base.machine import find_device
from saddle.config.schema import DataConfig
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.errors import CheckpointError, DataError
from saddle.networks.families import build_discriminator
from saddle.networks.memory import without_values
from saddle.networks.sides import Discriminator
from saddle.runs.folder import RunFolder
from saddle.trained.files import ClassifierHeader, fill, load_network

_CHUNK = 1000


class Classifier:
    """A trained discriminator that tells classes apart.

    Args:
        network: samples in its own range → class logits.
        scaling: from the data's units to that range.
        header: what it is and what it was trained on.
        device: where it runs.
    """

    def __init__(
        self, network: Discriminator, scaling: Scaling, header: ClassifierHeader, device: torch.device
    ) -> None:
        self.header = header
        self._network = network.to(device).eval()
        self._scaling = scaling.to(device)
        self._device = device

    def probabilities(self, store: Store) -> NDArray[np.float32]:
        """The probability of each class for each sample of ``store``: (N, classes), rows sum to 1.

        With minibatch discrimination, the answer for a sample depends on the others that are classified with it.

        Raises:
            DataError: samples of another shape than it was trained on.
        """
        if store.shape != self.header.shape:
            raise DataError(
                f"{store.name} does not fit this classifier",
                expected=f"samples of shape {self.header.shape}",
                got=store.shape,
                remedy="--set data.size and --set data.channels bring images to another shape",
            )
        return torch.cat(list(self._pieces(store))).numpy()

    def _pieces(self, store: Store) -> Iterator[Tensor]:
        for start in range(0, len(store), _CHUNK):
            values = torch.from_numpy(np.array(store.values[start : start + _CHUNK])).to(self._device)
            with torch.inference_mode():
                yield self._network.class_logits(self._scaling.forward(values)).softmax(1).cpu()


def load_classifier(path: str | Path, *, device: str = "auto") -> Classifier:
    """The trained classifier in a run folder or a classifier file.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        run = RunFolder(path)
        if not run.classifier.is_file():
            raise CheckpointError(
                f"{path} holds no classifier",
                expected="a semi-supervised run, such as one of the recipe semi-supervised, after its first checkpoint",
            )
        path = run.classifier
    weights, scaling, header = load_network(path, ClassifierHeader)
    classes = len(header.class_names)
    network = without_values(build_discriminator, header.discriminator, header.shape, 0, classes)
    fill(network, weights, path)
    return Classifier(network, scaling, header, find_device(device))


def data_for(classifier: Classifier, config: DataConfig) -> DataConfig:
    """``config`` with the size and channels that the classifier takes, where the user gave none."""
    if len(classifier.header.shape) != 3:
        return config
    channels, height, width = classifier.header.shape
    size = config.size if config.size is not None else (height, width)
    return config.model_copy(update={"size": size, "channels": config.channels or channels})


def class_counts(probabilities: NDArray[np.float32]) -> list[int]:
    """How many samples are most probably of each class, in class order."""
    return np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]).tolist()


def errors(probabilities: NDArray[np.float32], store: Store, classifier: Classifier) -> int | None:
    """How many of the store's labels the classifier gets wrong; None where it has no labels, or other classes."""
    if store.labels is None or store.class_names != classifier.header.class_names:
        return None
    return int((probabilities.argmax(1) != store.labels).sum())


def write_predictions(path: Path, probabilities: NDArray[np.float32], classifier: Classifier) -> None:
    """Write ``number,class,probability`` lines, atomically.

    Raises:
        SaddleError: ``path`` cannot be written.
    """
    names = classifier.header.class_names
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("number", "class", "probability"))
        writer.writerows((i, names[int(row.argmax())], f"{row.max():.6f}") for i, row in enumerate(probabilities))
