from __future__ import annotations

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor

from saddle.errors import MetricError
from saddle.metrics.nearest import copied_share, copy_limit, nearest, neighbour_distances, neighbour_error


def draw(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("rows", [None, 7, 64, 120])
@pytest.mark.parametrize("count", [1, 5, 120])
def test_nearest_rows_are_those_that_scikit_learn_finds(count: int, rows: int | None):
    queries, points = draw(50, 6, 0), draw(120, 6, 1)
    found = nearest(queries, points, count, rows=rows)
    distances, indices = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points).kneighbors(queries)
    assert torch.equal(found.indices, torch.from_numpy(indices))
    torch.testing.assert_close(found.distances, torch.from_numpy(distances), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [None, 10, 33, 60])
@pytest.mark.parametrize("count", [1, 2, 59])
def test_no_row_is_its_own_neighbour_but_its_duplicate_is(count: int, rows: int | None):
    points = torch.cat([draw(30, 4, 2), draw(30, 4, 2)])
    between = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    found = neighbour_distances(points, count, rows=rows)
    torch.testing.assert_close(found, between.sort(1).values[:, :count], rtol=1e-7, atol=1e-7)
    assert found[:, 0].max() < 1e-7


def test_points_far_from_zero_keep_their_distances():
    """As the product of a matrix in single precision would not."""
    queries, points = draw(20, 8, 3) + 1e3, draw(40, 8, 4) + 1e3
    wanted = torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, :3]
    torch.testing.assert_close(nearest(queries, points, 3).distances, wanted, rtol=1e-8, atol=0)


def test_bytes_count_from_0_to_1():
    points = torch.tensor([[0, 255], [250, 3]], dtype=torch.uint8)
    found = nearest(torch.tensor([[255, 0]], dtype=torch.uint8), points, 2)
    assert found.indices.tolist() == [[1, 0]]
    assert found.distances[0, 0].item() == pytest.approx(34**0.5 / 255)


@pytest.mark.parametrize("count", [0, -1, 6])
def test_more_neighbours_than_there_are_is_an_error(count: int):
    points = draw(5, 2, 5)
    with pytest.raises(MetricError, match=f"neighbours is impossible\n  expected: 1 to 5\n  got: {count}"):
        nearest(points, points, count)
    with pytest.raises(MetricError, match="expected: 1 to 4\n  got: 5"):
        neighbour_distances(points, 5)


def test_neighbour_error_equals_a_nearest_neighbour_classifiers():
    samples, queries = draw(200, 3, 6), draw(300, 3, 7)
    asked, true = (samples[:, 0] > 0).long() + (samples[:, 1] > 0), (queries[:, 0] > 0).long() + (queries[:, 1] > 0)
    theirs = 1 - KNeighborsClassifier(1).fit(samples, asked).score(queries, true)
    assert 0.05 < theirs < 0.5
    assert neighbour_error(samples, asked, queries, true) == pytest.approx(theirs, abs=1e-12)
    assert neighbour_error(samples, asked, queries, true, rows=17) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("asked", "true"), [((4,), (6,)), ((6,), (6,)), ((5,), (1,)), ((5,), (6, 1)), ((5, 1), (6,))])
def test_labels_that_do_not_fit_the_rows_are_an_error(asked: tuple[int, ...], true: tuple[int, ...]):
    with pytest.raises(MetricError, match=r"labels do not fit\n  expected: .*5.*6.*\n  got: "):
        neighbour_error(draw(5, 2, 0), torch.zeros(asked).long(), draw(6, 2, 1), torch.zeros(true).long())


def test_fresh_samples_hardly_count_as_copies_copies_do_and_far_samples_do_not():
    reference, held_out, fresh = draw(1500, 4, 8), draw(2000, 4, 9), draw(2000, 4, 10)
    limit = copy_limit(reference, held_out)
    assert 0.003 < copied_share(fresh, reference, limit) < 0.02
    assert copied_share(held_out, reference, limit) == pytest.approx(0.01, abs=1e-3)
    assert copied_share(fresh, reference, copy_limit(reference, held_out, quantile=0.25)) == pytest.approx(
        0.25, abs=0.04
    )
    assert copied_share(reference[:400], reference, limit) == 1
    assert copied_share(torch.cat([reference[:100], fresh[:300] + 50]), reference, limit) == 0.25
    assert copied_share(fresh + 50, reference, limit) == 0


def test_copies_count_also_where_held_out_samples_repeat_the_reference():
    """As they do where there are few values a pixel can have."""
    reference = torch.arange(500.0)[:, None]
    held_out = torch.cat([reference[:10], reference[:190] + 0.5])
    limit = copy_limit(reference, held_out)
    assert copied_share(reference, reference, limit) == 1
    assert copied_share(held_out, reference, limit) == 0.05


def test_a_quantile_needs_as_many_held_out_samples():
    few = draw(99, 2, 0)
    with pytest.raises(MetricError, match=r"too few held-out samples\n  expected: at least 100\n  got: 99"):
        copy_limit(few, few)
