"""Parts that several families share: activations, initialisation, output ranges."""

from __future__ import annotations

from torch import nn

from saddle.config.schema import MLPConfig


def activation(name: str, slope: float) -> nn.Module:
    """The activation called ``name``; ``slope`` is that of leaky_relu below zero."""
    match name:
        case "leaky_relu":
            return nn.LeakyReLU(slope)
        case "relu":
            return nn.ReLU()
        case "elu":
            return nn.ELU()
        case "gelu":
            return nn.GELU()
        case "silu":
            return nn.SiLU()
        case "softplus":
            return nn.Softplus()
        case "tanh":
            return nn.Tanh()
        case "sigmoid":
            return nn.Sigmoid()
        case _:
            raise AssertionError(name)


def output_activation(name: str) -> nn.Module:
    """The last activation of a generator: sigmoid to [0, 1], tanh to [-1, 1], linear to anything."""
    return nn.Identity() if name == "linear" else activation(name, 0.0)


def initialise(module: nn.Module, config: MLPConfig) -> None:
    """Draw the weights of every linear layer below ``module`` anew; biases start at zero. ``default`` leaves PyTorch's.

    The draws come from torch's global random generator.
    """
    if config.initialisation == "default":
        return
    for layer in module.modules():
        if not isinstance(layer, nn.Linear):
            continue
        match config.initialisation:
            case "normal":
                nn.init.normal_(layer.weight, std=config.scale)
            case "uniform":
                nn.init.uniform_(layer.weight, -config.scale, config.scale)
            case "orthogonal":
                nn.init.orthogonal_(layer.weight)
        nn.init.zeros_(layer.bias)
