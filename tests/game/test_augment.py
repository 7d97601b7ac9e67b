"""What D sees: each transformation against a formula of its own, and where and how strongly they are applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from saddle.base import processes
from saddle.config.augment import COLORS, GEOMETRY, ADAConfig, DiffAugmentConfig, NoAugmentConfig, StochasticConfig
from saddle.config.schedules import LinearSchedule
from saddle.config.schema import GameConfig
from saddle.game.augment import Augment, augment_of
from saddle.game.batch import Batch
from saddle.game.rules import PlainRule, rule_of
from saddle.game.transformations import Draws, diffaugment, pipeline
from saddle.networks.population import Chance
from saddle.training.engine import seed_round

CPU = torch.device("cpu")
ALL = (*GEOMETRY, *COLORS, "cutout")
DIFFAUGMENT = ("color", "translation", "cutout")
Transform = Callable[[Tensor, float, Iterable[str], int], Tensor]


def drawn(seed: int, rows: int) -> Draws:
    generator = torch.Generator().manual_seed(seed)
    return Draws(lambda draw: draw(generator), rows, CPU)


def ada(images: Tensor, strength: float, names: Iterable[str] = ALL, seed: int = 0, **more: float) -> Tensor:
    return pipeline(images, torch.full((len(images),), strength), set(names), drawn(seed, len(images)), **more)


def diff(images: Tensor, strength: float, names: Iterable[str] = DIFFAUGMENT, seed: int = 0, **more: float) -> Tensor:
    return diffaugment(images, torch.full((len(images),), strength), set(names), drawn(seed, len(images)), **more)


def noise(count: int, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


class Given(Draws):
    """Numbers that a test chose: in [0, 1) for the uniform ones, of standard deviation 1 for the normal ones."""

    def __init__(self, uniform: list[float], normal: list[float]) -> None:
        self._uniform, self._normal = (iter(torch.tensor(each)[:, None]) for each in (uniform, normal))


@pytest.mark.parametrize("transform", [ada, diff])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("black", [-1.0, 0.0])
def test_at_strength_0_images_stay_to_the_bit(transform: Transform, channels: int, black: float):
    images = noise(16, channels, 6, 9)
    assert torch.equal(transform(images, 0.0, black=black), images)  # pyright: ignore[reportCallIssue]
    changed = transform(images, 1.0, black=black)  # pyright: ignore[reportCallIssue]
    assert changed.shape == images.shape and changed.isfinite().all()
    assert (changed != images).flatten(1).any(1).all()


@pytest.mark.parametrize("transform", [ada, diff])
def test_gradients_and_their_gradients_pass_through(transform: Transform):
    images = noise(3, 4, 5, 6).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: transform(x, 0.7).square(), (images,), fast_mode=True)  # pyright: ignore[reportCallIssue]
    (gradient,) = torch.autograd.grad(transform(images, 0.7).sum(), images)  # pyright: ignore[reportCallIssue]
    assert (gradient != 0).flatten(1).any(1).all()


def test_mirrored_and_turned_images_are_those():
    images = noise(400)
    mirrored = ada(images, 1.0, ["xflip"])
    kinds = torch.stack([images, images.flip(-1)])
    found = ((mirrored - kinds).abs().amax((2, 3, 4)) < 1e-4).float().mean(1)
    assert found.sum() == 1 and found[0].item() == pytest.approx(0.5, abs=0.1)
    turned = ada(images, 1.0, ["rotate90"])
    kinds = torch.stack([images.rot90(quarters, (2, 3)) for quarters in range(4)])
    found = ((turned - kinds).abs().amax((2, 3, 4)) < 1e-4).float().mean(1)
    assert found.sum() == 1 and found.min() > 0.17


def test_the_strength_is_the_probability_of_each():
    images = noise(2000, 1, 4, 4)
    assert (ada(images, 0.3, ["brightness"]) != images).flatten(1).any(1).float().mean().item() == pytest.approx(
        0.3, abs=0.04
    )
    either = ada(images, 0.3, ["rotate"])  # before or after the stretch
    assert (either != images).flatten(1).any(1).float().mean().item() == pytest.approx(0.3, abs=0.04)
    rarer = ada(images, 0.6, ["brightness"], color_share=0.5)
    assert (rarer != images).flatten(1).any(1).float().mean().item() == pytest.approx(0.3, abs=0.04)


def maps_of(names: list[str]) -> np.ndarray:
    """The affine maps, from places in what comes out to places in the image, that 256 images went through."""
    size, near = 64, slice(28, 36)
    places = torch.arange(size) - (size - 1) / 2
    ramps = torch.stack([places.expand(size, size), places[:, None].expand(size, size)])[None].repeat(256, 1, 1, 1)
    out = ada(ramps / size, 1.0, names)[:, :, near, near].double().numpy() * size
    x, y = np.meshgrid(places[near], places[near])
    known = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1)
    return np.stack([np.linalg.lstsq(known, values.reshape(2, -1).T, rcond=None)[0].T for values in out])


def test_scaling_rotation_stretching_and_shifts_have_the_papers_distributions():
    still = np.eye(2)
    scale = maps_of(["scale"])
    np.testing.assert_allclose(scale[:, :, 2], 0, atol=1e-4)
    np.testing.assert_allclose(scale[:, :, :2], scale[:, :1, :1] * still, atol=1e-5)
    assert np.log2(scale[:, 0, 0]).std() == pytest.approx(0.2, rel=0.2)
    turned = maps_of(["rotate"])[:, :, :2]
    np.testing.assert_allclose(turned @ turned.transpose(0, 2, 1), still[None].repeat(256, 0), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(turned), 1, atol=1e-5)
    assert np.histogram(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]), 4, (-np.pi, np.pi))[0].min() > 40
    stretched = maps_of(["aniso"])[:, :, :2]
    np.testing.assert_allclose(stretched[:, 0, 0] * stretched[:, 1, 1], 1, atol=1e-5)
    assert np.log2(stretched[:, 0, 0]).std() == pytest.approx(0.2, rel=0.2)
    moved = maps_of(["xfrac"])[:, :, 2] / 64
    assert moved.std(0) == pytest.approx(0.125, rel=0.2)
    moved = maps_of(["xint"])[:, :, 2]
    np.testing.assert_allclose(moved, moved.round(), atol=1e-3)
    assert np.abs(moved).max() == pytest.approx(8, abs=1e-3) and moved.std(0) == pytest.approx(16 / 12**0.5, rel=0.2)


def matrix(*rows: list[float]) -> np.ndarray:
    return np.array([*rows, [0] * (len(rows[0]) - 1) + [1]], dtype=float)


def turned_by(angle: float) -> np.ndarray:
    return matrix([np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0])


def test_all_moves_together_are_the_product_of_the_papers_matrices():
    """Against a bilinear reading of a mirrored plane, pixel by pixel."""
    height, width = 6, 7
    image = noise(1, 1, height, width)
    yes, n = 0.0, [0.7, -0.8, 0.4, -0.3]
    uniform = [yes, 0.1, yes, 0.3, yes, 0.9, 0.2, yes, yes, 0.6, yes, 0.35, yes, yes]
    draws = Given(uniform + [1.0] * 10, [*n, 0.0, 0.0, 0.0])
    out = pipeline(image, torch.ones(1), set(GEOMETRY), draws)[0, 0].numpy()
    size, stretch = 2 ** (0.2 * n[0]), 2 ** (0.2 * n[1])
    shift = np.round([0.8 * 0.125 * width, -0.6 * 0.125 * height])
    inverse = (
        matrix([-1, 0, 0], [0, 1, 0])
        @ turned_by(np.pi / 2)
        @ matrix([1, 0, -shift[0]], [0, 1, -shift[1]])
        @ matrix([1 / size, 0, 0], [0, 1 / size, 0])
        @ turned_by(0.2 * np.pi)
        @ matrix([1 / stretch, 0, 0], [0, stretch, 0])
        @ turned_by(-0.3 * np.pi)
        @ matrix([1, 0, -n[2] * 0.125 * width], [0, 1, -n[3] * 0.125 * height])
    )
    plane = np.pad(image[0, 0].numpy(), 30, "symmetric")
    for row in range(height):
        for column in range(width):
            x, y, _ = inverse @ [column - (width - 1) / 2, row - (height - 1) / 2, 1]
            x, y = x + (width - 1) / 2 + 30, y + (height - 1) / 2 + 30
            left, top = int(np.floor(x)), int(np.floor(y))
            right, low = x - left, y - top
            four = plane[top : top + 2, left : left + 2]
            expected = np.array([1 - low, low]) @ four @ np.array([1 - right, right])
            assert out[row, column] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("black", [-1.0, 0.0])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_all_colours_together_are_the_product_of_the_papers_matrices(black: float, channels: int):
    image = noise(1, channels)
    image = image if black else (image + 1) / 2
    yes, n = 0.0, [0.5, -0.7, 0.9]
    uniform = [1.0] * 14 + [yes, yes, yes, 0.2, yes, 0.7, yes] + [1.0] * 3
    out = pipeline(image, torch.ones(1), set(COLORS), Given(uniform, [0.0] * 4 + n), black=black)[0].numpy()
    axis = np.ones(3) / np.sqrt(3)
    along, across = np.outer(axis, axis), np.cross(axis, np.eye(3)).T  # columns of the latter: axis × e
    angle = 0.4 * np.pi
    turn = along + np.cos(angle) * (np.eye(3) - along) + np.sin(angle) * across
    parts = [
        (np.eye(3), np.full(3, 0.2 * n[0])),
        (np.eye(3) * 2 ** (0.5 * n[1]), np.zeros(3)),
        (np.eye(3) - 2 * along, np.zeros(3)),
        (turn, np.zeros(3)),
        (along + (np.eye(3) - along) * 2 ** n[2], np.zeros(3)),
    ]
    colors = image[0, :3].reshape(min(channels, 3), -1).numpy().astype(float)
    colors = np.broadcast_to(colors, (3, 64)) if channels == 1 else colors
    colors = colors if black else colors * 2 - 1
    for product, offset in parts:
        colors = product @ colors + offset[:, None]
    colors = colors if black else (colors + 1) / 2
    np.testing.assert_allclose(out[:3].reshape(min(channels, 3), -1), colors[: min(channels, 3)], atol=1e-5)
    if channels == 4:
        np.testing.assert_array_equal(out[3], image[0, 3])


def test_diffaugment_is_as_published():
    """Brightness, then saturation, then contrast about the image's own mean; shifted; a hole of half the side."""
    image = noise(1, 3, 16, 28)
    out = diffaugment(image, torch.ones(1), {"color"}, Given([0.0, 0.9, 0.7, 0.2] + [1.0] * 6, []))
    expected = image.numpy() + 0.4
    grey = expected.mean(1, keepdims=True)
    expected = (expected - grey) * 1.4 + grey
    expected = (expected - expected.mean()) * 0.7 + expected.mean()
    np.testing.assert_allclose(out, expected, atol=1e-5)

    shifted = diffaugment(image, torch.ones(1), {"translation"}, Given([1.0] * 4 + [0.0, 0.99, 0.0] + [1.0] * 3, []))
    padded = nn.functional.pad(image, (4, 4, 2, 2))
    np.testing.assert_allclose(shifted, padded[:, :, 0:16, 8:36], atol=1e-5)  # 2 down, 3.5 rounded to 4 to the left

    cut = diffaugment(image, torch.ones(1), {"cutout"}, Given([1.0] * 7 + [0.0, 0.5, 0.0], []))
    hole = torch.zeros(16, 28, dtype=torch.bool)
    hole[4:12, :7] = True
    assert torch.equal(cut == 0, hole.expand(1, 3, 16, 28))
    assert torch.equal(cut[:, :, ~hole], image[:, :, ~hole])


def test_grey_is_in_the_middle_of_the_range():
    image = torch.full((64, 1, 8, 8), 0.9)
    assert {round(value, 4) for value in diff(image, 1.0, ["cutout"], black=0.0).unique().tolist()} == {0.5, 0.9}
    assert {round(value, 4) for value in ada(image, 1.0, ["cutout"]).unique().tolist()} == {0.0, 0.9}


def augment(kind: str = "ada", chance: Chance | None = None, **settings: object) -> Augment:
    config = {"ada": ADAConfig, "diffaugment": DiffAugmentConfig, "stochastic": StochasticConfig}[kind](**settings)
    made = augment_of(config, CPU, chance)
    assert made is not None
    return made


def test_without_augmentation_there_is_nothing():
    assert augment_of(NoAugmentConfig(), CPU) is None


def test_the_draw_follows_from_the_seed_and_labels_stay():
    transform = augment("stochastic", strength=0.5)
    batch = Batch(noise(8), torch.arange(8))
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append(transform(batch))
    assert torch.equal(seen[0].samples, seen[1].samples)
    assert not torch.equal(seen[0].samples, seen[2].samples)
    assert seen[0].condition is batch.condition


def test_real_and_generated_samples_of_one_pass_are_transformed_alike_and_each_on_its_own():
    samples = torch.zeros(3000, 1, 2, 2)
    joined = Batch(samples).joined(Batch(samples))
    torch.manual_seed(0)
    seen = augment("stochastic", strength=0.4, transformations=["brightness"])(joined).samples
    real, fake = joined.split(seen[:, 0, 0, 0])
    assert not torch.equal(real, fake)
    for half in (real, fake):
        assert (half != 0).float().mean().item() == pytest.approx(0.4, abs=0.04)
        assert half[half != 0].std().item() == pytest.approx(0.2, rel=0.1)


def test_a_schedule_sets_the_strength():
    transform = augment("diffaugment", strength=LinearSchedule(value=0.0, to=1.0, end=100))
    samples = Batch(noise(8))
    assert torch.equal(transform(samples).samples, samples.samples)
    transform.schedule(40)
    assert transform.strength.item() == pytest.approx(0.4)


def test_each_process_transforms_its_part_by_a_draw_of_its_own(monkeypatch: pytest.MonkeyPatch):
    transform, seen = augment("diffaugment"), []
    for number in range(2):
        names = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE")
        for name, value in zip(names, ("test", number, 2), strict=True):
            monkeypatch.setenv(name, str(value))
        seed_round(5, CPU)
        seen.append(transform(Batch(torch.ones(4, 1, 8, 8))).samples)
        common = torch.rand(1, generator=processes.common(CPU))
    assert not torch.equal(seen[0], seen[1])
    assert common == torch.rand(1, generator=torch.Generator().manual_seed(5))  # what they share is left alone


def test_members_draw_apart_and_have_strengths_of_their_own():
    chance = Chance(CPU, 2)
    samples = Batch(noise(6), members=2)
    transform = augment(chance=chance, rise=100)
    transform.follow(torch.tensor([1.0, 0.0]), 50)
    assert transform.strength.tolist() == [0.5, 0.0]
    chance.seed([1, 2])
    seen = transform(samples).samples
    assert torch.equal(seen[3:], samples.samples[3:]) and not torch.equal(seen[:3], samples.samples[:3])
    single = augment(rise=100)
    single.follow(torch.ones(1), 50)
    torch.manual_seed(1)
    assert torch.equal(single(Batch(samples.samples[:3])).samples, seen[:3])  # as the run that it would be alone


class Judge(nn.Module):
    """Notes what it is asked, and answers with what it was told to."""

    judges_alone = True

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[Tensor] = []

    def forward(self, samples: Tensor) -> Tensor:
        self.asked.append(samples)
        return self.answer(samples)

    def features(self, samples: Tensor) -> Tensor:
        self.asked.append(samples)
        return samples.flatten(1)

    def class_logits(self, samples: Tensor) -> Tensor:
        self.asked.append(samples)
        return samples.flatten(1)[:, :3]


class Doubled(Augment):
    """Every sample comes out twice as large."""

    def __call__(self, batch: Batch) -> Batch:
        return batch._replace(samples=2 * batch.samples)


@pytest.mark.parametrize(
    "game",
    [
        {},
        {"r1": 1.0, "r2": 1.0, "packing": 2},
        {"r1": 1.0},
        {"gradient_penalty": 1.0},
        {"feature_matching": "l2"},
        {"loss": "relativistic"},
        {"rule": "semi_supervised"},
    ],
)
def test_d_sees_nothing_else(game: dict[str, object]):
    settings = GameConfig(**game)
    judge = Judge(lambda samples: samples.flatten(1).sum(1))
    rule = rule_of(settings)(settings, judge, augment=Doubled(ADAConfig(), CPU))
    real, fake = Batch(torch.full((4, 1, 2, 2), 3.0)), Batch(torch.full((4, 1, 2, 2), 3.0))
    if settings.rule == "semi_supervised":
        real = real._replace(labelled=(real.samples, torch.zeros(4, dtype=torch.int64)))
    rule.discriminator_turn(real, fake)
    rule.generator_turn(real, fake)
    rule.joint_turn(real, fake)
    assert len(judge.asked) >= 3
    assert all((samples == 6).all() for samples in judge.asked)


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty"])
def test_penalties_are_of_the_gradient_before_the_transformation(name: str):
    """D(x) = Σ x: its gradient is ones, of norm 2 on four values; through a doubling, of norm 4."""
    figures = {}
    for transform in (None, Doubled(ADAConfig(), CPU)):
        rule = PlainRule(GameConfig(**{name: 2.0}), Judge(lambda samples: samples.flatten(1).sum(1)), augment=transform)
        turn = rule.discriminator_turn(Batch(noise(4, 1, 2, 2)), Batch(noise(4, 1, 2, 2)))
        figures[transform is None] = turn.figures[name].item()
    wanted = {True: 4.0, False: 16.0} if name != "gradient_penalty" else {True: 2.0, False: 18.0}
    assert figures == pytest.approx(wanted)


@pytest.mark.parametrize(("loss", "middle"), [("non_saturating", 0.0), ("least_squares", 0.5), ("hinge", 0.0)])
def test_the_strength_rises_while_d_is_too_sure_and_falls_while_it_is_not(loss: str, middle: float):
    answers = iter([1.0] * 5 + [-1.0] * 7)
    judge = Judge(lambda samples: middle + next(answers) * torch.ones(len(samples)))
    rule = PlainRule(GameConfig(loss=loss), judge, augment=augment(rise=200, target=0.6))
    strengths, trust = [], []
    for _ in range(12):
        figures = rule.discriminator_turn(Batch(noise(50, 1)), Batch(noise(50, 1))).figures
        strengths.append(figures["augment_p"].item())  # of this turn
        trust.append(figures["r_t"].item())
    assert strengths == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0])
    assert trust == [1.0] * 5 + [-1.0] * 7


@pytest.mark.parametrize(("loss", "expected"), [("wasserstein", 0.5), ("relativistic", 0.75)])
def test_where_only_differences_matter_r_t_counts_from_halfway_or_within_pairs(loss: str, expected: float):
    for shift in (-100.0, 0.0, 100.0):
        judge = Judge(lambda samples, shift=shift: samples[:, 0, 0, 0] + shift)
        rule = PlainRule(
            GameConfig(loss=loss), judge, augment=augment("stochastic", strength=0.5, transformations=["xflip"])
        )
        real, fake = torch.ones(8, 1, 1, 1), -torch.ones(8, 1, 1, 1)
        real[6:] = -0.5  # below halfway between the means, 0.625 and -1
        fake[7] = 0.0  # one pair is the wrong way round
        assert rule.discriminator_turn(Batch(real), Batch(fake)).figures["r_t"].item() == pytest.approx(expected)


def test_a_d_that_sees_apart_what_it_learned_and_what_it_did_not_is_at_the_target_when_four_in_five_are_right():
    judge = Judge(lambda samples: samples[:, 0, 0, 0])
    rule = PlainRule(GameConfig(), judge, augment=augment(rise=100, transformations=["xflip"]))
    real = torch.ones(10, 1, 1, 1)
    real[:2] = -1
    turn = rule.discriminator_turn(Batch(real), Batch(real))
    assert turn.figures["r_t"].item() == pytest.approx(0.6)


def test_state_that_does_not_fit_is_refused():
    made = augment()
    made.follow(torch.ones(1), 1000)
    other = augment()
    other.load(made.state())
    assert other.strength == made.strength == pytest.approx(0.002)
    for wrong in (torch.zeros(2), torch.tensor(2.0), torch.tensor(float("nan")), torch.zeros((), dtype=torch.float64)):
        with pytest.raises(RuntimeError, match="does not fit"):
            other.load({"strength": wrong})
    with pytest.raises(KeyError):
        other.load({})
    assert augment("diffaugment").state() == {}


def test_an_example_is_always_the_same_draw_and_disturbs_nothing():
    transform, images = augment("stochastic", strength=0.5), noise(8)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again = transform.example(images), transform.example(images)
    assert torch.equal(first, again) and not torch.equal(first, images)
    assert torch.equal(torch.get_rng_state(), before)
