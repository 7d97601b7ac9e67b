"""What the headers of a run's files say."""

from __future__ import annotations

from saddle.config import Config
from saddle.data.store import Store
from saddle.trained.files import ClassifierHeader, GeneratorHeader, InputsHeader


def generator_header(config: Config, store: Store) -> GeneratorHeader:
    """Of the generator file; the position is filled in with each checkpoint."""
    inputs = None
    if store.input_channels:
        inputs = InputsHeader.model_validate({"channels": store.input_channels, "fit": config.data.fit})
    return GeneratorHeader(
        recipe=config.recipe,
        images_seen=0,
        kind=store.kind,
        shape=store.shape,
        class_names=store.class_names if config.conditional else (),
        data=store.name,
        latent=config.latent,
        network=config.generator.network,
        condition=config.generator.condition,
        inputs=inputs,
    )


def classifier_header(config: Config, store: Store) -> ClassifierHeader:
    """Of the classifier file of a semi-supervised run."""
    return ClassifierHeader(
        recipe=config.recipe,
        images_seen=0,
        shape=store.shape,
        class_names=store.class_names,
        labelled=config.data.labelled or 0,
        discriminator=config.discriminator,
    )
