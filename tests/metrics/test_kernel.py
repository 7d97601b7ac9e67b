from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saddle.metrics.kernel import KernelDistance, kernel_distance, sums_within


def draw(count: int, width: int, seed: int, *, shift: float = 0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=chance, dtype=torch.float64) + shift


def by_loop(a: Tensor, b: Tensor) -> float:
    """Gretton et al. 2012, equation 3, pair by pair."""

    def kernel(x: list[float], y: list[float]) -> float:
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    xs, ys = a.tolist(), b.tolist()
    m, n = len(xs), len(ys)
    within_x = sum(kernel(xs[i], xs[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    within_y = sum(kernel(ys[i], ys[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within_x + within_y - 2 * sum(kernel(x, y) for x in xs for y in ys) / (m * n)


@pytest.mark.parametrize(("m", "n", "width"), [(2, 2, 1), (2, 9, 3), (23, 17, 5)])
def test_value_equals_a_plain_loop(m: int, n: int, width: int):
    a, b = draw(m, width, 0, shift=0.5), draw(n, width, 1)
    assert kernel_distance(a, b).value == pytest.approx(by_loop(a, b), rel=1e-10)


def test_a_set_against_itself_counts_each_point_as_its_own_partner_across():
    a = draw(20, 4, 2)
    assert kernel_distance(a, a).value == pytest.approx(by_loop(a, a), rel=1e-10)
    assert kernel_distance(a, a) == kernel_distance(a, a.clone())


@pytest.mark.parametrize("rows", [None, 7])
def test_known_sums_of_the_reference_change_nothing(rows: int | None):
    a, b = draw(30, 4, 2), draw(40, 4, 3)
    assert kernel_distance(a, b, within=sums_within(b, rows=rows)) == pytest.approx(kernel_distance(a, b), rel=1e-12)


def repeated(m: int, n: int, shift: float) -> tuple[Tensor, Tensor]:
    """Values and errors of independent draws."""
    found = [kernel_distance(draw(m, 8, 2 * i), draw(n, 8, 2 * i + 1, shift=shift)) for i in range(300)]
    return torch.tensor([x.value for x in found]), torch.tensor([x.error for x in found])


@pytest.mark.parametrize(("m", "n"), [(50, 50), (30, 80)])
def test_equal_distributions_are_at_no_distance_on_average_and_the_error_is_the_spread(m: int, n: int):
    values, errors = repeated(m, n, 0)
    assert abs(values.mean()) < 3 * values.std() / len(values) ** 0.5
    assert (values < 0).any()
    assert errors.min() > 0.3 * values.std()
    assert errors.square().mean().sqrt().item() == pytest.approx(values.std().item(), rel=0.25)


@pytest.mark.parametrize("shift", [0.3, 1])
def test_the_error_is_the_spread_of_different_distributions(shift: float):
    values, errors = repeated(50, 70, shift)
    assert values.mean() > values.std()
    assert errors.square().mean().sqrt().item() == pytest.approx(values.std().item(), rel=0.15)


def test_value_does_not_grow_with_fewer_samples():
    """What makes it better than a Fréchet distance of few: the expectation is the same."""
    few, many = repeated(12, 12, 1)[0], repeated(60, 60, 1)[0]
    spread = (few.var() / len(few) + many.var() / len(many)).sqrt()
    assert abs(few.mean() - many.mean()) < 3 * spread


def test_estimate_knows_neither_sides_order_nor_pieces():
    a, b = draw(50, 6, 3, shift=0.4), draw(40, 6, 4)
    found = kernel_distance(a, b)

    def same(other: KernelDistance) -> bool:
        return other == pytest.approx(found, rel=1e-10)

    assert same(kernel_distance(b, a))
    assert same(kernel_distance(a.flip(0), b.roll(13, 0)))
    assert all(same(kernel_distance(a, b, rows=rows)) for rows in (5, 16, 40, 1000))


def test_single_precision_features_are_summed_in_double():
    a, b = draw(40, 6, 5).float(), draw(40, 6, 6).float()
    assert kernel_distance(a, b) == kernel_distance(a.double(), b.double())
