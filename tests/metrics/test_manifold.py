from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saddle.errors import MetricError
from saddle.metrics.manifold import density_coverage, precision_recall
from saddle.metrics.nearest import neighbour_distances


def draw(count: int, width: int, seed: int, *, scale: float = 1) -> Tensor:
    return scale * torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scores(samples: Tensor, reference: Tensor, k: int, rows: int | None = None) -> tuple[float, ...]:
    """Precision, recall, density, coverage."""
    return *precision_recall(samples, reference, k=k, rows=rows), *density_coverage(samples, reference, k=k, rows=rows)


@pytest.mark.parametrize(
    ("m", "n", "width", "scale", "k"),
    [(300, 200, 2, 1, 1), (300, 200, 2, 1, 5), (150, 400, 16, 0.8, 3)],
)
def test_scores_equal_those_of_the_authors_package(m: int, n: int, width: int, scale: float, k: int):
    prdc = pytest.importorskip("prdc")
    samples, reference = draw(m, width, 0, scale=scale), draw(n, width, 1)
    theirs = prdc.compute_prdc(reference.numpy(), samples.numpy(), k)
    wanted = [theirs[name] for name in ("precision", "recall", "density", "coverage")]
    assert scores(samples, reference, k) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.slow
def test_the_authors_check_values():
    """10,000 points of N(0, I₁₀₀₀) against as many, k = 5: .4772, .4705, 1.0555 and .9735 in one draw of theirs.

    The tolerances are about twice what five draws differed by; in so many dimensions a few points are the neighbours of
    very many others, so that density differs most.
    """
    precision, recall, density, coverage = scores(draw(10_000, 1_000, 0), draw(10_000, 1_000, 1), k=5)
    assert (precision, recall) == pytest.approx((0.4772, 0.4705), abs=0.03)
    assert density == pytest.approx(1.0555, abs=0.2)
    assert coverage == pytest.approx(0.9735, abs=0.025)


def test_equal_distributions_have_density_one_and_the_coverage_of_the_papers_formula():
    """Coverage is 1 - 1 / 2^k where both have equally many samples (Naeem et al. 2020, section 3.3)."""
    found = torch.tensor([density_coverage(draw(500, 3, 2 * i), draw(500, 3, 2 * i + 1), k=3) for i in range(20)])
    density, coverage = found.mean(0).tolist()
    assert density == pytest.approx(1, abs=0.03)
    assert coverage == pytest.approx(1 - 0.5**3, abs=0.01)


def test_plain_precision_and_recall_take_three_neighbours_density_and_coverage_five():
    a, b = draw(100, 3, 2), draw(100, 3, 3)
    assert precision_recall(a, b) == precision_recall(a, b, k=3) != precision_recall(a, b, k=5)
    assert density_coverage(a, b) == density_coverage(a, b, k=5) != density_coverage(a, b, k=3)


def test_known_neighbours_of_the_reference_change_nothing():
    samples, reference = draw(80, 3, 2), draw(100, 3, 3)
    known = neighbour_distances(reference, 6)
    assert precision_recall(samples, reference, neighbours=known) == precision_recall(samples, reference)
    assert density_coverage(samples, reference, neighbours=known) == density_coverage(samples, reference)


def test_lost_variety_costs_recall_and_noise_costs_precision():
    reference = draw(500, 3, 4)
    collapsed, noisy = draw(500, 3, 5, scale=0.1), draw(500, 3, 6, scale=4)
    assert precision_recall(collapsed, reference).precision == 1
    assert precision_recall(collapsed, reference).recall < 0.1
    assert density_coverage(collapsed, reference).coverage < 0.1
    assert precision_recall(noisy, reference).precision < 0.3
    assert precision_recall(noisy, reference).recall > 0.9
    assert density_coverage(noisy, reference).density < 0.3


@pytest.mark.parametrize("offset", [2020, 1e5])
def test_scores_do_not_depend_on_where_zero_is(offset: float):
    scale = torch.tensor([3.0, 1.0], dtype=torch.float64)
    samples, reference = scale * draw(2000, 2, 9), scale * draw(2000, 2, 10, scale=0.9)
    assert scores(samples + offset, reference + offset, k=3) == pytest.approx(scores(samples, reference, k=3), abs=1e-3)


def test_scores_know_neither_order_nor_pieces():
    samples, reference = draw(40, 4, 7), draw(60, 4, 8)
    found = scores(samples, reference, 4)
    assert scores(samples.flip(0), reference.roll(31, 0), 4) == found
    for rows in (5, 16, 50):
        assert scores(samples, reference, 4, rows) == found


@pytest.mark.parametrize("squared", range(1, 12))
def test_a_sample_on_a_balls_surface_is_precise_but_not_dense(squared: int):
    """At the corners of a cube; precision's balls are closed and density's open, whatever the root rounds to."""
    corner = torch.zeros(12).double()
    corner[:squared] = 1
    reference = torch.stack([0 * corner, corner])  # both balls reach to the other's centre
    samples = torch.stack([-corner, -50 * corner])  # the first lies on the surface of the first ball
    assert scores(samples, reference, 1) == (0.5, 1, 0, 0)
    assert scores(0.999 * samples, reference, 1) == (0.5, 1, 0.5, 0.5)


def test_duplicates_make_balls_of_one_point():
    """A closed one holds the point itself, an open one nothing."""
    reference = torch.tensor([[0.0, 0], [0, 0], [3, 0], [3, 0]])
    samples = torch.tensor([[0.0, 0], [0, 0.1], [9, 9], [9, 9]])
    assert scores(samples, reference, 1) == (0.25, 0.5, 0, 0)


@pytest.mark.parametrize("rows", [None, 40])
def test_rounding_does_not_decide_about_copies(rows: int | None):
    """Copies of reference points lie on the surfaces of the balls of all whose k-th neighbour they are."""
    reference = torch.rand(300, 200, generator=torch.Generator().manual_seed(9))
    copies = reference[:30].repeat(10, 1)
    k = 3
    between = torch.cdist(reference.double(), reference.double(), compute_mode="donot_use_mm_for_euclid_dist")
    order = between.argsort(1)[:, :k]  # strictly inside a ball: its centre and the next k - 1
    inside = torch.isin(order, torch.arange(30))
    wanted = (1, 0.1, inside.sum().item() * 10 / (k * 300), inside.any(1).double().mean().item())
    assert scores(copies, reference, k, rows) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("score", [precision_recall, density_coverage])
def test_too_few_rows_for_the_neighbours_are_an_error(score):
    few, enough = draw(4, 2, 0), draw(5, 2, 1)
    score(enough, enough, k=4)
    with pytest.raises(MetricError, match=r"too few samples\n  expected: at least 5\n  got: 4"):
        score(few, enough, k=4)
    with pytest.raises(MetricError, match=r"too few reference samples\n  expected: at least 5\n  got: 4"):
        score(enough, few, k=4)
    with pytest.raises(MetricError, match=r"the number of neighbours is impossible\n  expected: 1 to 4\n  got: 0"):
        score(enough, enough, k=0)
