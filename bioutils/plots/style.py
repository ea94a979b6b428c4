"""The house style of figures: colours, fonts, and Axes to draw on.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any colour vision tell apart.
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
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
    """Sets the house style, once a process. Every figure here does so; call it before drawing figures of your own."""
    import matplotlib.pyplot as plt
    from cycler import cycler

    plt.rcParams.update({**STYLE, "axes.prop_cycle": cycler(color=PALETTE)})


def axes_or_new(ax: "Axes | None", width: float, height: float) -> "Axes":
    """``ax``, or the only Axes of a new figure of that size (inches), whose layout makes room for all labels."""
    return new_axes(width, height)[0] if ax is None else ax


def new_axes(width: float, height: float, columns: int = 1, rows: int = 1) -> "np.ndarray":
    """The Axes, side by side and row by row, of a new figure of that size (inches) in the house style."""
    import matplotlib.pyplot as plt

    use_style()
    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)[1].ravel()


def readable(name: str) -> str:
    """A label's name as a person writes it.

    >>> readable("biological_process"), readable("macro_f1")
    ('biological process', 'macro F1')
    """
    return name.replace("_", " ").replace("f1", "F1")


def colours_of(names: Iterable[str]) -> list[str]:
    """A colour a name: an aspect's own, for others the palette's in turn."""
    return [ASPECT_COLOURS.get(name, PALETTE[i % len(PALETTE)]) for i, name in enumerate(names)]


def filled(name: str, values: Iterable) -> np.ndarray:
    """``values`` as an array. Raises UsageError where there are none: an empty figure would say nothing."""
    values = np.asarray(values)
    if values.size == 0:
        raise UsageError(expected(name, "at least one value", "none", remedy="Look at what was filtered out before."))
    return values
