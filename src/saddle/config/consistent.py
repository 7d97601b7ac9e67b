"""Settings that are each valid and make no sense together. A setting without effect is told, not ignored."""

from __future__ import annotations

from collections.abc import Iterator

from saddle.config.members import member_config, varied
from saddle.config.networks import GeneratorMLPConfig, LatentConfig, UNetConfig
from saddle.config.schema import Config, DiscriminatorConfig
from saddle.config.section import Section

# Losses whose target for real samples can be smoothed.
_SMOOTHED = ("non_saturating", "saturating", "least_squares")


def contradictions(config: Config) -> Iterator[str]:
    """What does not go together, one sentence each."""
    lists = varied(config)
    wrong = [f"vary.{key} needs a number for each member" for key in lists if len(lists[key]) != config.members]
    if config.members > 1 and config.seed + config.members > 2**63:
        wrong.append("the seeds of the last members are too large: members count up from seed")
    if config.members == 1 and lists:
        wrong = ["vary needs members > 1: it says what differs between them"]
    if config.members > 1 and "custom" in (config.generator.network.family, config.discriminator.network.family):
        wrong.append("members > 1 needs networks that saddle builds: your own module is one network")
    if config.members > 1 and config.learner != "gan":
        wrong.append("members > 1 needs learner = gan: other learners are trained one by one")
    if config.members > 1 and config.execution == "compile":
        wrong.append("execution = compile needs members = 1: torch does not compile draws from several generators")
    if config.members > 1 and config.health.on_collapse != "warn":
        wrong.append("health.on_collapse = stop or rollback needs members = 1: members are trained together")
    yield from wrong
    if not wrong and lists:
        members = (_of_one(member_config(config, number)) for number in range(config.members))
        yield from dict.fromkeys(sentence for member in members for sentence in member)
    elif not wrong:
        yield from _of_one(config)


def _of_one(config: Config) -> Iterator[str]:
    game, z, g, d = config.game, config.latent, config.generator.network, config.discriminator.network
    per_sample = [f"game.{name}" for name in ("r1", "r2", "gradient_penalty") if getattr(game, name)]
    custom_d = d.family == "custom"
    statements = (
        ((config.epochs is None) == (config.images is None), "give the length as either epochs or images"),
        (
            config.batch_size % game.packing,
            f"game.packing must divide batch_size, got packing {game.packing} and batch_size {config.batch_size}",
        ),
        (
            config.batch_size == 1
            and any(each.family in ("mlp", "dcgan") and getattr(each, "norm", "") == "batch" for each in (g, d)),
            "norm = batch needs batch_size > 1: a batch of one has no variance",
        ),
        (
            game.update == "simultaneous" and game.discriminator_steps > 1,
            "game.update = simultaneous needs game.discriminator_steps = 1",
        ),
        (
            game.share == "pass" and game.update == "alternating",
            "game.share = pass needs game.update = simultaneous: D moves between alternating turns",
        ),
        (
            game.share == "pass" and game.feature_matching != "none",
            "game.feature_matching needs game.share = nothing or samples: it judges by features, not by that pass",
        ),
        (
            game.label_smoothing and game.loss not in _SMOOTHED,
            f"game.label_smoothing has no effect on game.loss = {game.loss}; it goes with {', '.join(_SMOOTHED)}",
        ),
        (
            per_sample and getattr(d, "norm", "") == "batch",
            f"{' and '.join(per_sample)} penalise D's gradient sample by sample, which batch norm in D mixes: set "
            "discriminator.network.norm = none or layer",
        ),
        (
            config.conditional is True and game.packing > 1,
            f"game.packing = {game.packing} needs conditional = false",
        ),
        (
            config.conditional == "auto" and game.packing > 1,
            f"game.packing = {game.packing} needs conditional = false, which is auto here",
        ),
        (
            (game.rule == "semi_supervised") != (config.data.labelled is not None),
            "game.rule = semi_supervised and data.labelled go together",
        ),
        (
            game.rule == "semi_supervised" and (config.conditional is not False or game.packing > 1),
            "game.rule = semi_supervised needs conditional = false and game.packing = 1",
        ),
        (
            getattr(g, "output_bias", "zero") == "marginals"
            and (g.output != "sigmoid" or config.conditional is not False or getattr(g, "norm", "") == "virtual"),
            "generator.network.output_bias = marginals needs output = sigmoid, conditional = false and no virtual norm",
        ),
        (
            isinstance(g, GeneratorMLPConfig) and g.dropout_in_samples and (not g.dropout or g.input_dropout),
            "generator.network.dropout_in_samples is of hidden units: it needs dropout, and goes without input_dropout",
        ),
        (
            isinstance(g, GeneratorMLPConfig)
            and g.dropout_in_samples
            and (z.distribution, z.low, z.high, z.codes) != ("uniform", 0, 1, 0),
            "generator.network.dropout_in_samples needs numbers from 0 to 1 that decide it: latent.distribution = "
            "uniform, latent.low = 0, latent.high = 1 and no latent.codes",
        ),
        (
            config.conditional is False and (getattr(g, "label_widths", ()) or getattr(d, "label_widths", ())),
            "label_widths have no effect without labels: set conditional = true",
        ),
        (
            game.penalty_every > 1 and not (game.r1 or game.r2 or game.gradient_penalty),
            f"game.penalty_every = {game.penalty_every} has no effect without r1, r2 or gradient_penalty: set it to 1",
        ),
        (
            getattr(d, "label_widths", ()) and config.discriminator.condition == "projection",
            "discriminator.network.label_widths have no effect with discriminator.condition = projection",
        ),
        (
            game.classification and config.conditional is False and "game.classification" not in config.auto,
            "game.classification has no effect without labels: set conditional = true",
        ),
        (
            game.classification
            and config.conditional is not False
            and not custom_d
            and config.discriminator.condition != "projection",
            "game.classification needs discriminator.condition = projection: a D that is given the label beside the "
            "sample has no class left to tell; game.classification = 0 goes with any",
        ),
        (
            game.classification and (game.feature_matching != "none" or game.rule != "plain"),
            "game.classification joins G's and D's usual losses: it needs game.feature_matching = none and game.rule = "
            "plain, or set it to 0",
        ),
        (
            game.classification and config.discriminator.weights == "direction",
            "game.classification needs discriminator.weights other than direction, with which the last layer alone "
            "learns its length; game.classification = 0 goes with any",
        ),
        (
            custom_d and (config.discriminator.weights != "plain" or config.discriminator.input_noise),
            "discriminator.weights and discriminator.input_noise have no effect on your own module",
        ),
        (
            config.begin.source and "custom" in (g.family, d.family),
            "begin.source has no effect on your own module: give saddle.train a module that holds its weights",
        ),
        (
            config.begin.source and (config.members > 1 or config.learner != "gan"),
            "begin.source is of single runs with learner = gan",
        ),
        (
            config.begin.digest and not config.begin.source,
            "begin.digest has no effect without begin.source",
        ),
        (
            config.discriminator.freeze and not config.begin.source,
            "discriminator.freeze needs begin.source: layers as they were drawn know nothing",
        ),
        (
            g.family == "custom" and config.latent.codes,
            "latent.codes need a generator that saddle builds: your own module gets z alone",
        ),
        (
            not config.latent.codes and config.latent.code_size != LatentConfig().code_size,
            "latent.code_size has no effect without latent.codes",
        ),
        (
            not config.discriminator.minibatch_kernels
            and config.discriminator.minibatch_dimensions != DiscriminatorConfig().minibatch_dimensions,
            "discriminator.minibatch_dimensions has no effect without minibatch_kernels",
        ),
        (
            d.family == "r3gan" and config.discriminator.weights != "plain",
            "discriminator.weights must be plain with an r3gan: layers that begin at zero have no length to divide by",
        ),
        (
            custom_d and config.discriminator.minibatch_kernels,
            "discriminator.minibatch_kernels have no effect on your own module",
        ),
    )
    yield from (sentence for broken, sentence in statements if broken)
    yield from _of_pairs(config)
    yield from _of_likelihood(config)


def _of_pairs(config: Config) -> Iterator[str]:
    game, g, d, pairs = config.game, config.generator.network, config.discriminator.network, config.data.pairs
    paired = pairs != "none"
    if isinstance(g, UNetConfig) and not paired:
        yield "generator.network.family = unet makes images of images: it needs data.pairs, such as edges"
    if paired and g.family not in ("unet", "custom") and config.recipe:  # without a recipe there are data alone
        yield f"data.pairs = {pairs} needs generator.network.family = unet, or your own module that takes inputs"
    if paired and (config.conditional is not False or game.packing > 1 or game.rule != "plain"):
        yield f"data.pairs = {pairs} needs conditional = false, game.packing = 1 and game.rule = plain"
    if game.l1 and not paired:
        yield "game.l1 has no effect without data.pairs: samples have no targets"
    if isinstance(g, UNetConfig) and config.latent not in (LatentConfig(), _found(config.latent)):
        yield "latent follows from the network with generator.network.family = unet: leave it out"
    side = config.discriminator
    whole = side.minibatch_kernels or side.condition == "projection" or game.rule != "plain"
    if d.family == "patchgan" and whole:
        yield (
            "discriminator.network.family = patchgan judges patches: it goes without minibatch_kernels, without "
            "condition = projection and with game.rule = plain"
        )


def _of_likelihood(config: Config) -> Iterator[str]:
    likelihood = config.learner == "likelihood"
    if likelihood != (config.generator.network.family == "pixelcnn"):
        yield "learner = likelihood and generator.network.family = pixelcnn go together"
    if not likelihood:
        return
    unused = [*_chosen("discriminator", config.discriminator), *_chosen("game", config.game)]
    if unused:
        yield f"{', '.join(unused)} have no effect with learner = likelihood: there is neither D nor a game"
    if config.latent not in (LatentConfig(), _found(config.latent)):
        yield "latent follows from the data with learner = likelihood: leave it out"
    if config.execution == "compile":
        yield "execution = compile needs learner = gan"
    if config.health.on_collapse != "warn":
        yield f"health.on_collapse = {config.health.on_collapse} needs learner = gan: nothing else collapses"


def _found(latent: LatentConfig) -> LatentConfig:
    """What a session finds for networks whose latents follow from the data or from the network."""
    return LatentConfig(size=latent.size, distribution="uniform", low=0.0, high=1.0)


def _chosen(name: str, section: Section) -> list[str]:
    """The keys of a section whose values are not the defaults."""
    return [f"{name}.{key}" for key, value in section if value != type(section).model_fields[key].default]
