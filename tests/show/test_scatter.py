from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from saddle.show.scatter import Dot, scatter_plot

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def marks(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(picture) == colour).all(-1).sum())


def test_runs_that_ended_differently_look_different() -> None:
    good = scatter_plot([Dot(0.1, 2.0, "finished"), Dot(1.0, 3.0, "finished")], "game.r1", "fd")
    assert marks(good, BLUE) > 0 and marks(good, ORANGE) == 0
    bad = scatter_plot([Dot(0.1, 2.0, "pruned"), Dot(1.0, None, "failed")], "game.r1", "fd")
    assert marks(bad, BLUE) == 0 and marks(bad, ORANGE) > 0


@pytest.mark.parametrize(
    "dots",
    [
        [],
        [Dot(1.0, None, "failed")],
        [Dot(1.0, 1.0, "finished")],
        [Dot(1e-5, 1e-3, "finished"), Dot(10.0, 1e5, "pruned")],
        [Dot(1.0, -1.0, "finished"), Dot(2.0, 500.0, "finished")],
    ],
)
def test_any_scores_are_drawn(dots: list[Dot]) -> None:
    for log in (False, True):
        assert scatter_plot(dots, "key", "fd", log=log).width == scatter_plot([], "key", "fd").width


def test_choices_may_have_any_name() -> None:
    names = ["$\\b$", "_a", "%", "x" * 300]
    dots = [Dot(place, 1.0, "finished") for place in range(4)]
    assert scatter_plot(dots, "$k", "$m", choices=names).width == scatter_plot([], "key", "fd").width
