"""What looks at several samples of a batch sees the whole batch, though each of several processes holds a part of it.

With one process all of this is the plain thing. With several, all of them must pass a network in training mode alike.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from saddle.base import processes
from saddle.networks.norms import alone


class _Sum(torch.autograd.Function):
    """The sum over all processes. Every loss depends on every term, so its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        processes.add_up(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _Sum.apply(gradients[0])


def gathered(values: Tensor) -> Tensor:
    """The rows of all processes, in order: (n, ...) → (count · n, ...); gradients flow back to each of them."""
    if processes.count() == 1:
        return values
    before, after = len(values) * processes.number(), len(values) * (processes.count() - processes.number() - 1)
    rest = values.shape[1:]
    padded = torch.cat([values.new_zeros(before, *rest), values, values.new_zeros(after, *rest)])
    return cast(Tensor, _Sum.apply(padded))


def mean_of_all(values: Tensor) -> Tensor:
    """The mean of what each process has; gradients flow back to each of them."""
    return values if processes.count() == 1 else cast(Tensor, _Sum.apply(values)) / processes.count()


class SharedBatchNorm(_BatchNorm):
    """Batch norm of ``layer`` with the statistics of all processes' samples; it takes over weights and buffers.

    ``torch.nn.SyncBatchNorm`` is the same for GPUs alone, and cannot be differentiated twice.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        self.train(layer.training)

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input) if self.track_running_stats else alone(self, input)
        values = input.float()
        axes = [axis for axis in range(values.dim()) if axis != 1]
        variance, mean = torch.var_mean(values, axes, correction=0)
        means, variances = gathered(torch.stack([mean, variance])[None]).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self._follow(mean.detach(), variance.detach(), processes.whole(input.numel() // input.shape[1]))
        shape = [1, -1] + [1] * (values.dim() - 2)
        normal = (values - mean.reshape(shape)) * torch.rsqrt(variance + self.eps).reshape(shape)
        if self.affine:
            normal = normal * self.weight.reshape(shape) + self.bias.reshape(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, as torch's batch norm does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), share)


def share_batch_norms(network: nn.Module) -> nn.Module:
    """``network`` with every batch norm replaced by one that sees the samples of all processes."""
    if processes.count() == 1:
        return network
    if isinstance(network, _BatchNorm):
        return SharedBatchNorm(network)
    for name, child in network.named_children():
        setattr(network, name, share_batch_norms(child))
    return network
