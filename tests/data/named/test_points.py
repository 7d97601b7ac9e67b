"""Points by name: how they are written, what they draw, and that their densities are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from saddle.config.schema import DataConfig
from saddle.data import inspect_data, open_data
from saddle.data.named.distributions import Mixture, Uniform
from saddle.data.named.points import parse
from saddle.data.scaling import Scaling
from saddle.errors import DataError
from saddle.game.feed import Feed

LINE = np.linspace(-6, 6, 41)
SHARES = np.array([1e-4, 0.01, 0.3, 0.5, 0.9, 0.9999])


def fresh(source: str, seed: int = 0) -> Feed:
    store = open_data(DataConfig(source=source))
    return Feed(store, Scaling.fit(store, "linear"), seed=seed, device=torch.device("cpu"))


@pytest.mark.parametrize(
    ("source", "dimensions"),
    [
        ("gaussian", 1),
        ("gaussian(4, 1.25)", 1),
        (" gaussian ( 4 , std = 1.25 , dimensions=100 ) ", 100),
        ("uniform(-1, 1)", 1),
        ("uniform(high=3, dimensions=2)", 2),
        ("ring", 2),
        ("ring()", 2),
        ("grid(9, spacing=1e0)", 2),
        ("mixture(-2, 2, std=0.5)", 1),
        ("mixture((0,0), (1,1), (2,0), std=0.5)", 2),
        ("mixture((1, -2, 3e0))", 3),
    ],
)
def test_points_are_written_as_a_call(source: str, dimensions: int):
    store = open_data(DataConfig(source=source))
    assert store.kind == "points"
    assert store.shape == (dimensions,)
    assert store.values.dtype == np.float32
    assert len(store) == 100_000
    assert store.distribution is not None and store.distribution.dimensions == dimensions


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("gaussian(4", "no name with numbers"),
        ("gaussian(4) and more", "no name with numbers"),
        ("gaussian(four)", "'four' is no number"),
        ("gaussian(1,,2)", "no name with numbers"),
        ("gaussian(" + "(" * 500, "no name with numbers"),
        ("gaussian(1 + 1)", "'1 + 1' is no number"),
        ("gaussian(True)", "'True' is no number"),
        ("gaussian(1" + 400 * "0" + ")", "is no number"),
        ("gaussian(*[1])", "'*[1]' is no number"),
        ("gaussian(**{})", "** is no name"),
        ("gaussian((0, 0))", "only a mixture takes points"),
        ("gaussian(std=(1, 2))", "'(1, 2)' is no number"),
        ("gaussian(nan)", "'nan' is no number"),
        ("gaussian(inf)", "'inf' is no number"),
        ("gaussian(1, 2, 3, 4)", "too many"),
        ("gaussian(mean=1, mean=2)", "mean is given twice"),
        ("gaussian(mean=1, 2)", "follows keyword"),
        ("gaussian(1, mean=2)", "multiple values"),
        ("gaussian(sigma=2)", "sigma"),
        ("gaussian(0, 0)", "std must be above 0"),
        ("gaussian(dimensions=1.5)", "whole number"),
        ("gaussian(dimensions=1e9)", "from 1 to 1,000"),
        ("uniform(1, 1)", "low must be below high"),
        ("ring(0)", "whole number"),
        ("ring(8, radius=-1)", "radius must be above 0"),
        ("grid(24)", "square number"),
        ("mixture()", "centres"),
        ("mixture(())", "whole number from 1"),
        ("mixture((0, 0), 3)", "as many coordinates, got 1 and 2"),
        ("mixture((0, 0), (3, 3)", "never closed"),
        ("mixture((0, 0) (3, 3))", "is no number"),
        ("mixture((0, x), (3, 3))", "'x' is no number"),
        ("mixture((0, 0), dimensions=2)", "dimensions"),
    ],
)
def test_errors_say_what_is_wrong_and_how_it_is_written(source: str, words: str):
    with pytest.raises(DataError) as caught:
        open_data(DataConfig(source=source))
    assert words in caught.value.what
    assert str(caught.value.expected).startswith(source.partition("(")[0] + "(")
    assert "=" in str(caught.value.expected)


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(DataError) as caught:
        open_data(DataConfig(source="gausian(4, 1.25)"))
    assert "did you mean 'gaussian'?" in str(caught.value)
    assert "gaussian(mean=0, std=1, dimensions=1)" in str(caught.value)


@pytest.mark.parametrize("setting", [{"size": 8}, {"channels": 1}, {"columns": [0]}])
def test_settings_that_points_do_not_have(setting: dict[str, object]):
    with pytest.raises(DataError, match=f"have no {next(iter(setting))}"):
        open_data(DataConfig.model_validate({"source": "ring", **setting}))


def test_numbers_beyond_float32():
    with pytest.raises(DataError, match="float32"):
        open_data(DataConfig(source="gaussian(1e39)"))


def test_every_batch_is_fresh_and_depends_on_seed_and_position_alone():
    feed = fresh("gaussian(4, 1.25)")
    first, second = feed.batch(0, 64).samples, feed.batch(64, 64).samples
    assert not np.isin(first, second).any()
    assert torch.equal(fresh("gaussian(4, 1.25)").batch(64, 64).samples, second)
    assert torch.equal(feed.batch(0, 64).samples, first)
    assert not torch.equal(fresh("gaussian(4, 1.25)", seed=1).batch(0, 64).samples, first)
    # The fixed sample is not what training sees, and an epoch's end is no place where anything repeats.
    assert not np.isin(first, open_data(DataConfig(source="gaussian(4, 1.25)")).values).all()
    assert not np.isin(feed.batch(100_000, 64).samples, first).any()


def test_fresh_points_are_brought_to_the_generators_range():
    store = open_data(DataConfig(source="uniform(10, 20)"))
    feed = Feed(store, Scaling.fit(store, "tanh"), seed=0, device=torch.device("cpu"))
    samples = feed.batch(0, 10_000).samples
    assert samples.min().item() == pytest.approx(-1, abs=0.01)
    assert samples.max().item() == pytest.approx(1, abs=0.01)


def test_the_same_points_have_the_same_fingerprint_and_the_test_split_others():
    def fingerprint(source: str, **settings: str) -> str:
        return open_data(DataConfig.model_validate({"source": source, **settings})).fingerprint

    assert fingerprint("ring(8)") == fingerprint("ring(radius=1)")
    assert len({fingerprint("ring(8)"), fingerprint("ring(7)"), fingerprint("ring(8)", split="test")}) == 3


@pytest.mark.parametrize(
    ("source", "oracle"),
    [
        ("gaussian(1, 1.25)", stats.norm(1, 1.25)),
        ("gaussian(1, 1.25, dimensions=100)", stats.norm(1, 1.25)),
        ("uniform(-2, 3)", stats.uniform(-2, 5)),
        ("uniform(-2, 3, dimensions=7)", stats.uniform(-2, 5)),
    ],
)
def test_density_quantiles_and_draws_against_scipy(source: str, oracle: stats.rv_continuous):
    distribution = parse(source)
    truth = distribution.coordinate
    assert truth is not None
    np.testing.assert_allclose(truth.density(LINE), oracle.pdf(LINE), atol=1e-12)
    np.testing.assert_allclose(truth.cumulative(LINE), oracle.cdf(LINE), atol=1e-12)
    np.testing.assert_allclose(truth.quantile(SHARES), oracle.ppf(SHARES), atol=1e-9)
    assert (truth.mean, truth.std) == pytest.approx((oracle.mean(), oracle.std()))
    drawn = distribution.draw(np.random.default_rng(0), 20_000)[:, -1]
    assert stats.kstest(drawn, oracle.cdf).pvalue > 0.01


def test_a_mixture_on_the_line_against_scipy():
    mixture = parse("mixture(-2, 0, 3, std=0.5)")
    assert isinstance(mixture, Mixture)
    modes = [stats.norm(centre, 0.5) for centre in (-2, 0, 3)]
    np.testing.assert_allclose(mixture.density(LINE), np.mean([mode.pdf(LINE) for mode in modes], 0), atol=1e-12)
    np.testing.assert_allclose(mixture.cumulative(mixture.quantile(SHARES)), SHARES, atol=1e-12)
    drawn = mixture.draw(np.random.default_rng(0), 20_000)[:, 0]
    assert stats.kstest(drawn, mixture.cumulative).pvalue > 0.01
    assert (mixture.mean, mixture.std) == pytest.approx((drawn.mean(), drawn.std()), abs=0.05)


def test_a_mixture_has_its_centres_where_they_were_written():
    mixture = parse("mixture((0, 0), (3, -3), std=0.5)")
    assert isinstance(mixture, Mixture)
    assert mixture.centres.tolist() == [[0, 0], [3, -3]]
    assert mixture.sigma == 0.5
    drawn = mixture.draw(np.random.default_rng(0), 2000)
    near = np.linalg.norm(drawn[:, None] - mixture.centres, axis=2) < 4 * 0.5
    assert near.any(1).mean() > 0.99
    assert near.mean(0) == pytest.approx([0.5, 0.5], abs=0.05)


@pytest.mark.parametrize(("source", "modes", "sigma"), [("ring(8)", 8, 0.01), ("grid(25)", 25, 0.05)])
def test_the_benches_of_pacgan(source: str, modes: int, sigma: float):
    bench = parse(source)
    assert isinstance(bench, Mixture)
    assert bench.centres.shape == (modes, 2)
    assert bench.sigma == sigma
    assert bench.coordinate is None
    if modes == 8:
        np.testing.assert_allclose(np.linalg.norm(bench.centres, axis=1), 1)
    else:
        assert {tuple(centre) for centre in bench.centres} == {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}
    drawn = bench.draw(np.random.default_rng(0), 50_000)
    distances = np.linalg.norm(drawn[:, None] - bench.centres, axis=2)
    shares = np.bincount(distances.argmin(1), minlength=modes) / len(drawn)
    np.testing.assert_allclose(shares, 1 / modes, rtol=0.15)
    assert (distances.min(1) < 3 * sigma).mean() == pytest.approx(1 - np.exp(-4.5), abs=0.002)  # Rayleigh


def test_coordinates_that_differ_have_no_common_distribution():
    assert Mixture(np.array([[0.0, 1.0]]), 1.0).coordinate is None
    assert Uniform(0, 1, dimensions=3).coordinate is not None


def test_inspection_says_that_points_are_drawn():
    facts = dict(inspect_data(DataConfig(source="grid(25)")).facts)
    assert facts["points"] == "100,000"
    assert facts["modes"].startswith("25")
    assert "fresh" in facts["drawn"]
