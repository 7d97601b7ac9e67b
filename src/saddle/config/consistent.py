"""Settings that are each valid and make no sense together. A setting without effect is told, not ignored."""

from __future__ import annotations

from collections.abc import Iterator

from saddle.config.members import member_config, varied
from saddle.config.schema import Config

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
    yield from wrong
    if not wrong and lists:
        members = (_of_one(member_config(config, number)) for number in range(config.members))
        yield from dict.fromkeys(sentence for member in members for sentence in member)
    elif not wrong:
        yield from _of_one(config)


def _of_one(config: Config) -> Iterator[str]:
    game, g, d = config.game, config.generator.network, config.discriminator.network
    per_sample = [f"game.{name}" for name in ("r1", "r2", "gradient_penalty") if getattr(game, name)]
    custom_d = d.family == "custom"
    statements = (
        ((config.epochs is None) == (config.images is None), "give the length as either epochs or images"),
        (
            config.batch_size % game.packing,
            f"game.packing must divide batch_size, got packing {game.packing} and batch_size {config.batch_size}",
        ),
        (
            config.batch_size == 1 and "batch" in (getattr(g, "norm", ""), getattr(d, "norm", "")),
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
            custom_d and (config.discriminator.weights != "plain" or config.discriminator.input_noise),
            "discriminator.weights and discriminator.input_noise have no effect on your own module",
        ),
        (
            custom_d and config.discriminator.minibatch_kernels,
            "discriminator.minibatch_kernels have no effect on your own module",
        ),
    )
    yield from (sentence for broken, sentence in statements if broken)
