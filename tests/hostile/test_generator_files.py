"""Generator and classifier files that are not what they should be: told at once, and nothing large is allocated."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saddle.base.tensors import load_tensors, save_tensors
from saddle.config.networks import GeneratorMLPConfig, LatentConfig
from saddle.config.schema import DiscriminatorConfig, GeneratorConfig
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError, ConfigError, NotFinite, SaddleError, TooLarge
from saddle.networks.families import build_discriminator, build_generator
from saddle.trained.classifier import load_classifier
from saddle.trained.explore import save_interpolation
from saddle.trained.export import save_samples
from saddle.trained.files import ClassifierHeader, GeneratorHeader, save_network
from saddle.trained.generator import load

SHAPE = (1, 8, 8)
NETWORK = GeneratorMLPConfig(widths=(16,))
LATENT = LatentConfig(size=4)
SCALING = Scaling(torch.ones(1), torch.zeros(1), images=True)
CLASSES = ("a", "b", "c")


@pytest.fixture
def generator_file(tmp_path: Path) -> Path:
    header = GeneratorHeader(
        recipe="digits", images_seen=1, shape=SHAPE, class_names=CLASSES, kind="images", data="x", latent=LATENT,
        network=NETWORK, condition="embedding",
    )  # fmt: skip
    config = GeneratorConfig(network=NETWORK, condition="embedding")
    save_network(tmp_path / "g.safetensors", build_generator(config, LATENT, SHAPE, 3).state_dict(), SCALING, header)
    return tmp_path / "g.safetensors"


@pytest.fixture
def classifier_file(tmp_path: Path) -> Path:
    config = DiscriminatorConfig()
    header = ClassifierHeader(
        recipe="x", images_seen=1, shape=SHAPE, class_names=CLASSES, labelled=3, discriminator=config
    )
    save_network(tmp_path / "c.safetensors", build_discriminator(config, SHAPE, 0, 3).state_dict(), SCALING, header)
    return tmp_path / "c.safetensors"


def change(path: Path, key: str, value: Any) -> None:
    """Write the file anew with another value in its header, and a checksum that is right again."""
    tensors, header = load_tensors(path)
    *parents, last = key.split(".")
    table = header
    for name in parents:
        table = table[name]
    table[last] = value
    save_tensors(path, {name: tensor.clone() for name, tensor in tensors.items()}, header)


def test_a_whole_file_is_read(generator_file: Path, classifier_file: Path):
    assert load(generator_file).sample(3).shape == (3, *SHAPE)
    assert load_classifier(classifier_file).header.class_names == CLASSES


HEADERS = {
    "latent.size": [0, -1, 5, 10**6, 10**12, 10**400, 1.5, "four", None],
    "latent.low": [2.0, float("inf"), "x"],
    "latent.distribution": ["cauchy", 3],
    "shape": [
        [],
        [8],
        [1, 8, 9],
        [1, 10**6, 10**6],
        [1, 10**12, 10**12],
        [-1, 8, 8],
        [1, 8, 8, 1],
        "188",
        None,
    ],
    "network.widths": [[], [0], [60_000, 60_000], [10**6] * 1000, [16] * 2000, [10**12]],
    "network.family": ["dcgan", "r3gan", "custom", "nobody's", 7, None],
    "network.norm": ["batch", "virtual", "none?"],
    "network.output": ["sigmoid?", ["tanh"]],
    "class_names": [[], ["a"], [str(i) for i in range(10**5)], "abc", [1, 2, 3], None],
    "kind": ["points", "films"],
    "images_seen": ["many", 1.5, [1]],
    "condition": ["projection", "none", 3],
    "recipe": [["x"], 1],
}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in HEADERS.items() for value in values],
    ids=lambda value: str(value)[:24],
)
def test_a_header_that_lies(generator_file: Path, key: str, value: Any):
    change(generator_file, key, value)
    try:
        samples = load(generator_file).sample(2)
    except (CheckpointError, ConfigError, TooLarge) as error:
        assert len(str(error)) < 5_000
    else:  # what the network does not depend on
        assert samples.shape == (2, *SHAPE)
        assert key in ("images_seen", "recipe", "network.output")


@pytest.mark.parametrize("value", [[1, 8, 9], [1, 10**6, 10**6], [8, 8]])
def test_a_classifier_of_another_shape(classifier_file: Path, value: list[int]):
    change(classifier_file, "shape", value)
    with pytest.raises((CheckpointError, TooLarge)):
        load_classifier(classifier_file)


@pytest.mark.parametrize("key", ["discriminator.network.widths", "discriminator.minibatch_kernels"])
def test_a_classifier_with_large_layers(classifier_file: Path, key: str):
    change(classifier_file, key, [10**6, 10**6] if key.endswith("widths") else 10**6)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_classifier(classifier_file)


def changed(name: str, make: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[Path], None]:
    def f(path: Path) -> None:
        tensors, header = load_tensors(path)
        made = make(tensors.pop(name).clone())
        kept = {key: tensor.clone() for key, tensor in tensors.items()}
        save_tensors(path, kept | ({} if made is None else {name: made}), header)

    return f


LAST = "network.body.last.weight"


@pytest.mark.parametrize(
    "make",
    [
        changed(LAST, lambda _: None),
        changed(LAST, lambda tensor: tensor[:-1]),
        changed(LAST, lambda tensor: tensor.double()),
        changed(LAST, lambda tensor: tensor.long()),
        changed(LAST, lambda tensor: tensor.flatten()),
        changed(LAST, lambda tensor: torch.zeros(0)),
        changed("network.label.embedding.weight", lambda tensor: tensor[:2]),
        changed("scaling.factor", lambda tensor: tensor * float("inf")),
        changed("scaling.offset", lambda _: None),
    ],
)
def test_tensors_that_do_not_fit(generator_file: Path, make: Callable[[Path], None]):
    make(generator_file)
    with pytest.raises(CheckpointError):
        load(generator_file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite(generator_file: Path, value: float):
    changed(LAST, lambda tensor: tensor.fill_(value))(generator_file)
    with pytest.raises(NotFinite):
        load(generator_file).sample(2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_fifo_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "g.safetensors")
    with pytest.raises(CheckpointError, match="FIFO"):
        load(tmp_path / "g.safetensors")


@pytest.mark.parametrize("nested", ["[" * 100_000, '{"header":' * 100_000, "[]", "7", '"x"', "{}"])
def test_a_header_that_is_no_header(tmp_path: Path, nested: str):
    from safetensors.torch import save

    (tmp_path / "g.safetensors").write_bytes(save({"x": torch.zeros(1)}, {"saddle": nested}))
    with pytest.raises(CheckpointError):
        load(tmp_path / "g.safetensors")


def test_a_file_larger_than_memory(tmp_path: Path):
    path = tmp_path / "g.safetensors"
    size = 2**44
    text = b'{"network.x": {"dtype": "F32", "shape": [%d], "data_offsets": [0, %d]}}' % (size // 4, size)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        try:
            file.truncate(8 + len(text) + size)
        except OSError:
            pytest.skip("this file system has no files of so many bytes")
    with pytest.raises(TooLarge, match=r"17\.6 TB"):
        load(path)


def test_more_samples_than_memory_holds(generator_file: Path, tmp_path: Path):
    generator = load(generator_file)
    with pytest.raises(TooLarge, match="samples"):
        generator.sample(10**13)
    with pytest.raises(TooLarge, match="latents"):
        generator.latents(10**13, 0)
    with pytest.raises(TooLarge, match="fewer steps"):
        save_interpolation(generator, tmp_path / "i.png", 1, 2, 10**13)
    for name in ("a.npy", "a.npz", "folder"):
        with pytest.raises(TooLarge, match="disk"):
            save_samples(generator, tmp_path / name, 10**14)
        assert not (tmp_path / name).exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_are_damage(generator_file: Path, tmp_path: Path, flips: list[tuple[int, int]]):
    content = bytearray(generator_file.read_bytes())
    for place, bit in flips:
        content[place % len(content)] ^= 1 << bit
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content)
    try:
        sample = load(damaged).sample(2)
    except SaddleError:
        return
    np.testing.assert_array_equal(sample, load(generator_file).sample(2))  # flipped back, or in what is not read


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_random_bytes(tmp_path: Path, content: bytes):
    (tmp_path / "r.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError):
        load(tmp_path / "r.safetensors")
