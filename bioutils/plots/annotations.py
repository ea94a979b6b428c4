"""Figures of annotated documents: which values tags have, and which values links join."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.plots.style import PALETTE, axes_or_new, filled, new_axes, readable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST = 20  # values named; the rest are one bar


def value_bars(values: "pd.DataFrame", *, title: str = "Which values do tags have?") -> "Sequence[Axes]":
    """A panel a category: a bar a value, the number of its tags behind it. ``values``: as ``value_table`` gives it."""
    filled("values", values["category"])
    groups = [(name, rows.nlargest(MOST, "tags")) for name, rows in values.groupby("category", sort=False)]
    longest = max(len(rows) for _, rows in groups)
    axes = new_axes(4.2 * len(groups), 1.1 + 0.25 * longest, len(groups))
    for k, (ax, (name, rows)) in enumerate(zip(axes, groups, strict=True)):
        names = [value or "(no value)" for value in rows["value"]]
        bars = ax.barh(range(len(rows)), rows["tags"], color=PALETTE[k % len(PALETTE)], height=0.75)
        ax.bar_label(bars, padding=3, fontsize=8)
        ax.set_yticks(range(len(rows)), names, fontsize=8)
        rest = int((values["category"] == name).sum()) - len(rows)
        ax.set(
            title=readable(name) + (f" (and {rest} rarer)" if rest else ""), xlabel="tags", ylim=(longest - 0.4, -0.6)
        )
        ax.margins(x=0.15)
    axes[0].figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return axes


def link_heatmap(
    pairs: "pd.DataFrame", *, title: str = "Which values do links join?", most: int = 16, ax: "Axes | None" = None
) -> "Axes":
    """The number of links that join each two values, of the ``most`` values that stand in most links.

    ``pairs``: as ``pair_table`` gives it.
    """
    import seaborn as sns

    filled("pairs", pairs["first"])
    totals: dict[str, int] = {}
    for first, second, n in pairs.itertuples(index=False):
        for name in (first, second):
            totals[name] = totals.get(name, 0) + n
    names = sorted(sorted(totals, key=lambda name: -totals[name])[:most])
    place = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(names), len(names)), dtype=int)
    for first, second, n in pairs.itertuples(index=False):
        if first in place and second in place:
            table[place[first], place[second]] = table[place[second], place[first]] = n
    ax = axes_or_new(ax, 2.6 + 0.5 * len(names), 2.2 + 0.42 * len(names))
    labels = [readable(name) for name in names]
    sns.heatmap(
        table, mask=table == 0, annot=True, fmt="d", cmap="Blues", square=True, ax=ax, cbar_kws={"label": "links", "shrink": 0.7},
        xticklabels=labels, yticklabels=labels, annot_kws={"fontsize": 8},
    )  # fmt: skip
    ax.tick_params(length=0, labelsize=8)
    ax.set(title=title)
    return ax
