"""Lines of errors of laws, with their intervals and the floor, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ...generative.training.sheets import INK, save_figure
from ...solvers.common import check_instance
from .distances import Floor, Measured

__all__ = ["Line", "draw_lines"]

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Okabe and Ito's palette, which colour-blind readers tell apart, but for its yellow."""
MARKERS = ("o", "s", "^", "D")


@dataclass(frozen=True)
class Line:
    """Errors along an axis.

    Attributes:
        name: at the end of the line.
        at: the places.
        errors: at the places.
        solid: whether the line is solid; otherwise it is dashed.
        best: the place with the smallest error, which gets a ring; None for no ring.
    """

    name: str
    at: Sequence[float]
    errors: Sequence[Measured]
    solid: bool = True
    best: float | None = None


def draw_lines(
    lines: Sequence[Line],
    floor: Floor | None,
    title: str,
    along: str,
    label: str,
    file: Path,
    *,
    logarithmic: bool = True,
    dashed: str = "",
) -> None:
    """Draw lines with their intervals, atomically.

    Args:
        lines: from bottom to top in any order.
        floor: of the distance; a grey band up to its 97.5 % quantile.
        title: above the picture.
        along: what the axis of the places is.
        label: the name of the distance.
        file: the PNG.
        logarithmic: whether the axis of the places is.
        dashed: what dashed lines are, for the title.

    Raises:
        TypeError: the file is no path.
        ValueError: there is nothing to draw.
    """
    check_instance("file", file, Path, "a pathlib.Path")
    if not lines:
        raise ValueError("All samplers failed, so that there is nothing to draw.")
    figure = Figure(figsize=(8.6, 5.2))
    axes = figure.add_axes((0.1, 0.11, 0.66, 0.78))
    axes.set_yscale("log")
    if logarithmic:
        axes.set_xscale("log")
    order = sorted(lines, key=lambda line: -line.errors[-1].value)
    for i, line in enumerate(order):
        colour = COLOURS[i % len(COLOURS)]
        values = [error.value for error in line.errors]
        low = [max(error.interval[0], 0.3 * error.value) for error in line.errors]
        axes.fill_between(line.at, low, [error.interval[1] for error in line.errors], color=colour, alpha=0.15, lw=0)
        style = "-" if line.solid else "--"
        axes.plot(line.at, values, style, marker=MARKERS[i // len(COLOURS) % 4], color=colour, lw=1.3, ms=4)
        if line.best is not None:
            place = list(line.at).index(line.best)
            axes.plot([line.best], [values[place]], "o", ms=10, mfc="none", mec=colour, mew=1.3)
    if floor is not None:
        lowest = min([floor.mean, *(error.value for line in lines for error in line.errors)])
        axes.set_ylim(bottom=0.75 * lowest)
        axes.axhspan(0.75 * lowest, floor.high, color="#BBBBBB", alpha=0.4, lw=0, zorder=0)
    places = sorted({place for line in lines for place in line.at})
    if logarithmic:
        axes.set_xticks(_apart(places))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", color="#999999", labelsize=8, labelcolor=INK)
    axes.grid(which="major", color="#E4E4E4", lw=0.6)
    axes.set_xlabel(along, fontsize=9, color=INK)
    axes.set_ylabel(f"{label} from the law", fontsize=9, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    marks = [f"dashed: {dashed}"] * bool(dashed) + ["grey: two sets of one law"] * (floor is not None)
    figure.text(0.1, 0.95, title, fontsize=11, fontweight="bold", color=INK)
    figure.text(0.1, 0.91, "; ".join(marks), fontsize=8, color=INK)
    _label(axes, order)
    save_figure(figure, file)


def _label(axes: Axes, order: Sequence[Line]) -> None:
    """Names at the ends of the lines, from the top to the bottom, moved apart where they would meet."""
    bottom, top = (math.log(limit) for limit in axes.get_ylim())
    gap, below = 0.04, 1.0
    heights = []
    for line in order:
        end = (math.log(max(line.errors[-1].value, 1e-300)) - bottom) / (top - bottom)
        below = min(end, below - gap)
        heights.append(below)
    lift = max(0.0, -heights[-1])  # the lowest names are lifted, and those above them as far as they have to be
    for i in reversed(range(len(heights))):
        heights[i] = max(heights[i], heights[i + 1] + gap) if i + 1 < len(heights) else heights[i] + lift
    for i, (line, height) in enumerate(zip(order, heights, strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        axes.annotate(
            line.name,
            xy=(line.at[-1], line.errors[-1].value),
            xytext=(1.05, height),
            textcoords="axes fraction",
            fontsize=8,
            color=colour,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5)},
            annotation_clip=False,
        )


def _apart(places: Sequence[float]) -> list[float]:
    """The places of which none is within 15 % of the one before."""
    kept: list[float] = []
    for place in places:
        if not kept or place > 1.15 * kept[-1]:
            kept.append(place)
    return kept
