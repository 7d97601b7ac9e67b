"""Points by name, drawn fresh from a known distribution: ``gaussian(4, 1.25)``, ``ring(8)``, ``grid(modes=25)``.

A source is written as a call: a name, then numbers in the order of the signature, then key=number; what is left out
has its default, and empty parentheses may be left out too. Only centres of a mixture may be points: ``(0, 3)``.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable
from inspect import Parameter, signature
from itertools import product

import numpy as np

from saddle.base.chance import stream
from saddle.config.schema import DataConfig
from saddle.data.named.distributions import Distribution, Mixture, Uniform
from saddle.data.store import Store, make_store
from saddle.errors import DataError

# The size of the fixed sample that is used for pictures and scaling. It also counts as an epoch, and is the size of
# PacGAN's 2-D data sets (Lin et al. 2018, appendix A).
REFERENCE = 100_000
# More are a mistake, and the fixed sample would not fit in memory.
MOST = {"dimensions": 1000, "modes": 10_000}


def gaussian(mean: float = 0, std: float = 1, dimensions: int = 1) -> Mixture:
    """N(mean, std²), independently along each of ``dimensions`` axes."""
    centre = np.full((1, _whole("dimensions", dimensions)), mean, np.float64)
    return Mixture(centre, _positive("std", std))


def uniform(low: float = -1, high: float = 1, dimensions: int = 1) -> Uniform:
    """Uniform on [low, high), independently along each of ``dimensions`` axes."""
    if low >= high:
        raise ValueError(f"low must be below high, got {low:g} and {high:g}")
    return Uniform(low, high, _whole("dimensions", dimensions))


def ring(modes: int = 8, radius: float = 1, std: float = 0.01) -> Mixture:
    """2-D modes evenly spaced on a circle; the defaults are PacGAN's (Lin et al. 2018, section 4.1)."""
    angles = 2 * np.pi * np.arange(_whole("modes", modes)) / modes
    centres = _positive("radius", radius) * np.stack([np.cos(angles), np.sin(angles)], 1)
    return Mixture(centres, _positive("std", std))


def grid(modes: int = 25, spacing: float = 2, std: float = 0.05) -> Mixture:
    """2-D modes on a square grid about 0; the defaults are PacGAN's (Lin et al. 2018, section 4.1)."""
    side = math.isqrt(_whole("modes", modes))
    if side**2 != modes:
        raise ValueError(f"modes must be a square number, got {modes:g}")
    half = _positive("spacing", spacing) * (side - 1) / 2
    centres = list(product(np.linspace(-half, half, side), repeat=2))
    return Mixture(np.array(centres, np.float64), _positive("std", std))


def mixture(*centres: float | tuple[float, ...], std: float = 1) -> Mixture:
    """Equally likely normal modes about ``centres``: numbers, or points with as many coordinates each."""
    points = [centre if isinstance(centre, tuple) else (centre,) for centre in centres]
    widths = sorted(set(map(len, points)))
    if not widths:
        raise ValueError("it has no centres")
    if len(widths) > 1:
        raise ValueError(f"its centres must all have as many coordinates, got {' and '.join(map(str, widths))}")
    _whole("dimensions", widths[0])
    return Mixture(np.array(points, np.float64), _positive("std", std))


_MAKERS: dict[str, Callable[..., Distribution]] = {
    "gaussian": gaussian,
    "uniform": uniform,
    "ring": ring,
    "grid": grid,
    "mixture": mixture,
}


def signatures() -> dict[str, str]:
    """How each distribution is written, defaults included, by name."""
    return {name: f"{name}({', '.join(map(_written, _parameters(name)))})" for name in _MAKERS}


def is_points(source: str) -> bool:
    """Whether ``source`` begins with the name of a distribution, alone or with parentheses."""
    match = re.match(r"\s*(\w+)\s*(\(|$)", source)
    return match is not None and match[1] in _MAKERS


def open_points(config: DataConfig) -> Store:
    """Points of the distribution that ``config.source`` describes: 100,000 fixed ones, and ``draw`` for fresh ones.

    The test split has other fixed points of the same distribution.

    Raises:
        DataError: the call cannot be read, or its numbers are impossible.
    """
    unused = [key for key in ("size", "channels", "columns") if getattr(config, key) is not None]
    if unused:
        raise DataError(f"the points {config.source!r} have no {unused[0]}", remedy=f"leave out data.{unused[0]}")
    distribution = parse(config.source)
    chance = np.random.default_rng(stream(0, "points", config.split))
    with np.errstate(over="ignore", invalid="ignore"):
        values = distribution.draw(chance, REFERENCE)
    if not np.isfinite(values).all():
        raise DataError(f"{config.source} draws numbers too large for float32")
    notes = [("drawn", "fresh at each position of a run; the points counted here are a fixed sample")]
    if isinstance(distribution, Mixture):
        notes += [("modes", f"{len(distribution.centres):,}, std {distribution.sigma:g} each")]
    name = config.source.strip()
    return make_store(name, values, notes=notes, draw=distribution.draw, distribution=distribution)


def parse(source: str) -> Distribution:
    """The distribution that a call such as ``ring(8, std=0.02)`` describes.

    Raises:
        DataError: it cannot be read, or its numbers are impossible. The error shows how it is written.
    """
    name = re.split(r"\W", source.strip(), maxsplit=1)[0]
    try:
        positional, named = _read_call(source.strip())
        if name != "mixture" and any(isinstance(value, tuple) for value in positional):
            raise ValueError("only a mixture takes points, as its centres")
        try:
            bound = signature(_MAKERS[name]).bind(*positional, **named)
        except TypeError as error:
            raise ValueError(str(error)) from None
        return _MAKERS[name](*bound.args, **bound.kwargs)
    except ValueError as error:
        raise DataError(f"cannot use the points {source!r}: {error}", expected=signatures()[name]) from None


def _read_call(source: str) -> tuple[list[float | tuple[float, ...]], dict[str, float]]:
    """The positional and the named arguments of a call, which is read as Python's syntax and never run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser guesses at what was meant
            call = ast.parse(source, mode="eval").body
    except (SyntaxError, MemoryError, RecursionError) as error:
        why = error.msg if isinstance(error, SyntaxError) else "too many parentheses"
        raise ValueError(f"it is no name with numbers in parentheses ({why})") from None
    if isinstance(call, ast.Name):
        return [], {}
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("it is no name with numbers in parentheses")
    positional = [
        tuple(map(_number, node.elts)) if isinstance(node, ast.Tuple) else _number(node) for node in call.args
    ]
    named: dict[str, float] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in named:
            raise ValueError(f"{keyword.arg} is given twice" if keyword.arg else "** is no name")
        named[keyword.arg] = _number(keyword.value)
    return positional, named


def _number(node: ast.expr) -> float:
    try:
        value = ast.literal_eval(node)
        number = float(value) if type(value) in (int, float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{ast.unparse(node)!r} is no number")
    return number


def _parameters(name: str) -> list[Parameter]:
    return list(signature(_MAKERS[name]).parameters.values())


def _written(parameter: Parameter) -> str:
    if parameter.kind is Parameter.VAR_POSITIONAL:  # the centres of a mixture
        return "0, 3, ... or (0, 0), (3, 3), ..."
    return f"{parameter.name}={parameter.default:g}"


def _whole(name: str, value: float) -> int:
    if value != int(value) or not 1 <= value <= MOST[name]:
        raise ValueError(f"{name} must be a whole number from 1 to {MOST[name]:,}, got {value:g}")
    return int(value)


def _positive(name: str, value: float) -> float:
    if value <= 0:
        raise ValueError(f"{name} must be above 0, got {value:g}")
    return float(value)
