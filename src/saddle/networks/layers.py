"""Parts that several families share: activations, noise, minibatch discrimination, label inputs, initialisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils import parametrizations

from saddle.errors import ConfigError
from saddle.networks.across import gathered

_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def activation(name: str, slope: float = 0.0) -> nn.Module:
    """The elementwise activation called ``name``; ``slope`` is that of leaky_relu below zero."""
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
        case "linear":
            return nn.Identity()
        case _:
            raise AssertionError(name)


class Maxout(nn.Module):
    """The largest of ``pieces`` values, each ``width`` apart: (B, pieces · width) → (B, width).

    Goodfellow et al. 2013, "Maxout networks", eq. 1.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, values: Tensor) -> Tensor:
        pieces = values.unflatten(1, (self.pieces, -1))
        return _largest(pieces) if values.requires_grad else pieces.amax(1)


class _Largest(torch.autograd.Function):
    """``amax(1)`` of (B, pieces, width), with a gradient three to four times as fast on a CPU.

    Torch's own compares with broadcasting, which no vector unit helps with; the sign of a difference is the same mask.
    """

    @staticmethod
    def forward(pieces: Tensor) -> Tensor:
        return pieces.amax(1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        pieces, largest = ctx.saved_tensors
        with torch.no_grad():  # the mask is constant, so that this can be differentiated once more
            mask = (pieces - largest.unsqueeze(1)).sign_().add_(1)
            mask = mask.div_(mask.sum(1, keepdim=True))  # pieces that tie share
        return mask * gradients[0].unsqueeze(1)


def _largest(pieces: Tensor) -> Tensor:
    return cast(Tensor, _Largest.apply(pieces))


class GaussianNoise(nn.Module):
    """Adds noise of standard deviation ``sigma`` in training, from torch's global generator; any shape."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, values: Tensor) -> Tensor:
        return values + self.sigma * torch.randn_like(values) if self.training else values


class ChannelsLast(nn.Module):
    """The same images (B, C, H, W) with the channels innermost in memory: convolutions and norms are faster so."""

    def forward(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last)


class MinibatchDiscrimination(nn.Module):
    """Adds to each sample's features how close the batch's other samples are: (B, n) → (B, n + kernels).

    M_i = f(x_i) T, o(x_i)_b = Σ_{j≠i} exp(−‖M_ib − M_jb‖₁); Salimans et al. 2016, section 3.2.
    """

    def __init__(self, inputs: int, kernels: int, dimensions: int) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, kernels * dimensions, bias=False)
        self.kernels = kernels

    def forward(self, features: Tensor) -> Tensor:
        rows = self.projection(features).float().unflatten(1, (self.kernels, -1))
        everyone = gathered(rows) if self.training else rows
        distances = (rows[:, None] - everyone[None]).abs().sum(3)
        # Each sample's distance to itself is 0 and contributes exp(0) = 1.
        closeness = torch.exp(-distances).sum(1) - 1
        return torch.cat([features, closeness], 1)


class LabelVector(nn.Module):
    """Labels as vectors (B, size): one-hot, or a learned embedding of as many numbers as there are classes.

    A label is a class index (B,), or a mixture of classes: the share of each, float (B, classes).
    """

    def __init__(self, method: str, classes: int) -> None:
        super().__init__()
        self.size = classes
        self.embedding = nn.Embedding(classes, classes) if method == "embedding" else None

    def forward(self, labels: Tensor) -> Tensor:
        if labels.is_floating_point():
            return labels if self.embedding is None else labels @ self.embedding.weight
        return one_hot(labels, self.size).float() if self.embedding is None else self.embedding(labels)


def normalise_weights(network: nn.Module, method: str) -> None:
    """Put a normalisation on the weights of every linear and convolutional layer below ``network``.

    ``spectral``: divided by their largest singular value (Miyato et al. 2018, eq. 8). ``weight``: direction and length
    apart (Salimans & Kingma 2016, eq. 2). ``direction``: as ``weight``, but only the last layer learns its lengths, as
    in the MNIST script of Salimans et al. 2016. ``plain``: nothing.
    """
    if method == "plain":
        return
    wrap = parametrizations.spectral_norm if method == "spectral" else parametrizations.weight_norm
    layers = [layer for layer in network.modules() if isinstance(layer, _LAYERS)]
    for layer in layers:
        wrap(layer)
    for layer in layers[:-1] if method == "direction" else ():
        if layer.bias is not None:  # the others' lengths are not set by the first batch
            _length(layer).requires_grad_(False)


def _length(layer: nn.Module) -> nn.Parameter:
    """The lengths of a weight-normalised layer's rows."""
    parameter = layer.get_parameter("parametrizations.weight.original0")
    assert isinstance(parameter, nn.Parameter)
    return parameter


@torch.no_grad()
def initialise_from_data(network: nn.Module, run: Callable[[], object]) -> None:
    """Set length and bias of every weight-normalised layer so that its outputs have mean 0 and variance 1.

    Salimans & Kingma 2016, section 3, eq. 5 and 6: layer after layer, in one pass.

    Args:
        network: whose layers are set.
        run: passes a batch of data through ``network``.
    """

    def standardise(layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        axes = [axis for axis in range(output.dim()) if axis != 1]
        deviation, mean = torch.std_mean(output, axes)
        deviation = deviation.clamp_min(1e-6)
        length = _length(layer)
        length.div_(deviation.reshape(-1, *[1] * (length.dim() - 1)))
        layer.bias.sub_(mean).div_(deviation)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
        shape = [-1 if axis == 1 else 1 for axis in range(output.dim())]
        return (output - mean.reshape(shape)) / deviation.reshape(shape)

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    handles = [layer.register_forward_hook(standardise) for layer in layers if layer.bias is not None]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()


def initialise(network: nn.Module, method: str, scale: float) -> None:
    """Draw the weights of every linear and convolutional layer below ``network`` anew; their biases start at zero.

    ``default`` leaves what PyTorch drew. The draws come from torch's global generator.
    """
    if method == "default":
        return
    for layer in network.modules():
        if not isinstance(layer, _LAYERS):
            continue
        match method:
            case "normal":
                nn.init.normal_(layer.weight, std=scale)
            case "uniform":
                nn.init.uniform_(layer.weight, -scale, scale)
            case "orthogonal":
                nn.init.orthogonal_(layer.weight)
            case _:
                raise AssertionError(method)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def freeze(discriminator: nn.Module, count: int) -> None:
    """Let the first layers of D stay as they are; FreezeD (Mo et al. 2020, section 3).

    Args:
        discriminator: a D that saddle builds.
        count: how many linear and convolutional layers of its body, with what comes before the next one, such as norms.
            What a body of its own does at the end, and what it knows of labels, stays free.

    Raises:
        ConfigError: it has fewer.
    """
    body = discriminator.get_submodule("body")
    label = getattr(body, "label", None)
    of_labels = {*label.modules()} if isinstance(label, nn.Module) else set[nn.Module]()
    modules = [module for module in body.modules() if module is not body and module not in of_labels]
    layers = [module for module in modules if isinstance(module, _LAYERS)]
    if count > len(layers):
        raise ConfigError(
            "D's body has fewer layers", expected=f"discriminator.freeze of {len(layers)} at most", got=count
        )
    first_to_move = layers[count] if count < len(layers) else None
    for module in modules:
        if module is first_to_move:
            break
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
