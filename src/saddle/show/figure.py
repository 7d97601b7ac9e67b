"""The one style of all plots. Matplotlib is used without pyplot, so that no state is shared between threads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito (2008): they can be told apart with any kind of colour vision.
DISCRIMINATOR = REAL = "#0072B2"
GENERATOR = GENERATED = "#D55E00"
DISCRIMINATOR_GENERATED = "#009E73"  # what D does with generated samples, where that needs a colour of its own
CLASSES = "#CC79A7", "#E69F00"  # of real samples and of generated ones
GREY = "#777777"
# The four of Okabe & Ito's colours that stay farthest apart in any kind of colour vision (simulated after Machado et
# al. 2009; no eight of them do), each as a solid and as a dashed line. More than eight lines cannot be told apart.
_FOUR = ("#0072B2", "#D55E00", "#000000", "#CC79A7")
LINES = tuple((colour, dashes) for dashes in ("-", (0, (2.5, 1))) for colour in _FOUR)
# For legends: the width of the axes and of the mark beside a name, in characters, and the height of a line, in inches.
_ROW, _MARK, _LINE = 80, 8, 0.17


def new_figure(width: float = 5.2, height: float = 2.9) -> Figure:
    """An empty white figure of so many inches, 200 pixels to the inch."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=200, layout="constrained", facecolor="white")


def add_axes(figure: Figure, *position: int) -> Any:
    """Axes without a frame, with light horizontal lines; ``position`` as for ``Figure.add_subplot``."""
    axes: Any = figure.add_subplot(*position)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=8, color=GREY)
    axes.yaxis.get_offset_text().set_size(8)
    axes.xaxis.label.set_size(9)
    axes.yaxis.label.set_size(9)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)
    return axes


def add_legend(axes: Any, lines: Mapping[str, Any] | None = None) -> None:
    """A legend above the axes, where it hides nothing; none where nothing is named. The figure grows with its rows.

    Args:
        axes: what ``add_axes`` gave.
        lines: what was drawn, by its name, which may be any text; without them, everything drawn with a label.
    """
    drawn = _labelled(axes) if lines is None else lines
    if not drawn:
        return
    names = ["\n".join(wrap(name, _ROW - _MARK)) for name in drawn]
    columns = max(1, _ROW // (max(map(len, names)) + _MARK))
    height = math.ceil(sum(1 + name.count("\n") for name in names) / columns)
    axes.figure.set_figheight(axes.figure.get_figheight() + _LINE * (height - 1))
    legend = axes.legend(
        drawn.values(), names, loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, frameon=False, fontsize=8,
        borderaxespad=0.2, columnspacing=1.2,
        # The dashes of a line must show; dots alone are too small.
        handlelength=1.4 if lines is None else 2.4, markerscale=2 if lines is None else 1,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _labelled(axes: Any) -> dict[str, Any]:
    handles, names = axes.get_legend_handles_labels()
    return dict(zip(names, handles, strict=True))


def to_picture(figure: Figure) -> Image.Image:
    """Draw the figure as an RGB picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def join_pictures(pictures: Sequence[Image.Image], columns: int = 2) -> Image.Image:
    """At least one picture, row by row on white, each row as high as its highest picture."""
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    width = max(sum(picture.width for picture in row) for row in rows)
    joined = Image.new("RGB", (width, sum(max(picture.height for picture in row) for row in rows)), "white")
    top = 0
    for row in rows:
        left = 0
        for picture in row:
            joined.paste(picture, (left, top))
            left += picture.width
        top += max(picture.height for picture in row)
    return joined
