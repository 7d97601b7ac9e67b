"""The two sides of the game, whatever the family: a G that may take labels, a D of body and head."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from saddle.config.networks import MLPConfig
from saddle.config.schema import DiscriminatorConfig
from saddle.networks.layers import GaussianNoise, LabelVector, MinibatchDiscrimination


class ConditionalGenerator(nn.Module):
    """Latents (B, n) and labels (B,) → samples: the label's vector is joined to z (Mirza & Osindero 2014, section 3.2).

    Args:
        body: inputs (B, n + label vector) → samples (B, *shape).
        label: labels (B,) → vectors.
    """

    def __init__(self, body: nn.Module, label: LabelVector) -> None:
        super().__init__()
        self.label = label
        self.body = body

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.body(torch.cat([latents, self.label(labels)], 1))


class Judging(Protocol):
    """What the game asks of a discriminator.

    Any module that can be called will do. One with ``judges_alone`` is shown real and generated samples in one pass;
    one with ``features`` can be used for feature matching, one with ``class_logits`` in the semi-supervised game. A
    module that wraps another passes these on, as ``torch.compile`` does.
    """

    def __call__(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits (B,) of samples (B, *shape); large means real."""
        ...

    @property
    def judges_alone(self) -> bool:
        """Whether what is said of a sample does not depend on the others that are judged with it."""
        ...

    def features(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """What feature matching compares, (B, n)."""
        ...

    def class_logits(self, samples: Tensor) -> Tensor:
        """Logits (B, classes) of the classes that it tells apart."""
        ...


class Discriminator(nn.Module):
    """Samples (B, *shape), and labels (B,) in a conditional game → logits (B,).

    With ``outputs`` K > 1 it also tells K classes apart: its logit for "real" is then log Σ exp of the K class logits
    (Salimans et al. 2016, section 5).

    Args:
        config: conditioning, input noise and minibatch discrimination.
        body: (samples, label vector or None) → features (B, body.features).
        features: what the body puts out.
        classes: how many labels there are; 0: unconditional.
        outputs: classes to tell apart, or 1.
    """

    def __init__(
        self, config: DiscriminatorConfig, body: nn.Module, features: int, classes: int, outputs: int = 1
    ) -> None:
        super().__init__()
        self.noise = GaussianNoise(config.input_noise) if config.input_noise else nn.Identity()
        projected = classes > 0 and config.condition == "projection"
        self.label = LabelVector(config.condition, classes) if classes and not projected else None
        self.body = body
        hidden_noise = config.network.noise if isinstance(config.network, MLPConfig) else 0.0
        self.feature_noise = GaussianNoise(hidden_noise) if hidden_noise else nn.Identity()
        self.closeness = nn.Identity()
        if config.minibatch_kernels:
            self.closeness = MinibatchDiscrimination(features, config.minibatch_kernels, config.minibatch_dimensions)
        self.output = nn.Linear(features + config.minibatch_kernels, outputs)
        self.classifies = outputs > 1
        self.projection = nn.Embedding(classes, features) if projected else None

    @property
    def judges_alone(self) -> bool:
        """No layer compares samples: neither batch norm nor minibatch discrimination."""
        return not any(isinstance(layer, _BatchNorm | MinibatchDiscrimination) for layer in self.modules())

    def features(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """What feature matching compares: the body's last layer, (B, n), without the noise that the next one adds."""
        vector = None if self.label is None or labels is None else self.label(labels)
        return self.body(self.noise(samples), vector)

    def class_logits(self, samples: Tensor) -> Tensor:
        """Logits (B, outputs) of the classes that it tells apart."""
        return self.output(self.closeness(self.feature_noise(self.features(samples))))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.feature_noise(self.features(samples, labels))
        outputs = self.output(self.closeness(features)).float()  # a sum of exponentials needs single precision
        logits = outputs.logsumexp(1) if self.classifies else outputs.squeeze(1)
        if self.projection is not None and labels is not None:
            # D(x, y) = v_yᵀ φ(x) + ψ(φ(x)); Miyato & Koyama 2018, eq. 3. With all classes at once it is one product.
            logits = logits + (features @ self.projection.weight.T).float().gather(1, labels[:, None]).squeeze(1)
        return logits


def generate(network: nn.Module, latents: Tensor, labels: Tensor | None = None) -> Tensor:
    """Samples of ``network`` in evaluation mode, (B, *shape) in its range; the network's mode is restored."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return network(latents) if labels is None else network(latents, labels)
    finally:
        network.train(training)
