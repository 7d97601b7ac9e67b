"""From a run folder or a generator file to a network with its weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from saddle.config.networks import CustomNetworkConfig
from saddle.config.schema import GeneratorConfig
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError, ConfigError
from saddle.networks.families import build_generator
from saddle.networks.memory import without_values
from saddle.runs.folder import RunFolder
from saddle.trained.files import GeneratorHeader, fill, load_network, missing_generator


def open_generator(path: Path, generator: nn.Module | None = None) -> tuple[nn.Module, Scaling, GeneratorHeader]:
    """The network, the scaling of its samples and the header in a run folder or a generator file.

    Args:
        path: of either.
        generator: for a generator that is the user's own module, one built as for training.

    Raises:
        CheckpointError: there is none, it is damaged or foreign, or ``generator`` does not fit.
        ConfigError: it needs ``generator`` and got none, or got one that it does not need.
    """
    given = path
    if path.is_dir():
        run = RunFolder(path)
        if not run.exists():
            raise CheckpointError(f"{path} holds no run", expected="a folder that saddle train made")
        if not run.generator.is_file():
            raise missing_generator(run)
        path = run.generator
    weights, scaling, header = load_network(path, GeneratorHeader)
    made, expected = header.network, None
    if isinstance(made, CustomNetworkConfig):
        expected = f"the module that was trained: {made.name} with {made.parameters:,} parameters"
        if generator is None:
            raise ConfigError(
                f"the generator in {given} is your own module, which saddle cannot build",
                expected=expected,
                remedy=f'this needs Python: saddle.load("{given}", generator=YourModule()), built as for training',
            )
    elif generator is not None:
        raise ConfigError(
            f"the generator in {given} is no module of your own: saddle builds it itself",
            remedy="leave out generator=",
        )
    else:
        config = GeneratorConfig(network=made, condition=header.condition)
        classes, channels = len(header.class_names), 0 if header.inputs is None else header.inputs.channels
        generator = without_values(build_generator, config, header.latent, header.shape, classes, channels)
    fill(generator, weights, path, expected=expected)
    return generator, scaling, header
