"""The one style of all plots. Matplotlib is used without pyplot, so that no state is shared between threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito (2008): told apart with any kind of colour vision.
DISCRIMINATOR = REAL = "#0072B2"
GENERATOR = GENERATED = "#D55E00"
DISCRIMINATOR_GENERATED = "#009E73"  # what D does with generated samples, where that needs a colour of its own
GREY = "#777777"


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
    axes.xaxis.label.set_size(9)
    axes.yaxis.label.set_size(9)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)
    return axes


def add_legend(axes: Any) -> None:
    """One row above the axes, where it hides nothing; none where nothing is labelled."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles, names, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(names), frameon=False, fontsize=8,
            borderaxespad=0.2, handlelength=1.4, columnspacing=1.2, markerscale=2,
        )  # fmt: skip


def to_picture(figure: Figure) -> Image.Image:
    """Draw the figure as an RGB picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
