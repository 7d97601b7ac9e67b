"""Putting a run together: learner, data feed and thread count, from a config and a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from saddle.base import processes
from saddle.base.chance import stream
from saddle.base.sizes import check_memory, free_memory
from saddle.config import Config
from saddle.config.members import member_config
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.errors import ConfigError
from saddle.game.batch import Batch, packed_shape
from saddle.game.feed import Feed
from saddle.game.rules import rule_of
from saddle.networks.across import share_batch_norms
from saddle.networks.families import build_discriminator, build_generator
from saddle.networks.layers import freeze, initialise_from_data
from saddle.networks.memory import free_on, kept_by, size_of, without_values
from saddle.networks.mlp import MLPGenerator
from saddle.networks.pixelcnn import PixelCNN
from saddle.networks.population import Chance, Population
from saddle.training.engine import (
    Engine,
    are_replayed,
    check_precision,
    choose_execution,
    precisions,
    products_in,
    recorder_for,
    seed_everything,
    thread_counts,
    time_rounds,
)
from saddle.training.gan import GAN
from saddle.training.likelihood import Likelihood
from saddle.training.plan import time_of_a_score

# Samples from which data-dependent initialisation takes its statistics.
_FIRST_BATCH = 500


@dataclass(frozen=True)
class Networks:
    """A user's own modules; whatever is None is built from the config."""

    generator: nn.Module | None = None
    discriminator: nn.Module | None = None


def _check_kind(config: Config, store: Store) -> None:
    """Refuse settings that change images, where there are none.

    Raises:
        ConfigError: the data are points.
    """
    settings = {"data.mirror": config.data.mirror, "game.augment": config.game.augment.kind != "none"}
    if store.kind != "images" and any(settings.values()):
        names = " and ".join(name for name, is_set in settings.items() if is_set)
        raise ConfigError(
            f"only images can be mirrored or augmented, and {store.name} holds points", got=names,
            remedy=f"leave {names} out",
        )  # fmt: skip


def _check_networks(config: Config, store: Store, device: torch.device) -> None:
    """Refuse networks that would not fit in the memory of ``device`` before any of it is allocated.

    Raises:
        TooLarge: with what is needed at least, and what is free.
    """
    classes = len(store.class_names) if config.conditional else 0
    outputs = max(1, len(store.class_names)) if config.game.rule == "semi_supervised" else 1
    shape = _judged(config, store)
    made = config.latent, store.shape, classes, store.input_channels
    generator = without_values(build_generator, config.generator, *made)
    # Weights, their gradients, two moments of each, the best so far, and the average.
    each = (6 if config.average.half_life else 5) * size_of(generator)
    if config.learner == "gan":
        judged = shape, classes, outputs, config.game.classification != 0
        each += 4 * size_of(without_values(build_discriminator, config.discriminator, *judged))
    what = "the weights of these networks, with gradients and moments,"
    _check(config, config.members * each, what, device, "make the networks narrower: widths, width, latent.size")


def _check(config: Config, needed: int, what: str, device: torch.device, remedy: str) -> None:
    """Refuse what needs more than is free on ``device``; of a population, say how many members would fit."""
    free = free_on(device)
    if config.members > 1:
        fitting = config.members * (free_memory() if free is None else free) // max(needed, 1)
        what = f"a population of {config.members:,}: {what}"
        remedy = f"--members {fitting} would fit" if fitting > 1 else remedy
    check_memory(needed, what, free=free, remedy=remedy)


def _check_batch(config: Config, store: Store, learner: GAN | Likelihood) -> None:
    """Refuse a batch that would not fit in memory, by what rounds of a few samples keep for their backward passes.

    Args:
        config, store: of the run.
        learner: one that is thrown away, for this changes the statistics of norms.

    Raises:
        TooLarge: with what is needed at least, and what is free.
    """
    device = learner.device
    smallest = precisions(device)[-1] if config.precision == "auto" else config.precision

    def kept_by_likelihood(learner: Likelihood, count: int) -> int:
        labels = torch.zeros(count, dtype=torch.int64, device=device) if config.conditional else None
        real = Batch(torch.zeros(count, *store.shape, device=device), labels)
        with products_in(smallest, device):
            return kept_by(lambda: learner.loss(real))

    def kept_by_game(learner: GAN, count: int) -> int:
        rows = config.members * count
        inputs = None
        if store.inputs is not None:
            inputs = torch.zeros(rows, *store.inputs.shape[1:], device=device)
        fake = learner.generate(count, inputs)
        real = Batch(torch.zeros(rows, *store.shape, device=device), fake.condition, members=config.members)
        if config.game.rule == "semi_supervised":
            real = real._replace(labelled=(real.samples, torch.zeros(rows, dtype=torch.int64, device=device)))
        rule = learner.rule
        with products_in(smallest, device):
            return max(
                kept_by(lambda: rule.discriminator_turn(real, fake.detached(), 0)),
                kept_by(lambda: rule.generator_turn(real, learner.generate(count, inputs))),
            )

    def kept(count: int) -> int:
        return kept_by_game(learner, count) if isinstance(learner, GAN) else kept_by_likelihood(learner, count)

    few = 4 * config.game.packing
    at_few, at_more = kept(few), kept(2 * few)
    needed = at_few + (at_more - at_few) // few * (config.batch_size // processes.count() - few)
    _check(config, needed, f"batches of {config.batch_size:,}", device, "take a smaller batch_size")


def make_learner(
    config: Config, store: Store, scaling: Scaling, networks: Networks, device: torch.device
) -> GAN | Likelihood:
    """What the config trains, as it stands before the first round, with everything random drawn from the seed."""
    if config.learner == "gan":
        return make_gan(config, store, scaling, networks, device)
    seed_everything(stream(config.seed, "weights"), device)
    classes = len(store.class_names) if config.conditional else 0
    network = build_generator(config.generator, config.latent, store.shape, classes)
    assert isinstance(network, PixelCNN)
    return Likelihood(config, network, device, replayed=are_replayed(device, config.execution))


def make_gan(config: Config, store: Store, scaling: Scaling, networks: Networks, device: torch.device) -> GAN:
    """The GAN as it stands before the first round, with everything random drawn from the seed."""
    chance = Chance(device, config.members)
    if config.members == 1:
        generator, discriminator = _make_networks(config, store, scaling, networks, device)
    else:
        configs = [member_config(config, number) for number in range(config.members)]
        pairs = [_make_networks(each, store, scaling, networks, device) for each in configs]
        generator = Population([generator for generator, _ in pairs], chance)
        discriminator = Population([discriminator for _, discriminator in pairs], chance)
    # Averages and histories begin as copies of the players, so these are whole by now.
    shares = store.class_shares() if config.conditional else ()
    replayed = are_replayed(device, config.execution)
    return GAN(config, generator, discriminator, device, shares, replayed=replayed, chance=chance)


def _make_networks(
    config: Config, store: Store, scaling: Scaling, networks: Networks, device: torch.device
) -> tuple[nn.Module, nn.Module]:
    """G and D of a single run before the first round."""
    seed_everything(stream(config.seed, "weights"), device)
    shares = store.class_shares() if config.conditional else ()
    made = config.latent, store.shape, len(shares), store.input_channels
    generator = networks.generator or build_generator(config.generator, *made)
    outputs = 1
    if config.game.rule == "semi_supervised":
        choose_labelled(config, store)  # refuses data without classes before a D is built for them
        outputs = len(store.class_names)
    judged = _judged(config, store), len(shares), outputs, config.game.classification != 0
    discriminator = networks.discriminator or build_discriminator(config.discriminator, *judged)
    if config.discriminator.freeze:
        freeze(discriminator, config.discriminator.freeze)
    generator, discriminator = generator.to(device), discriminator.to(device)
    if getattr(config.generator.network, "output_bias", "zero") == "marginals":
        mean = torch.from_numpy(store.values.mean(0, dtype="float32")).to(device)
        cast(MLPGenerator, generator).start_at(scaling.to(device).forward(mean).flatten())
    if config.discriminator.weights in ("weight", "direction"):  # refused for a user's own module
        count = _FIRST_BATCH - _FIRST_BATCH % config.game.packing
        with processes.alone():
            first = make_feed(config, store, scaling, device).batch(0, count)
            rule = rule_of(config.game)(config.game, discriminator, classes=len(shares))
            initialise_from_data(discriminator, lambda: rule.logits(first))
    return share_batch_norms(generator), share_batch_norms(discriminator)


def _judged(config: Config, store: Store) -> tuple[int, ...]:
    """The shape of what D sees at once: packed samples, or a sample and its input."""
    channels, *rest = store.shape
    return packed_shape((channels + store.input_channels, *rest), config.game.packing)


def make_feed(config: Config, store: Store, scaling: Scaling, device: torch.device) -> Feed:
    """The stream of real samples that this config's game needs."""
    configs = [config]
    if config.members > 1:
        configs = [member_config(config, number) for number in range(config.members)]
    further: list[Feed] = []
    for each in configs if config.game.rule == "semi_supervised" else ():
        chosen = store.taking(choose_labelled(each, store))
        seed = stream(each.seed, "labelled order")
        further.append(Feed(chosen, scaling, seed=seed, device=device, labelled=True, mirror=config.data.mirror))
    seeds, labelled = [each.seed for each in configs], bool(config.conditional)
    return Feed(
        store, scaling, seed=seeds, device=device, labelled=labelled, further=further, mirror=config.data.mirror
    )


def choose_labelled(config: Config, store: Store) -> NDArray[np.int64]:
    """The numbers of the ``data.labelled`` samples whose labels are shown, equally many of each class.

    Raises:
        ConfigError: there are no labels, too few, or the count does not divide.
    """
    wanted, classes = config.data.labelled or 0, len(store.class_names)
    if store.labels is None or classes < 2:
        raise ConfigError(f"{store.name} has no labels to show", expected="data with at least two classes")
    each, rest = divmod(wanted, classes)
    fewest = min(np.bincount(store.labels, minlength=classes).tolist())
    if rest or each > fewest or not each:
        raise ConfigError(
            f"data.labelled = {wanted} cannot be chosen from {store.name}",
            expected=f"a multiple of its {classes} classes, at most {classes * fewest:,}",
            got=wanted,
        )
    chance = np.random.default_rng(stream(config.seed, "labelled"))
    return np.concatenate(
        [chance.choice(np.flatnonzero(store.labels == label), each, replace=False) for label in range(classes)]
    )


class Trial(NamedTuple):
    """What some rounds on this machine have shown.

    Args:
        settings: what ``auto`` means for threads and precision.
        speed: seconds that a thousand images seen take, and a score; None where no setting asks for it.
    """

    settings: dict[str, Any]
    speed: tuple[float, float] | None = None


def try_out(config: Config, store: Store, scaling: Scaling, networks: Networks, device: torch.device) -> Trial:
    """What ``auto`` means for threads and precision here, once it is clear that networks and batches fit in memory.

    All is found with a learner that is thrown away; a user's own modules must not be trained for a trial.

    Raises:
        TooLarge: see ``_check_networks`` and ``_check_batch``.
        ConfigError: the device lacks the precision that is asked for, or a setting is of images and these are points.
    """
    _check_kind(config, store)
    threads, precision = config.threads, config.precision
    if precision != "auto":
        check_precision(precision, device)
    if networks.generator is not None or networks.discriminator is not None:
        threads = torch.get_num_threads() if threads == "auto" else threads
        return Trial({"threads": threads, "precision": "float32" if precision == "auto" else precision})
    _check_networks(config, store, device)
    if config.execution == "compile":  # each trial would be compiled anew
        config = config.model_copy(update={"execution": "auto"})
    learner = make_learner(config, store, scaling, networks, device)
    _check_batch(config, store, learner)
    batches = [make_feed(config, store, scaling, device).batch(0, config.batch_size)] * learner.turns

    def trial(precision: str) -> float:
        engine = Engine(learner, precision, recorder_for(device, config.execution))
        return time_rounds(engine, batches, config.game.penalty_every)

    counts = thread_counts() if threads == "auto" else [threads]
    threads, precision = choose_execution(
        trial,
        counts[-1:] if are_replayed(device, config.execution) else counts,  # what is replayed does not use them
        precisions(device) if precision == "auto" else [precision],
    )
    settings = {"threads": threads, "precision": precision}
    if not config.auto:
        return Trial(settings)
    seconds, score = 1_000 * trial(precision) / (config.batch_size * learner.turns), 0.0
    if "evaluate.every" in config.auto:
        sampled = learner.member(0) if config.members > 1 and isinstance(learner, GAN) else learner
        score = time_of_a_score(config, store, sampled, scaling)
    return Trial(settings, (seconds, score))
