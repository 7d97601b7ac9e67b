"""Curves from a log, and pictures of points."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from saddle.errors import DataError
from saddle.runs.log import series
from saddle.show.figure import LINES
from saddle.show.plots import augment_plot, loss_plot, output_plot, overlay_plot, score_plot, smooth
from saddle.show.points import picture_points

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)  # discriminator or real, generator or generated


def log(count: int, **more: float) -> list[dict[str, Any]]:
    values = {"discriminator_loss": 1.0, "generator_loss": 2.0, "d_real": 0.8, "d_fake": 0.3, **more}
    return [{"images": 100 * i, "epoch": i / 10, **values} for i in range(1, count + 1)]


def rows_of(picture: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.intp]:
    """Rows, from the top, where ``colour`` is met; the legend's row left out."""
    hit = (np.abs(np.asarray(picture).astype(int) - colour).sum(axis=2) < 12).sum(axis=1)
    return np.flatnonzero(hit > 200)


def test_the_larger_loss_is_drawn_higher_each_in_its_colour() -> None:
    picture = loss_plot(log(50))
    assert len(rows_of(picture, BLUE)) and len(rows_of(picture, ORANGE))
    assert rows_of(picture, ORANGE).max() < rows_of(picture, BLUE).min()


def test_edits_are_dotted_lines_from_top_to_bottom() -> None:
    plain, marked = (np.asarray(loss_plot(log(50), marks)).astype(int) for marks in ((), [2500]))
    assert plain.shape == marked.shape
    columns = (plain != marked).any(axis=2).sum(axis=0)  # changed pixels, from left to right
    middle = columns[len(columns) // 4 : len(columns) * 3 // 4]
    assert middle.max() > 100 and np.ptp(np.flatnonzero(middle > 100)) < 6


def test_outputs_are_drawn_on_a_scale_from_zero_to_one() -> None:
    picture = output_plot(log(50))
    real, generated = rows_of(picture, BLUE).mean(), rows_of(picture, ORANGE).mean()
    close = rows_of(output_plot(log(50, d_fake=0.95)), BLUE).mean()
    assert real < generated
    assert close == pytest.approx(real, abs=2)  # the same value stands at the same height in every plot


def test_r_t_stands_above_the_strength_where_it_is_larger_and_the_target_is_dashed() -> None:
    picture = augment_plot(log(50, augment_p=0.2, r_t=0.7))
    assert rows_of(picture, BLUE).max() < rows_of(picture, ORANGE).min()
    aimed = np.asarray(augment_plot(log(50, augment_p=0.2, r_t=0.7), target=0.5)).astype(int)
    assert (aimed != np.asarray(picture)).any()


@pytest.mark.parametrize("entries", [[], log(1), log(3, generator_loss=math.nan), [{"images": 5}]])
def test_short_and_broken_logs_are_drawn(entries: list[dict[str, Any]]) -> None:
    assert loss_plot(entries).size == output_plot(entries).size


def test_values_that_are_missing_or_not_finite_leave_no_mark() -> None:
    entries = [{"images": 1, "x": 2.0}, {"images": 2, "x": math.inf}, {"images": 3}, {"images": 4, "x": None}]
    images, values = series(entries, "x")
    assert (images.tolist(), values.tolist()) == ([1.0], [2.0])


def test_smoothing_is_a_moving_mean_that_keeps_short_and_constant_series() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000)
    smoothed = smooth(values)
    assert smoothed[500] == pytest.approx(values[490:511].mean())
    assert smoothed[0] == pytest.approx(values[:11].mean())
    np.testing.assert_allclose(smooth(values[:50]), values[:50])
    np.testing.assert_allclose(smooth(np.full(777, 3.0)), 3.0)


def test_a_long_log_is_drawn_fast() -> None:
    entries = log(2000)
    loss_plot(entries[:1])  # the first plot loads matplotlib
    start = time.perf_counter()
    loss_plot(entries)
    output_plot(entries)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("dimension", [1, 2, 3, 100])
def test_real_and_generated_points_are_both_seen(dimension: int) -> None:
    rng = np.random.default_rng(0)
    points, reference = rng.normal(5, 1, (300, dimension)), rng.normal(0, 1, (9000, dimension))
    with_reference, alone = np.asarray(picture_points(points, reference)), np.asarray(picture_points(points))

    def blue(picture: NDArray[np.uint8]) -> int:
        return int((picture[..., 2].astype(int) - picture[..., 0] > 40).sum())

    assert with_reference.shape == alone.shape  # frames of one animation
    assert blue(with_reference) > 500
    assert blue(alone) == 0


def test_a_collapsed_generator_and_a_stray_point_are_drawn() -> None:
    picture_points(np.ones((10, 1)), title="$unbalanced")
    points = np.zeros((1000, 2))
    points[0] = 1e9
    picture = picture_points(points, np.random.default_rng(0).normal(size=(1000, 2)))
    spread = np.asarray(picture).astype(int)
    assert (spread[..., 2] - spread[..., 0] > 40).sum() > 500  # the cloud is not squeezed into one dot


@pytest.mark.parametrize(
    ("points", "reference"),
    [
        (np.zeros(5), None),
        (np.zeros((0, 2)), None),
        (np.array([[1.0], [math.nan]]), None),
        (np.zeros((5, 2)), np.zeros((5, 3))),
        (np.zeros((5, 2)), np.full((5, 2), math.inf)),
    ],
)
def test_what_cannot_be_drawn_as_points_is_refused(
    points: NDArray[np.float64], reference: NDArray[np.float64] | None
) -> None:
    with pytest.raises(DataError, match="finite"):
        picture_points(points, reference)


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "supervised"])
def test_all_that_joins_the_loss_of_d_is_drawn(name: str) -> None:
    assert loss_plot(log(5, **{name: 0.1})).height > loss_plot(log(5)).height


def marks(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.abs(np.asarray(picture).astype(int) - colour).sum(axis=2) < 12).sum())


def scores(*values: float, **more: float) -> list[dict[str, Any]]:
    """The lower the better."""
    return [
        {"images": 1000 * i, "epoch": float(i), "fd": value, "best": value == min(values[:i]), **more}
        for i, value in enumerate(values, 1)
    ]


def test_the_best_score_has_a_dot_and_other_figures_a_panel_each() -> None:
    falling, rising = score_plot(scores(5.0, 4.0, 3.0, 2.0), "fd"), score_plot(scores(2.0, 3.0, 4.0, 5.0), "fd")
    assert marks(falling, ORANGE) > 100
    columns = [
        np.abs(np.asarray(plot).astype(int)[100:] - ORANGE).sum(axis=2).min(axis=0) for plot in (falling, rising)
    ]
    right, left = (np.flatnonzero(column < 12).mean() for column in columns)  # below the legend, only the dot is orange
    assert left < right
    assert marks(score_plot([{"images": 1, "fd": 2.0, "best": False}], "fd"), ORANGE) == 0
    one, two = score_plot(scores(2.0), "fd"), score_plot(scores(2.0, recall=0.5), "fd")
    assert two.height > one.height


def test_what_real_samples_score_is_a_dashed_line_on_any_axis() -> None:
    grey = (119, 119, 119)
    for entries in (scores(3.0, 2.0), scores(300.0, 0.5)):  # on a linear and on a logarithmic axis
        bare = marks(score_plot(entries, "fd"), grey)
        assert marks(score_plot(entries, "fd", {"fd": (1.0, "fd-pixels-5k")}), grey) > bare + 300
        assert marks(score_plot(entries, "fd", {"kd": (1.0, "kd-pixels-5k")}), grey) == bare
    score_plot(scores(300.0, 0.5), "fd", {"fd": (-0.1, "kd-pixels-5k")})  # not on a logarithmic axis, and no warning


def test_a_single_value_is_a_large_dot_with_its_number() -> None:
    one, two = (marks(loss_plot(log(count)).crop((0, 80, 1040, 580)), BLUE) for count in (1, 2))
    assert one > 200  # pixels
    legends = [np.asarray(loss_plot([{"images": 9, "discriminator_loss": value}]))[:50] for value in (1.0, 2.0)]
    assert not np.array_equal(*legends)
    assert two > 0


@pytest.mark.parametrize("entries", [[], scores(math.nan), scores(-1.0, 5.0), scores(1000.0, 0.1, math.inf)])
def test_any_scores_are_drawn(entries: list[dict[str, Any]]) -> None:
    assert score_plot(entries, "fd").width == overlay_plot({"run": entries}, "fd", "fd", score=True).width


def test_each_run_has_its_own_line_and_keeps_it_where_others_have_none() -> None:
    first, second = {"a": log(50), "b": log(50, d_real=0.2)}, {"a": [], "b": log(50)}
    both = overlay_plot(first, "d_real", "D(x)")
    assert rows_of(both, BLUE).mean() < rows_of(both, ORANGE).mean()
    alone = overlay_plot(second, "d_real", "D(x)")
    assert marks(alone, BLUE) == 0 and marks(alone, ORANGE) > 0


def test_eight_lines_differ() -> None:
    assert len(set(LINES)) == 8


def test_runs_may_have_any_name_and_the_legend_takes_the_room_it_needs() -> None:
    few = overlay_plot({"a": log(9), "b": log(9)}, "d_real", "D(x)")
    odd = overlay_plot({name: log(9) for name in ("_a", "$\\b$", "%", "long " * 30)}, "d_real", "D(x)")
    assert odd.width == few.width and odd.height > few.height
    hidden = overlay_plot({"_a": log(9), "b": log(9)}, "d_real", "D(x)")
    assert marks(hidden.crop((0, 0, hidden.width, 70)), BLUE) == marks(few.crop((0, 0, few.width, 70)), BLUE) > 0
