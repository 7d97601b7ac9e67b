"""Pictures of points against a known density, and the curves that only points have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import from_object, open_data
from saddle.data.named.points import parse
from saddle.show.plots import error_plot, moment_plot, output_plot
from saddle.show.points import picture_points
from saddle.show.preview import draw_preview

BLUE, ORANGE, GREEN, GREY = (0, 114, 178), (213, 94, 0), (0, 158, 115), (119, 119, 119)


def pixels(picture: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Where ``colour`` is met."""
    return np.abs(np.asarray(picture).astype(int) - colour).sum(axis=2) < 12


def right_half(picture: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return pixels(picture, colour)[:, picture.width * 3 // 5 :]


def log(count: int, **more: float) -> list[dict[str, Any]]:
    values = {"loss_real": 0.5, "loss_fake": 1.0, "generator_loss": 2.0, "sample_mean": 4.0, "sample_std": 1.0, **more}
    return [{"images": 100 * i, "epoch": i / 10, **values} for i in range(1, count + 1)]


def height_of(picture: Image.Image, colour: tuple[int, int, int]) -> float:
    """The mean row, from the top, of a long horizontal line of ``colour``."""
    return float(np.flatnonzero(pixels(picture, colour).sum(axis=1) > 300).mean())


def test_quantiles_of_the_same_distribution_lie_on_the_line_and_others_do_not():
    truth = parse("gaussian(4, 1.25)")
    chance = np.random.default_rng(0)

    def distance(points: NDArray[np.float32]) -> float:
        """Of the dots from the diagonal of their axes, in pixels."""
        rows, columns = np.nonzero(right_half(picture_points(points, truth=truth.coordinate), ORANGE))
        return float(np.abs(np.polyval(np.polyfit(columns, rows, 1), columns) - rows).mean())

    uniform = parse("uniform(1.8, 6.2)").draw(chance, 5000)  # the same mean and standard deviation
    assert distance(truth.draw(chance, 5000)) < 4
    assert distance(uniform) > 10


def test_all_coordinates_of_a_vector_of_draws_are_values_on_the_line():
    source = parse("gaussian(4, 1.25, dimensions=100)")
    points = source.draw(np.random.default_rng(0), 50)
    vectors = picture_points(points, points, truth=source.coordinate)
    line = picture_points(points.reshape(-1, 1), truth=source.coordinate)
    assert np.array_equal(np.asarray(vectors), np.asarray(line))


def test_real_points_alone_are_not_called_generated():
    for source in ("gaussian(4, 1.25)", "ring(8)", "mixture((0,0,0), (1,1,1))"):
        picture = draw_preview(open_data(DataConfig(source=source)))
        assert not pixels(picture, ORANGE).any()
        assert np.asarray(picture).min() < 200
    own = draw_preview(from_object(np.random.default_rng(0).normal(size=(500, 1)), config=DataConfig(source="own")))
    assert not pixels(own, ORANGE).any()


def test_quantiles_against_real_points_where_no_density_is_known():
    chance = np.random.default_rng(0)
    real = chance.normal(size=(5000, 1))
    assert right_half(picture_points(real[:2000], real), ORANGE).any()
    assert picture_points(real[:1], real).size == picture_points(real, real).size  # one sample, too


def test_three_errors_in_three_colours_at_their_heights():
    picture = error_plot(log(50))
    assert height_of(picture, ORANGE) < height_of(picture, GREEN) < height_of(picture, BLUE)


def test_moments_lie_on_the_true_ones_when_they_are_right():
    picture = moment_plot(log(50), 4.0, 1.0)
    bare, wrong = moment_plot(log(50)), moment_plot(log(50), 3.0, 2.0)
    assert height_of(picture, BLUE) < height_of(picture, ORANGE)
    grey = [int(pixels(plot, GREY).sum()) for plot in (bare, picture, wrong)]
    assert grey[2] > grey[1] >= grey[0]  # a dashed line is seen beside the curve, and hidden below it


def test_scores_of_a_critic_are_not_squeezed_between_zero_and_one():
    entries = log(50, d_real=-30.0, d_fake=-40.0)
    picture = output_plot(entries, judgement=False)
    assert height_of(picture, BLUE) < height_of(picture, ORANGE)
    off_scale = output_plot(log(50, d_real=5.0, d_fake=7.0))
    assert pixels(off_scale, BLUE).sum() < pixels(picture, BLUE).sum() / 2  # only the legend is left


@pytest.mark.parametrize("entries", [[], log(1), log(3, sample_std=math.nan), [{"images": 5}]])
def test_short_and_broken_logs_are_drawn(entries: list[dict[str, Any]]):
    assert error_plot(entries).size == moment_plot(entries, 1, 2).size
