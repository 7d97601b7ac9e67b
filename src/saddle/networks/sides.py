"""The two sides of the game, whatever the family: a G that may take labels, a D of body and head."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from saddle.config.networks import LatentConfig, MLPConfig
from saddle.config.schema import DiscriminatorConfig
from saddle.errors import ConfigError
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


class CodedGenerator(nn.Module):
    """Latents (B, size + codes) → samples: the code, given as one number for each, becomes a vector beside z.

    Data in separate clusters ask for it: what is a continuous function of z has samples between them. In between codes
    lie mixtures of their vectors.

    Args:
        body: inputs (B, size + code_size), and labels (B,) if it takes them → samples (B, *shape).
        latent: sizes of z and of the codes.
    """

    def __init__(self, body: nn.Module, latent: LatentConfig) -> None:
        super().__init__()
        self._size = latent.size
        self.codes = nn.Linear(latent.codes, latent.code_size, bias=False)
        nn.init.normal_(self.codes.weight)  # at the scale of z
        self.body = body

    def forward(self, latents: Tensor, *labels: Tensor) -> Tensor:
        z, code = latents[:, : self._size], latents[:, self._size :]
        return self.body(torch.cat([z, self.codes(code).to(z.dtype)], 1), *labels)


class Judging(Protocol):
    """What the game asks of a discriminator.

    Any module that can be called will do. One with ``judges_alone`` is shown real and generated samples in one pass;
    one with ``judges_patches`` gives several logits for each sample, whose losses are averaged; one with ``features``
    can be used for feature matching, one with ``class_logits`` in the semi-supervised game, one with
    ``judge_and_classify`` in a game with ``classification``. A module that wraps another passes these on, as
    ``torch.compile`` does.
    """

    def __call__(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits (B,) of samples (B, *shape); large means real. If it judges patches, (B, patches).

        In a game on pairs, the channels of a sample's input follow those of the sample, and there is no condition.
        """
        ...

    @property
    def judges_alone(self) -> bool:
        """Whether what is said of a sample does not depend on the others that are judged with it."""
        ...

    @property
    def judges_patches(self) -> bool:
        """Whether it gives a logit for each of several parts of a sample."""
        ...

    def features(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """What feature matching compares, (B, n)."""
        ...

    def class_logits(self, samples: Tensor) -> Tensor:
        """Logits (B, classes) of the classes that it tells apart."""
        ...

    def judge_and_classify(self, samples: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """In one pass its logits (B,), and those of the classes, (B, classes), which do not depend on ``labels``."""
        ...


class Discriminator(nn.Module):
    """Samples (B, *shape), and labels (B,) in a conditional game → logits (B,), or (B, patches) of a patchgan.

    With ``outputs`` K > 1 it also tells K classes apart: its logit for "real" is then log Σ exp of the K class logits
    (Salimans et al. 2016, section 5).

    Args:
        config: conditioning, input noise and minibatch discrimination.
        body: (samples, label vector or None) → features (B, body.features).
        features: what the body puts out.
        classes: how many labels there are; 0: unconditional.
        outputs: classes to tell apart, or 1.
        classify: whether it tells the class of a sample beside judging it, without being told.
    """

    def __init__(
        self,
        config: DiscriminatorConfig,
        body: nn.Module,
        features: int,
        classes: int,
        outputs: int = 1,
        classify: bool = False,
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
        self.output: nn.Module = nn.Linear(features + config.minibatch_kernels, outputs)
        if self.judges_patches:  # see ``saddle.networks.families.Family``
            self.output = cast(Any, body).head()
        self.outputs = outputs
        self.projection = nn.Embedding(classes, features) if projected else None
        self.class_head = nn.Linear(features, classes) if classify and projected else None

    @property
    def judges_alone(self) -> bool:
        """No layer compares samples: neither batch norm nor minibatch discrimination."""
        return not any(isinstance(layer, _BatchNorm | MinibatchDiscrimination) for layer in self.modules())

    @property
    def judges_patches(self) -> bool:
        """Whether the body gives maps, of which each place has a logit."""
        return hasattr(self.body, "head")

    def features(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """What feature matching compares: the body's last layer, (B, n), without the noise that the next one adds."""
        return self._body(samples, labels).flatten(1)

    def _body(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        vector = None if self.label is None or labels is None else self.label(labels)
        return self.body(self.noise(samples), vector)

    def class_logits(self, samples: Tensor) -> Tensor:
        """Logits (B, outputs) of the classes that it tells apart."""
        return self.output(self.closeness(self.feature_noise(self.features(samples))))

    def judge_and_classify(self, samples: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B,) as ``forward`` gives them, and those of the classes (B, classes), without the labels' help.

        Raises:
            ConfigError: it was built without ``classify``, or without labels by projection.
        """
        if self.class_head is None:
            raise ConfigError(
                "this discriminator was built without a layer that tells classes",
                remedy='build_discriminator(..., classify=True), with condition = "projection"',
            )
        features = self.feature_noise(self._body(samples, labels))
        return self._judged(features, labels), self.class_head(features)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        return self._judged(self.feature_noise(self._body(samples, labels)), labels)

    def _judged(self, features: Tensor, labels: Tensor | None) -> Tensor:
        outputs = self.output(self.closeness(features)).float()  # a sum of exponentials needs single precision
        if self.judges_patches:
            return outputs.flatten(1)
        logits = outputs.logsumexp(1) if self.outputs > 1 else outputs.squeeze(1)
        if self.projection is not None and labels is not None:
            # D(x, y) = v_yᵀ φ(x) + ψ(φ(x)); Miyato & Koyama 2018, eq. 3. With all classes at once it is one product.
            logits = logits + (features @ self.projection.weight.T).float().gather(1, labels[:, None]).squeeze(1)
        return logits


def generate(network: nn.Module, latents: Tensor, condition: Tensor | None = None) -> Tensor:
    """Samples of ``network`` in evaluation mode, (B, *shape) in its range; the network's mode is restored.

    Args:
        network: a generator.
        latents: (B, latent.width).
        condition: labels, or in a game on pairs inputs.
    """
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return network(latents) if condition is None else network(latents, condition)
    finally:
        network.train(training)
