"""Figures of counts, lengths and scores: data in, Axes out; ``runs`` saves them.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any colour vision tell apart.
matplotlib and its friends are imported when something is drawn, so that the command line starts fast.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE, BLACK = "#0072B2", "#D55E00", "#CC79A7", "#000000"
GREY = "#6B6B6B"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW)  # yellow last: faint on white
ASPECT_COLOURS = {"biological_process": GREEN, "cellular_component": ORANGE, "molecular_function": BLUE}

STYLE = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
}


@cache
def use_style() -> None:
    """Sets the house style for this process. Every figure below does so; call it before drawing figures of your own."""
    import matplotlib.pyplot as plt
    from cycler import cycler

    plt.rcParams.update({**STYLE, "axes.prop_cycle": cycler(color=PALETTE)})


def axes_or_new(ax: "Axes | None", width: float, height: float) -> "Axes":
    """``ax``, or the only Axes of a new figure of that size (inches) whose layout makes room for all labels."""
    import matplotlib.pyplot as plt

    if ax is not None:
        return ax
    use_style()
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def readable(name: str) -> str:
    """A column's or label's name as a person writes it.

    >>> readable("biological_process"), readable("macro_f1")
    ('biological process', 'macro F1')
    """
    return name.replace("_", " ").replace("f1", "F1")


def colours_of(names: Sequence[str]) -> list[str]:
    """A colour a name: an aspect's own, the palette's in turn for others."""
    return [ASPECT_COLOURS.get(name, PALETTE[i % len(PALETTE)]) for i, name in enumerate(names)]


def _filled(name: str, values: Sequence) -> np.ndarray:
    values = np.asarray(values)
    if values.size == 0:
        raise UsageError(expected(name, "at least one value", "none", remedy="Look at the rows before this figure."))
    return values


def counts_bar(
    counts: "Mapping[str, int] | pd.Series", *, title: str = "", unit: str = "terms", ax: "Axes | None" = None
) -> "Axes":
    """One bar a class, in the order given, with its count and its share of all in per cent."""
    names, values = list(counts.keys()), _filled("counts", list(counts.values if hasattr(counts, "loc") else counts.values()))
    ax = axes_or_new(ax, 7, 0.9 + 0.5 * len(names))
    bars = ax.barh([readable(name) for name in names], values, color=colours_of(names), height=0.7)
    ax.bar_label(bars, [f"{n:,} ({n / values.sum():.1%})" for n in values], padding=4)
    ax.invert_yaxis()  # the first class on top
    ax.set(xlabel=f"number of {unit}", title=title)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.margins(x=0.25)  # room for the numbers at the bars' ends
    return ax
