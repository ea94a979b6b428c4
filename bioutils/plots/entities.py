"""Figures about entities."""

from typing import TYPE_CHECKING

import numpy as np

from bioutils.plots.style import BLUE, GREY, VERMILLION, axes_or_new, filled, readable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLOURS = {"seen": BLUE, "unseen": VERMILLION}


def recall_bars(
    table: "pd.DataFrame", *, title: str = "Are unseen names found too?", ax: "Axes | None" = None
) -> "Axes":
    """Recall of seen and unseen names by type, with the number of entities on each bar.

    ``table``: ``type, names, entities, recall``, as ``entity_exploration.recall_by_name`` gives it.
    """
    types = list(dict.fromkeys(filled("table", table["type"])))
    ax = axes_or_new(ax, 7.5, 1.2 + 0.55 * len(types))
    for j, (kind, colour) in enumerate(COLOURS.items()):
        rows = table[table["names"] == kind].set_index("type")
        there = [i for i, name in enumerate(types) if name in rows.index]
        values = [float(rows.loc[types[i], "recall"]) for i in there]
        y = np.array(there) + (j - 0.5) * 0.38
        ax.barh(y, values, height=0.36, color=colour, label=f"name {kind} in training")
        for place, i, value in zip(y, there, values, strict=True):
            n = int(rows.loc[types[i], "entities"])
            ax.text(value + 0.01, place, f"{value:.2f} of {n:,}", va="center", fontsize=8, color=GREY)
    ax.set_yticks(range(len(types)), [readable(name) for name in types])
    ax.set_ylim(len(types) - 0.5, -0.5)
    ax.set(xlim=(0, 1.15), xlabel="share of gold entities found exactly", title=title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return ax
