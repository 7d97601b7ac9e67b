"""Matrix products behind the metrics: in double precision, on the CPU, and of pixels without any rounding.

Not every accelerator has double precision. Pixels need none: a product of two whole numbers from -128 to 127 is at most
2¹⁴, and 1,024 of them sum to at most 2²⁴. Up to there single precision holds every whole number, whatever the order of
the sum, and it is twice as fast. (torch may be told to multiply in bfloat16 instead: that holds the factors, too.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from saddle.data.scaling import as_floats
from saddle.metrics.inputs import rows_at_once

_EXACT = 1024  # products of pixels that are summed in single precision
_BLOCK = 512  # columns of a block of ``add_gram``


def doubles(points: Tensor) -> Tensor:
    """Rows in double precision, pixels in [0, 1]."""
    return as_floats(points.detach().cpu(), torch.float64)


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """A bᵀ, (M, N), for rows (M, d) and (N, d)."""
    if not a.dtype == b.dtype == torch.uint8:
        return doubles(a) @ doubles(b).T
    left, right = _shifted(a), _shifted(b)
    # (l + 128)(r + 128) = l r + 128 l + 128 r + 128²
    products = _exact_products(left, right).add_(_exact_sums(left).mul_(128)[:, None])
    return products.add_(_exact_sums(right).mul_(128).add_(128**2 * left.shape[1])).div_(255**2)


def squared_distances(a: Tensor, b: Tensor, centre: Tensor) -> Tensor:
    """‖a - b‖² of all pairs, (M, N): one matrix product, harmless near ``centre``; see ``middle``."""
    if a.dtype == b.dtype == torch.uint8:
        left, right = _shifted(a), _shifted(b)
        squares = _exact_products(left, right).mul_(-2).add_(_exact_sums(left.square())[:, None])
        return squares.add_(_exact_sums(right.square())).div_(255**2)
    a, b = doubles(a) - centre, doubles(b) - centre
    return torch.addmm(b.square().sum(1), a, b.T, alpha=-2).add_(a.square().sum(1, keepdim=True)).clamp_(min=0)


def middle(points: Tensor) -> Tensor:
    """Where distances between points like these are best computed from, (d,): the mean of the first of them.

    Rounding grows with the squared distance from there: of years in a table, seen from zero, nothing would be left.
    """
    return doubles(points[: rows_at_once(points.shape[1])]).mean(0)


def add_gram(total: Tensor, rows: Tensor) -> None:
    """Add rowsᵀ rows to ``total`` (d, d), in place: on the diagonal and above; below it, blocks stay as they are.

    Args:
        total: in double precision.
        rows: (N, d), of any precision that holds the result.
    """
    width = rows.shape[1]
    for start in range(0, width, _BLOCK):
        total[start : start + _BLOCK, start:] += rows[:, start : start + _BLOCK].T @ rows[:, start:]


def mirrored(upper: Tensor) -> Tensor:
    """The symmetric matrix that has the diagonal and the upper half of ``upper``."""
    return upper.triu() + upper.triu(1).T


def pixel_sums(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Σ x (d,) and Σ x xᵀ (d, d) over rows x of uint8 (N, d), less 128 each; exactly. The second as ``add_gram``."""
    width = pixels.shape[1]
    first, second = torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64)
    for piece in pixels.split(_EXACT):
        shifted = _shifted(piece)
        first += shifted.sum(0)
        add_gram(second, shifted)
    return first, second


def _shifted(pixels: Tensor) -> Tensor:
    """From -128 to 127."""
    return pixels.cpu().float() - 128


def _exact_products(a: Tensor, b: Tensor) -> Tensor:
    """A bᵀ in double precision, for whole numbers from -128 to 127 in single precision."""
    pieces = zip(a.split(_EXACT, 1), b.split(_EXACT, 1), strict=True)
    total = torch.zeros(len(a), len(b), dtype=torch.float64)
    for left, right in pieces:
        total += left @ right.T
    return total


def _exact_sums(rows: Tensor) -> Tensor:
    """The sum of each row in double precision, for whole numbers up to 2¹⁴ in single precision."""
    return torch.stack([piece.sum(1) for piece in rows.split(_EXACT, 1)]).double().sum(0)
