"""Points by name, drawn fresh from a known distribution: ``gaussian(4, 1.25)``, ``ring(8)``, ``grid(modes=25)``.

A source is written as a call: a name, then numbers in the order of the signature, then key=number; what is left out
has its default, and empty parentheses may be left out too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from inspect import Parameter, signature
from itertools import product

import numpy as np

from saddle.base.chance import stream
from saddle.config.schema import DataConfig
from saddle.data.named.distributions import Distribution, Mixture, Uniform
from saddle.data.store import Store, make_store
from saddle.errors import DataError

# The fixed sample that stands for the distribution in pictures and scaling. Its size is also what counts as an epoch:
# that of PacGAN's 2-D data sets (Lin et al. 2018, appendix A).
REFERENCE = 100_000
# More are a slip of the pen, and the fixed sample would not fit in memory.
MOST = {"dimensions": 1000, "modes": 10_000}

_CALL = re.compile(r"(\w+)\s*(?:\((.*)\))?", re.DOTALL)
_ARGUMENT = re.compile(r"(?:([a-z]+)\s*=)?([^=]+)")


def gaussian(mean: float = 0, std: float = 1, dimensions: int = 1) -> Mixture:
    """N(mean, std²), independently along each of ``dimensions`` axes."""
    centre = np.full((1, _whole("dimensions", dimensions)), mean, np.float64)
    return Mixture(centre, _positive("std", std))


def uniform(low: float = -1, high: float = 1, dimensions: int = 1) -> Uniform:
    """Uniform on [low, high), independently along each of ``dimensions`` axes."""
    if low >= high:
        raise ValueError(f"low must lie below high, got {low:g} and {high:g}")
    return Uniform(low, high, _whole("dimensions", dimensions))


def ring(modes: int = 8, radius: float = 1, std: float = 0.01) -> Mixture:
    """2-D modes evenly spaced on a circle; the defaults are PacGAN's (Lin et al. 2018, section 4.1)."""
    angles = 2 * np.pi * np.arange(_whole("modes", modes)) / modes
    centres = _positive("radius", radius) * np.stack([np.cos(angles), np.sin(angles)], 1)
    return Mixture(centres, _positive("std", std))


def grid(modes: int = 25, spacing: float = 2, std: float = 0.05) -> Mixture:
    """2-D modes on a square grid round 0; the defaults are PacGAN's (Lin et al. 2018, section 4.1)."""
    side = math.isqrt(_whole("modes", modes))
    if side**2 != modes:
        raise ValueError(f"modes must be a square number, got {modes:g}")
    half = _positive("spacing", spacing) * (side - 1) / 2
    centres = list(product(np.linspace(-half, half, side), repeat=2))
    return Mixture(np.array(centres, np.float64), _positive("std", std))


def mixture(*centres: float, std: float = 1, dimensions: int = 1) -> Mixture:
    """Equally likely normal modes; ``dimensions`` numbers make one centre."""
    width = _whole("dimensions", dimensions)
    if not centres or len(centres) % width:
        raise ValueError(f"centres must be given as {width} number{'s' * (width > 1)} each, got {len(centres)} in all")
    return Mixture(np.array(centres, np.float64).reshape(-1, width), _positive("std", std))


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
        DataError: the call cannot be read, or its numbers make no sense.
    """
    unused = [key for key in ("size", "channels", "columns") if getattr(config, key) is not None]
    if unused:
        raise DataError(f"the points {config.source!r} have no {unused[0]}", remedy=f"leave data.{unused[0]} out")
    distribution = parse(config.source)
    chance = np.random.default_rng(stream(0, "points", config.split))
    with np.errstate(over="ignore"):
        values = distribution.draw(chance, REFERENCE)
    if not np.isfinite(values).all():
        raise DataError(f"{config.source} draws numbers too large for float32")
    notes = [("drawn", "fresh at each position of a run; those counted here are a fixed sample")]
    if isinstance(distribution, Mixture):
        notes += [("modes", f"{len(distribution.centres):,}, std {distribution.sigma:g} each")]
    name = config.source.strip()
    return make_store(name, values, notes=notes, draw=distribution.draw, distribution=distribution)


def parse(source: str) -> Distribution:
    """The distribution that a call such as ``ring(8, std=0.02)`` describes.

    Raises:
        DataError: it cannot be read, or its numbers make no sense; the error names the signature.
    """
    name = re.split(r"\W", source.strip(), maxsplit=1)[0]
    try:
        call = _CALL.fullmatch(source.strip())
        if call is None:
            raise ValueError("it is no name with numbers in parentheses")
        positional: list[float] = []
        named: dict[str, float] = {}
        inside = (call[2] or "").strip()
        for text in inside.split(",") if inside else ():
            _read_argument(text.strip(), positional, named)
        try:
            bound = signature(_MAKERS[name]).bind(*positional, **named)
        except TypeError as error:
            raise ValueError(str(error)) from None
        return _MAKERS[name](*bound.args, **bound.kwargs)
    except ValueError as error:
        raise DataError(f"cannot use the points {source!r}: {error}", expected=signatures()[name]) from None


def _read_argument(text: str, positional: list[float], named: dict[str, float]) -> None:
    match = _ARGUMENT.fullmatch(text)
    try:
        value = float(match[2]) if match else math.nan
    except ValueError:
        value = math.nan
    if match is None or not math.isfinite(value):
        raise ValueError(f"{text!r} is no number and no key=number")
    if match[1] is None:
        if named:
            raise ValueError(f"{text!r} follows a key=number")
        positional.append(value)
    elif match[1] in named:
        raise ValueError(f"{match[1]} is given twice")
    else:
        named[match[1]] = value


def _parameters(name: str) -> list[Parameter]:
    return list(signature(_MAKERS[name]).parameters.values())


def _written(parameter: Parameter) -> str:
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return f"{parameter.name}..."
    return f"{parameter.name}={parameter.default:g}"


def _whole(name: str, value: float) -> int:
    if value != int(value) or not 1 <= value <= MOST[name]:
        raise ValueError(f"{name} must be a whole number from 1 to {MOST[name]:,}, got {value:g}")
    return int(value)


def _positive(name: str, value: float) -> float:
    if value <= 0:
        raise ValueError(f"{name} must be above 0, got {value:g}")
    return float(value)
