"""Pictures of error against evaluations.

A solver is drawn on the grid that serves it best over all budgets (least mean of log error). Colour is its
family, the marker its order, a dashed line a corrector; lines are labelled at their ends. The pale line
behind is the best error at each budget over all solvers and grids. In the grey band errors are those of the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from ...generative.training.sheets import INK, save_figure
from ...solvers.common import check_instance
from ..bootstrap import interval
from ..entrants import Entrant
from ..ledger import Row
from .result import Result
from .standing import AT_THE_FLOOR, shown

__all__ = ["work_precision"]

# Okabe and Ito's palette, which colour-blind readers tell apart.
COLOURS = {
    "Runge-Kutta": "#D55E00",
    "hold x0": "#0072B2",
    "hold eps": "#CC79A7",
    "hold velocity": "#009E73",
    "hold v": "#56B4E9",
    "torchdiffeq": "#7F7F7F",
    "default": "#000000",
    "yours": "#B58900",
}
MARKERS = {1: "o", 2: "s", 3: "^", 4: "D", 5: "p"}


def work_precision(results: Sequence[Result], file: Path) -> None:
    """Draw one panel a problem into a PNG, atomically.

    Raises TypeError for what is no result, and ValueError for none, and for a result all of whose rows failed.
    """
    for i, result in enumerate(results):
        check_instance(f"results[{i}]", result, Result, "a result of `compare`")
        if not result.standings():
            raise ValueError(f"All rows of {result.problem.name!r} failed, so that there is nothing to draw.")
    if not results:
        raise ValueError("There are no results to draw; give at least one.")
    columns = min(2, len(results))
    lines = -(-len(results) // columns)
    width, height = 8.4 * columns, 5.4 * lines
    figure = Figure(figsize=(width, height))
    for index, result in enumerate(results):
        left, top = 8.4 * (index % columns) + 0.75, 5.4 * (index // columns) + 0.4
        _panel(figure.add_axes((left / width, 1 - (top + 4.4) / height, 5.4 / width, 4.4 / height)), result)
    save_figure(figure, file)


def _panel(axes: Axes, result: Result) -> None:
    standings = result.standings()
    budgets = [standing.budget for standing in standings]
    best = [standing.best[0].error for standing in standings]
    lines = _best_grids([row for row in result.rows if not row.failure])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot(budgets, best, color="#F0E442", lw=9, alpha=0.45, zorder=1)
    for line in lines:
        _draw(axes, line, result.entrants[line[0].solver])
    _frame(axes, budgets, lines, result.reference.floor)
    if budgets[-1] > 4 * budgets[0]:
        _guides(axes, budgets[-1])
    _label(axes, lines, result.entrants)
    axes.set_title(result.problem.name, loc="left", fontsize=12, fontweight="bold", color=INK)
    axes.set_title(f"{result.problem.description}; {result.key.samples} noises", loc="right", fontsize=8, color=INK)


def _best_grids(rows: Iterable[Row]) -> list[list[Row]]:
    """For each solver the rows of its best grid, by budget; the solvers by their last error, worst first."""
    grids: dict[str, dict[str, list[Row]]] = {}
    for row in sorted(rows, key=lambda row: row.budget):
        grids.setdefault(row.solver, {}).setdefault(row.grid, []).append(row)

    def merit(line: list[Row], most: int) -> tuple[bool, float]:
        return len(line) < most, float(np.mean([np.log(row.error) for row in line]))

    best = []
    for candidates in grids.values():
        most = max(len(line) for line in candidates.values())
        best.append(min(candidates.values(), key=lambda line: merit(line, most)))
    return sorted(best, key=lambda line: -line[-1].error)


def _draw(axes: Axes, line: Sequence[Row], entrant: Entrant) -> None:
    colour, corrector = COLOURS[entrant.family], entrant.corrector
    budgets = [row.budget for row in line]
    low, high = zip(*(interval(row.errors) for row in line), strict=True)
    axes.fill_between(budgets, low, high, color=colour, alpha=0.13, lw=0, zorder=2)
    axes.plot(
        budgets,
        [row.error for row in line],
        color=colour,
        lw=2.2 if entrant.family == "default" else 1.3,
        ls="--" if corrector else "-",
        marker=MARKERS.get(entrant.order, "*"),
        ms=5 if entrant.order else 8,
        mfc="white" if corrector else colour,
        mec="white" if not corrector else colour,
        mew=0.6 if not corrector else 1.1,
        zorder=3,
    )


def _frame(axes: Axes, budgets: Sequence[int], lines: Sequence[Sequence[Row]], floor: float) -> None:
    """Limits, ticks and the resolution of the reference."""
    errors = np.array([row.error for line in lines for row in line])
    top = min(errors.max(), 30.0 * float(np.median([row.error for line in lines for row in line[:1]])))
    axes.set_ylim(max(0.4 * errors.min(), 0.5 * floor), 2.0 * top)
    axes.set_xlim(budgets[0] / 1.12, budgets[-1] * 1.06)
    band = AT_THE_FLOOR * floor
    axes.axhspan(0.0, band, color="#BBBBBB", alpha=0.4, lw=0, zorder=0)
    if band > axes.get_ylim()[0]:
        axes.annotate(
            "error of the reference: no ranking here",
            (0.01, band),
            xycoords=("axes fraction", "data"),
            xytext=(0, -3),
            textcoords="offset points",
            fontsize=7,
            color="#777777",
            va="top",
        )
    axes.set_xticks(budgets)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", color="#999999", labelsize=8, labelcolor=INK)
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(which="major", color="#E4E4E4", lw=0.6)
    axes.set_xlabel("network evaluations per sample (at most)", fontsize=9, color=INK)
    axes.set_ylabel("rms error of the end point", fontsize=9, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")


def _guides(axes: Axes, last: int) -> None:
    """Dotted lines of slope 1, 2 and 4 in the upper right corner, where no sampler has business."""
    left, right, top = 0.32 * last, 0.8 * last, 0.6 * axes.get_ylim()[1]
    for order in (1, 2, 4):
        height = top * (left / right) ** order
        axes.plot([left, right], [top, height], color="#AAAAAA", lw=0.9, ls=":", zorder=1)
        axes.annotate(
            f"order {order}",
            (right, height),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=6.5,
            color="#999999",
            va="center",
        )


def _label(axes: Axes, lines: Sequence[Sequence[Row]], entrants: Mapping[str, Entrant]) -> None:
    """Names at the ends of the lines, moved apart where they would meet."""
    bottom, top = np.log(axes.get_ylim())
    gap = 0.042
    wanted = np.array([(np.log(line[-1].error) - bottom) / (top - bottom) for line in lines]).clip(0.0, 1.0)
    for line, height, end in zip(lines, _spread(wanted, gap), wanted, strict=True):
        colour = COLOURS[entrants[line[0].solver].family]
        axes.annotate(
            shown(line[0]),
            xy=(1.0, end),
            xytext=(1.035, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            fontsize=7.5,
            color=colour,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 1, "relpos": (0, 0.5)},
            annotation_clip=False,
        )


def _spread(wanted: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """The heights nearest to falling `wanted` that are `gap` apart: isotonic regression by pooling."""
    shifted = wanted + gap * np.arange(len(wanted))
    blocks: list[list[float]] = []
    for value in shifted:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-1]) > np.mean(blocks[-2]):
            last = blocks.pop()
            blocks[-1] += last
    level = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    heights: NDArray[np.float64] = level - gap * np.arange(len(wanted))
    return heights + max(0.0, -float(heights[-1]))
