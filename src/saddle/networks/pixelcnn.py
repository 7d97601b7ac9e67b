"""Gated PixelCNN: images drawn value by value, each from a distribution that the values before it decide.

Van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders", section 2: p(x) = Π p(xᵢ | x₁ … xᵢ₋₁),
row by row, in a row from left to right, in a pixel channel by channel. Two stacks of convolutions see what came before:
the vertical one the rows above, the horizontal one the pixels to the left and what the vertical one found. Each layer
is gated, y = tanh(W_f ∗ x + V_f h) ⊙ σ(W_g ∗ x + V_g h) (eq. 2 and 4), where h is the vector of a label. The values are
discrete, so the likelihood is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from saddle.config.networks import PixelCNNConfig
from saddle.errors import ConfigError
from saddle.networks.layers import LabelVector

# Side of the first layer's kernel: van den Oord et al. 2016, "Pixel recurrent neural networks", table 1.
_FIRST = 7
_AT_ONCE = 256  # samples that are drawn side by side


class PixelCNN(nn.Module):
    """A distribution over images (C, H, W) whose values are ``levels`` equal steps from 0 to 1.

    Called with numbers from [0, 1) it draws, and the same numbers give the same image.

    Args:
        config: of the network.
        shape: of an image.
        label: labels → vectors, where images have classes; None without.

    Raises:
        ConfigError: these are no images, or their channels do not divide the width.
    """

    def __init__(self, config: PixelCNNConfig, shape: Sequence[int], label: LabelVector | None) -> None:
        super().__init__()
        self.shape = _checked(config, shape)
        self.levels = config.levels
        self.label = label
        width, channels, labels = config.width, self.shape[0], 0 if label is None else label.size
        first = _Layer(channels, width, _FIRST, channels, labels, first=True)
        more = (_Layer(width, width, config.kernel, channels, labels) for _ in range(config.blocks))
        self.layers = nn.ModuleList([first, *more])
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = _Sideways(width, width, 1, channels)
        self.output = _Sideways(width, channels * config.levels, 1, channels)

    def logits(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Of each value's levels, given the values before it: images (B, C, H, W) in [0, 1] → (B, C, levels, H, W)."""
        vector = self._vector(labels)
        across = self._centred(self._numbers(images)).contiguous(memory_format=torch.channels_last)
        down = pad(across, (0, 0, 1, -1))  # the vertical stack's row begins with the image's row above it
        for layer in self._layers():
            down, across = layer(down, across, vector)
            across = self.dropout(across)
        return self.output(self.hidden(across.relu()).relu()).unflatten(1, (-1, self.levels))

    def log_likelihood(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The logarithm of p(x), or of p(x | label), in nats: images (B, C, H, W) in [0, 1], and labels (B,) → (B,)."""
        logits = self.logits(images, labels)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # a sum of exponentials needs that
        found = logits.log_softmax(2).gather(2, self._numbers(images).long().unsqueeze(2))
        return found.flatten(1).sum(1)

    @torch.no_grad()
    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Draw: numbers in [0, 1) (B, C · H · W), and labels (B,) → images (B, C, H, W) in [0, 1].

        Each value is the lowest level at which its distribution function exceeds its number.
        """
        vector = self._vector(labels)
        pieces = [slice(start, start + _AT_ONCE) for start in range(0, len(latents), _AT_ONCE)]
        return torch.cat([self._draw(latents[piece], None if vector is None else vector[piece]) for piece in pieces])

    def _draw(self, places: Tensor, vector: Tensor | None) -> Tensor:
        """As ``forward``. What the layers found for earlier rows and pixels is kept: no product is computed twice."""
        channels, height, width = self.shape
        places = places.unflatten(1, self.shape)
        numbers = places.new_zeros(len(places), channels, height, width)
        above = [layer.no_rows(places, width) for layer in self._layers()]
        for row in range(height):
            down = self._centred(numbers[:, :, row - 1 : row]) if row else torch.zeros_like(numbers[:, :, :1])
            from_above: list[Tensor] = []
            for number, layer in enumerate(self._layers()):
                above[number], down, found = layer.next_row(above[number], down, vector)
                from_above.append(found)
            self._draw_row(numbers[:, :, row], places[:, :, row], from_above)
        return numbers / (self.levels - 1)

    def _draw_row(self, numbers: Tensor, places: Tensor, from_above: Sequence[Tensor]) -> None:
        """Draw one row.

        Args:
            numbers: (B, C, W), to be filled with levels.
            places: (B, C, W), what decides them.
            from_above: of each layer, what its horizontal stack adds for the rows above: (B, W, C, 2 · width / C).
        """
        count, channels, width = numbers.shape
        layers = list(self._layers())
        across = [layer.horizontal.by_channel() for layer in layers]
        residuals = [None if layer.residual is None else layer.residual.by_channel() for layer in layers]
        hidden_layer, output_layer = self.hidden.by_channel(), self.output.by_channel()
        # What each layer sees, pixel after pixel, behind as many zeros as it looks back; at last what the output sees.
        sizes = [layer.horizontal.in_channels for layer in layers] + [self.hidden.in_channels]
        backs = [layer.reach for layer in layers] + [0]
        seen = [places.new_zeros(count, (back + width) * size) for back, size in zip(backs, sizes, strict=True)]
        gated = [places.new_zeros(count, sizes[-1]) for _ in layers]
        hidden = places.new_zeros(count, sizes[-1])
        for pixel, channel in product(range(width), range(channels)):
            part = slice(*(sizes[-1] // channels * number for number in (channel, channel + 1)))

            def window(layer: int, pixel: int = pixel) -> Tensor:
                return seen[layer][:, pixel * sizes[layer] : (pixel + backs[layer] + 1) * sizes[layer]]

            for number, residual in enumerate(residuals):
                weight, _ = across[number][channel]
                found = _gate(torch.addmm(from_above[number][:, pixel, channel], window(number), weight))
                if residual is not None:
                    gated[number][:, part] = found
                    weight, bias = residual[channel]
                    found = torch.addmm(bias, gated[number], weight) + window(number)[:, -sizes[number] :][:, part]
                window(number + 1)[:, -sizes[-1] :][:, part] = found
            weight, bias = hidden_layer[channel]
            hidden[:, part] = torch.addmm(bias, window(len(layers)).relu(), weight).relu()
            weight, bias = output_layer[channel]
            below = torch.addmm(bias, hidden, weight).softmax(1).cumsum(1)[:, :-1]
            drawn = (places[:, channel, pixel, None] >= below).sum(1)
            numbers[:, channel, pixel] = drawn
            window(0)[:, -channels:][:, channel] = self._centred(drawn)

    def _layers(self) -> Iterator[_Layer]:
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            yield layer

    def _vector(self, labels: Tensor | None) -> Tensor | None:
        return None if self.label is None or labels is None else self.label(labels).to(self.output.weight.dtype)

    def _numbers(self, images: Tensor) -> Tensor:
        """The level of each value, counted from 0."""
        return (images * (self.levels - 1)).round()

    def _centred(self, numbers: Tensor) -> Tensor:
        """Levels as the layers see them, from -1 to 1: the 0 beyond the edges is neither the lowest nor the highest."""
        return 2 * numbers / (self.levels - 1) - 1


class _Layer(nn.Module):
    """One layer of both stacks (figure 2): (B, inputs, H, W) each → (B, width, H, W) each.

    The horizontal stack has a residual connection, but for the first layer, whose input is the image. That layer hides
    from each value the value itself (mask A), the others do not (mask B).
    """

    def __init__(
        self, inputs: int, width: int, kernel: int, channels: int, labels: int, *, first: bool = False
    ) -> None:
        super().__init__()
        self.reach, self.channels = kernel // 2, channels
        self.vertical = nn.Conv2d(inputs, 2 * width, (self.reach + 1, kernel))
        self.to_horizontal = nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal = _Sideways(inputs, 2 * width, self.reach + 1, channels, halves=2, hides_itself=first)
        self.residual = None if first else _Sideways(width, width, 1, channels)
        self.label = nn.Linear(labels, 4 * width, bias=False) if labels else None

    def forward(self, down: Tensor, across: Tensor, vector: Tensor | None) -> tuple[Tensor, Tensor]:
        """The next inputs of the vertical and of the horizontal stack, of theirs and a label vector (B, labels)."""
        sums, to_horizontal = self._down(pad(down, (0, 0, self.reach, 0)), vector)
        found = _gate(self.horizontal(across) + to_horizontal)
        return _gate(sums), found if self.residual is None else across + self.residual(found)

    def _down(self, rows: Tensor, vector: Tensor | None) -> tuple[Tensor, Tensor]:
        """The vertical stack's sums before its gate, and what the horizontal one adds to its own, for each place."""
        sums = self.vertical(pad(rows, (self.reach, self.reach)))
        if self.label is None or vector is None:
            return sums, self.to_horizontal(sums)
        of_label, of_label_across = self.label(vector)[:, :, None, None].chunk(2, 1)
        sums = sums + of_label
        return sums, self.to_horizontal(sums) + of_label_across

    def no_rows(self, like: Tensor, width: int) -> Tensor:
        """What lies above the first row, for ``next_row``."""
        return like.new_zeros(len(like), self.vertical.in_channels, self.reach, width)

    def next_row(self, above: Tensor, down: Tensor, vector: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The vertical stack for one more row.

        Args:
            above: the rows before it, as many as the layer looks up: (B, inputs, reach, W).
            down: this row, (B, inputs, 1, W).
            vector: of the labels.

        Returns:
            ``above`` for the row that follows, the row for the next layer, and all that the horizontal stack adds to
            its products: (B, W, C, 2 · width / C).
        """
        rows = torch.cat([above, down], 2)
        sums, to_horizontal = self._down(rows, vector)
        assert self.horizontal.bias is not None
        added = to_horizontal.squeeze(2) + self.horizontal.bias[:, None]
        added = added.unflatten(1, (2, self.channels, -1)).permute(0, 4, 2, 1, 3)
        return rows[:, :, 1:], _gate(sums), added.flatten(3)


class _Sideways(nn.Conv2d):
    """A convolution along rows that sees a pixel itself and those to its left: (B, inputs, H, W) → (B, outputs, H, W).

    Inputs and outputs belong to the image's channels, the first ones to the first, and an output sees those inputs of
    its pixel that belong to no later channel; with ``hides_itself``, only those of earlier ones. The outputs of
    ``halves`` = 2 are two such sequences, one behind the other.
    """

    def __init__(
        self, inputs: int, outputs: int, taps: int, channels: int, *, halves: int = 1, hides_itself: bool = False
    ) -> None:
        super().__init__(inputs, outputs, (1, taps))
        self.channels, self.halves, self.hides_itself = channels, halves, hides_itself

    def masked(self) -> Tensor:
        """The weight, with zeros where nothing may be seen."""
        if self.channels == 1 and not self.hides_itself:
            return self.weight
        # Each side may be seen by itself and by those after it.
        order = torch.ones(self.channels, self.channels, dtype=self.weight.dtype, device=self.weight.device)
        here = order.tril(-1 if self.hides_itself else 0).repeat_interleave(self.in_channels // self.channels, 1)
        here = here.repeat_interleave(self.out_channels // self.channels // self.halves, 0).repeat(self.halves, 1)
        return torch.cat([self.weight[..., :-1], self.weight[..., -1:] * here[:, :, None, None]], 3)

    def forward(self, input: Tensor) -> Tensor:
        return conv2d(pad(input, (self.kernel_size[1] - 1, 0)), self.masked(), self.bias)

    def by_channel(self) -> list[tuple[Tensor, Tensor]]:
        """For each channel, what makes its outputs: a weight (taps · inputs, outputs), and a bias (outputs,)."""
        assert self.bias is not None
        sizes = (self.halves, self.channels, -1)
        weights = self.masked().squeeze(2).unflatten(0, sizes).unbind(1)
        biases = self.bias.unflatten(0, sizes).unbind(1)
        return [
            (weight.flatten(0, 1).permute(2, 1, 0).flatten(0, 1), bias.flatten())
            for weight, bias in zip(weights, biases, strict=True)
        ]


def _gate(sums: Tensor) -> Tensor:
    """The tanh of the first half times the sigmoid of the second: (B, 2n, ...) → (B, n, ...)."""
    values, gates = sums.chunk(2, 1)
    return values.tanh() * gates.sigmoid()


def _checked(config: PixelCNNConfig, shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ConfigError(
            "a pixelcnn models images, and these data are points",
            expected="images",
            got=f"points of {shape[0]} numbers",
        )
    channels, height, width = shape
    if config.width % channels:
        fitting = -(-config.width // channels) * channels
        raise ConfigError(
            "the features of a pixelcnn are shared equally by the channels of the image",
            expected=f"generator.network.width: a multiple of {channels}",
            got=config.width,
            remedy=f"--set generator.network.width={fitting}",
        )
    return channels, height, width
