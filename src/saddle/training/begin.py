"""Fine-tuning: a new run whose networks begin as those of a trained one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saddle.base.tensors import load_tensors
from saddle.config import Config, load_config
from saddle.config.keys import identity_of
from saddle.config.resolve import difference, inline_toml
from saddle.config.schema import DiscriminatorConfig
from saddle.config.section import Section
from saddle.errors import CheckpointError, ConfigError, DamagedFile, RunError
from saddle.runs.folder import RunFolder
from saddle.trained.files import GeneratorHeader, load_network, missing_generator
from saddle.training.checkpoint import check_header
from saddle.training.gan import GAN
from saddle.training.players import below


class Source(NamedTuple):
    """What a run can begin from.

    Args:
        path: the checkpoint or generator file.
        digest: SHA-256 of its bytes.
        header: of the generator.
        discriminator: its settings; None in a generator file, which has none.
        tensors: by the name that they have in a checkpoint.
    """

    path: Path
    digest: str
    header: GeneratorHeader
    discriminator: DiscriminatorConfig | None
    tensors: Mapping[str, Tensor]


def open_source(source: str) -> Source:
    """The run folder or generator file that ``begin.source`` names.

    Raises:
        RunError: there is none, it has no checkpoint yet, or it is a population.
        CheckpointError: it is damaged.
    """
    path = Path(source)
    if not path.is_dir():
        weights, _, header = load_network(path, GeneratorHeader)
        tensors = {f"averaged.{name}": tensor for name, tensor in weights.items()}
        return Source(path, _digest(path), header, None, tensors)
    run = RunFolder(path)
    if not run.exists():
        raise RunError(
            f"{path} holds no run", expected="a folder that saddle train made, or a generator.safetensors",
        )  # fmt: skip
    config = load_config(run.config)
    if config.members > 1:
        raise RunError(
            f"{path} is a population, and a run begins from one member",
            remedy=f"saddle fork {path} --member 0 --out FOLDER takes one out",
        )
    if not run.generator.is_file():
        raise missing_generator(run)
    _, _, header = load_network(run.generator, GeneratorHeader)
    for images_seen, checkpoint in reversed(run.all_checkpoints()):
        with suppress(DamagedFile):
            tensors, found = load_tensors(checkpoint)
            check_header(checkpoint, found, identity_of(config), images_seen)
            return Source(checkpoint, _digest(checkpoint), header, config.discriminator, tensors)
    raise RunError(f"{path} has no checkpoint", remedy=f"begin from its generator alone: {run.generator}")


_OWN = ("discriminator.optimizer", "discriminator.freeze")  # which a run may have otherwise than its source


def check_source(source: Source, config: Config, shape: tuple[int, ...], input_channels: int = 0) -> None:
    """Refuse a source whose networks are not those of this run, whatever their labels.

    Raises:
        ConfigError: with the settings that would make them alike.
    """
    given = source.header
    if given.shape != shape:
        height, width = given.shape[-2:] if len(given.shape) == 3 else (0, 0)
        raise ConfigError(
            f"{source.path} makes samples of another shape than these data",
            expected=f"shape {given.shape}",
            got=f"shape {shape}",
            remedy=f"--set data.size=[{height},{width}] --set data.channels={given.shape[0]}" if height else None,
        )
    theirs = 0 if given.inputs is None else given.inputs.channels
    if theirs != input_channels:
        raise ConfigError(
            f"{source.path} was given other inputs than these data have",
            expected=f"pairs whose inputs have {theirs} channel(s)" if theirs else "data without inputs",
            got=f"inputs of {input_channels} channel(s)" if input_channels else "no inputs",
        )
    sections: list[tuple[str, Section, Section]] = [
        ("generator.network", given.network, config.generator.network),
        ("latent", given.latent, config.latent),
    ]
    if source.discriminator is not None:
        sections.append(("discriminator", source.discriminator, config.discriminator))
    changes = [
        (f"{name}.{key}", *values) for name, theirs, ours in sections for key, *values in difference(theirs, ours)
    ]
    changes = [change for change in changes if not change[0].startswith(_OWN)]
    if source.discriminator is None and config.discriminator.freeze:
        raise ConfigError(
            f"{source.path} holds G alone, and discriminator.freeze keeps layers of a trained D",
            remedy="begin from the run's folder, or leave discriminator.freeze out",
        )
    if given.class_names and config.conditional and given.condition != config.generator.condition:
        changes.append(("generator.condition", given.condition, config.generator.condition))
    if changes:
        families = [(given.network.family, config.generator.network.family)]
        if source.discriminator is not None:
            families.append((source.discriminator.network.family, config.discriminator.network.family))
        same = all(theirs == ours for theirs, ours in families)
        settings = [f"--set {shlex.quote(f'{key}={inline_toml(theirs)}')}" for key, theirs, _ in changes]
        raise ConfigError(
            f"{source.path} has other networks than this run",
            details=(f"  {key}: {inline_toml(old)} there, {inline_toml(new)} here" for key, old, new in changes),
            remedy=" ".join(settings) if same else "train the recipe that the source was trained by",
        )


@torch.no_grad()
def begin_from(source: Source, learner: GAN, class_names: tuple[str, ...]) -> list[str]:
    """Give the learner the networks of ``source``, and say what was made to fit.

    Optimizers begin anew. What only the number of classes makes larger or smaller is taken over as far as it goes.

    Returns:
        Sentences.

    Raises:
        CheckpointError: the tensors are not those of such networks.
    """
    parts: dict[str, nn.Module] = {"generator.network": learner.generator.network}
    if learner.averaged is not learner.generator.network:
        parts["averaged"] = learner.averaged
    said: list[str] = []
    if source.discriminator is None:
        said.append(f"{source.path} holds G alone: D begins anew, and needs some rounds to catch up")
    else:
        parts["discriminator.network"] = learner.discriminator.network
    cut, anew = 0, False
    for part, network in parts.items():
        # A generator file has the average alone, and a run without averaging has none.
        other = "averaged" if part == "generator.network" else "generator.network"
        given = _plain(below(f"{part}.", source.tensors) or below(f"{other}.", source.tensors))
        own = _plain(network.state_dict())
        for name, tensor in own.items():
            if name in given and given[name].dim() == tensor.dim():
                is_output = part == "discriminator.network" and name.startswith("output.")
                if is_output and given[name].shape != tensor.shape:
                    raise CheckpointError(
                        f"the D of {source.path} answers to another game than this run's",
                        expected=f"output of shape {tuple(tensor.shape)}",
                        got=f"{tuple(given[name].shape)}",
                        remedy=f"begin from its generator alone: {source.path.parents[1] / 'generator.safetensors'}",
                    )
                corner = tuple(slice(min(pair)) for pair in zip(given[name].shape, tensor.shape, strict=True))
                cut += given[name].shape != tensor.shape
                tensor[corner] = given[name][corner].to(tensor.device, tensor.dtype)
            elif name.startswith("class_head."):
                anew = True
            elif not name.startswith(_OF_LABELS):
                raise CheckpointError(f"{source.path} does not hold these networks", got=f"no {name} of this shape")
    theirs = source.header.class_names
    if theirs != class_names:
        labels = f"{len(theirs)} classes there, {len(class_names)} here"
        said.append(f"{labels}: what the networks know of labels is taken over in their order, as far as it goes")
    elif cut:
        raise CheckpointError(f"{source.path} does not hold these networks", got="other shapes")
    if anew:
        said.append(f"the D of {source.path} tells no classes: it learns that from the beginning")
    return said


_OF_LABELS = ("label.", "embedding.", "projection.")  # which an unconditional network does without


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By names without the wrappers that labels and codes put around a generator."""
    return {name.replace("body.", ""): tensor for name, tensor in tensors.items()}


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
