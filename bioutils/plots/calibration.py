"""Figures of probabilities: whether they mean what they say, what silence buys, and where abstracts lie between aspects."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.plots.style import BLACK, BLUE, GREY, PALETTE, VERMILLION, axes_or_new, colours_of, filled, readable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def reliability_diagram(
    tables: "Mapping[str, pd.DataFrame]",
    *,
    title: str = "Is nine tenths sure right nine times in ten?",
    ax: "Axes | None" = None,
) -> "Axes":
    """Accuracy by confidence, a line a table of ``calibration.reliability``; the size of a point is its share of the rows."""
    ax = axes_or_new(ax, 5.2, 4.6)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.2, label="confidence = accuracy")
    for (name, table), marker, colour in zip(tables.items(), "osD^", (VERMILLION, BLUE, *PALETTE[2:]), strict=False):
        filled(name, table["n"])
        sizes = 25 + 350 * np.sqrt(table["n"] / table["n"].sum())
        ax.plot(table["confidence"], table["accuracy"], color=colour, linewidth=1.2)
        ax.scatter(
            table["confidence"], table["accuracy"], s=sizes, marker=marker, color=colour, alpha=0.75, linewidth=0
        )
        ax.plot([], [], marker=marker, color=colour, label=name)
    low = min(0.5, *(min(t["confidence"].min(), t["accuracy"].min()) for t in tables.values())) - 0.05
    ax.set(xlim=(max(0, low), 1.02), ylim=(max(0, low), 1.03))
    ax.set(xlabel="confidence (mean top probability of the bin)", ylabel="accuracy of the bin", title=title)
    ax.grid()
    ax.legend(loc="upper left")
    return ax


def risk_coverage_curve(
    table: "pd.DataFrame",
    *,
    threshold: float | None = None,
    title: str = "What does silence buy?",
    ax: "Axes | None" = None,
) -> "Axes":
    """Share of wrong answers by share of rows answered (``calibration.risk_coverage``), the chosen threshold marked."""
    filled("table", table["risk"])
    ax = axes_or_new(ax, 6.4, 3.8)
    ax.step(table["coverage"], table["risk"], where="post", color=BLUE)
    if threshold is not None:
        kept = table[table["threshold"] >= threshold]
        if len(kept):
            at = kept.iloc[-1]
            label = f"answer from {threshold:.3f} on:\n{at['coverage']:.1%} answered, {at['risk']:.2%} of them wrong"
            ax.plot(at["coverage"], at["risk"], "D", color=VERMILLION, markersize=8, label=label)
            ax.legend(loc="upper left")
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.yaxis.set_major_formatter("{x:.1%}")
    ax.set(xlim=(0, 1.02), ylim=(0, max(0.01, 1.25 * table["risk"].max())))
    ax.set(xlabel="share of the rows that are answered", ylabel="wrong among the answered", title=title)
    ax.grid()
    return ax


def ternary(
    table: "pd.DataFrame",
    aspects: Sequence[str],
    *,
    title: str = "Where do the abstracts lie between the three aspects?",
    ax: "Axes | None" = None,
) -> "Axes":
    """A point a row of ``table`` in a triangle: the nearer to a corner, the larger that aspect's probability.

    The three columns must sum to 1. Lines mark a half and three quarters of an aspect. Points take the colour of their
    largest aspect.
    """
    if len(aspects) != 3:
        raise UsageError(expected("aspects", "three names", list(aspects)))
    values = filled("table", table[list(aspects)].to_numpy(dtype=float))
    if not np.allclose(values.sum(1), 1, atol=1e-4):
        raise UsageError("Expected the three columns to sum to 1 in each row. Leave out rows without scores.")
    ax = axes_or_new(ax, 6.6, 5.8)
    corners = np.array([[0.5, np.sqrt(0.75)], [0, 0], [1, 0]])  # first on top, then left, then right
    ax.fill(*corners.T, facecolor="none", edgecolor=BLACK, linewidth=1)
    colours = colours_of(aspects)
    for corner in range(3):
        others = [i for i in range(3) if i != corner]
        for share, style in ((0.5, "-"), (0.75, ":")):
            ends = [share * corners[corner] + (1 - share) * corners[other] for other in others]
            ax.plot(*np.array(ends).T, color=colours[corner], linewidth=0.9, linestyle=style, alpha=0.8)
    points, largest = values @ corners, values.argmax(1)
    ax.scatter(*points.T, c=[colours[i] for i in largest], s=34, alpha=0.8, edgecolor="white", linewidth=0.6, zorder=3)
    places = [("center", "bottom", 0, 0.02), ("center", "top", 0, -0.03), ("center", "top", 0, -0.03)]
    for aspect, corner, colour, (across, along, dx, dy), i in zip(
        aspects, corners, colours, places, range(3), strict=True
    ):
        text = f"{readable(aspect)}\n{(largest == i).mean():.0%} of {len(values)}"
        ax.text(corner[0] + dx, corner[1] + dy, text, ha=across, va=along, color=colour, fontweight="bold", fontsize=9)
    ax.set(xlim=(-0.18, 1.18), ylim=(-0.14, 1.0), aspect="equal")
    ax.axis("off")
    ax.set_title(title)
    return ax
