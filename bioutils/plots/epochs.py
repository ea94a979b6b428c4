"""Figures of vectors that move while a model learns."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.plots.style import BLACK, PALETTE, axes_or_new, colours_of, filled, readable, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def map_frames(
    maps: Mapping[str, np.ndarray],
    labels: Sequence[int] | np.ndarray,
    names: Sequence[str],
    *,
    wrong: np.ndarray | None = None,
    title: str = "How do the vectors move as the model learns?",
) -> "np.ndarray":
    """Axes (maps, epochs): a point a text in its class' colour; all frames of a row have the same limits.

    ``maps``: name → points (epochs, texts, 2). ``wrong`` (epochs, texts) rings the texts answered wrongly.
    """
    import matplotlib.pyplot as plt

    filled("maps", list(maps))
    labels, epochs = np.asarray(labels), len(next(iter(maps.values())))
    use_style()
    figure, axes = plt.subplots(
        len(maps), epochs, figsize=(0.7 + 2.05 * epochs, 0.9 + 2.05 * len(maps)), squeeze=False, layout="constrained"
    )
    for place, (name, points) in enumerate(maps.items()):
        row = axes[place]
        if points.shape != (epochs, len(labels), 2):
            raise UsageError(expected(name, f"of shape ({epochs}, {len(labels)}, 2)", points.shape))
        flat = points.reshape(-1, 2)
        low, high = flat.min(0), flat.max(0)
        edge = 0.05 * (high - low)
        for epoch, ax in enumerate(row):
            for label, (aspect, colour) in enumerate(zip(names, colours_of(names), strict=True)):
                x, y = points[epoch, labels == label].T
                ax.scatter(x, y, s=7, color=colour, alpha=0.65, linewidth=0, label=readable(aspect))
            if wrong is not None and wrong[epoch].any():
                x, y = points[epoch, wrong[epoch]].T
                ax.scatter(x, y, s=26, facecolor="none", edgecolor=BLACK, linewidth=0.7, label="answered wrongly")
            ax.set(xlim=(low[0] - edge[0], high[0] + edge[0]), ylim=(low[1] - edge[1], high[1] + edge[1]))
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(True)
            ax.spines[:].set_color("#BBBBBB")
            if place == 0:
                ax.set_title("before" if epoch == 0 else f"epoch {epoch}", fontweight="normal")
        row[0].set_ylabel(name)
    found = {}
    for ax in axes.flat:
        found |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=len(found), markerscale=2)
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return axes


def epoch_lines(
    table: "pd.DataFrame",
    columns: Mapping[str, str],
    *,
    title: str = "Do the classes part, and how far have the vectors moved?",
    ax: "Axes | None" = None,
) -> "Axes":
    """A line a column of ``table`` (a row an epoch) under its name in ``columns``."""
    filled("table", table["epoch"])
    ax = axes_or_new(ax, 7.6, 3.6)
    for (column, name), marker, colour in zip(columns.items(), "osD^v", PALETTE, strict=False):
        ax.plot(table["epoch"], table[column], marker=marker, color=colour, label=name)
    ax.set(xlabel="epoch (0: before training)", ylabel="value", title=title)
    ax.set_xticks(table["epoch"])
    ax.grid(axis="y")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def similarity_heatmap(
    similarity: np.ndarray, *, title: str = "How alike are the epochs' vectors?", ax: "Axes | None" = None
) -> "Axes":
    """Linear CKA (epochs, epochs) between 0 and 1, the numbers in the cells."""
    import seaborn as sns

    n = len(filled("similarity", similarity))
    ax = axes_or_new(ax, 2.6 + 0.62 * n, 1.6 + 0.55 * n)
    names = ["before", *map(str, range(1, n))]
    sns.heatmap(
        similarity, annot=True, fmt=".2f", cmap="Blues", vmin=0, vmax=1, square=True, ax=ax, xticklabels=names,
        yticklabels=names, cbar_kws={"label": "linear CKA", "shrink": 0.8}, annot_kws={"fontsize": 8},
    )  # fmt: skip
    ax.tick_params(length=0, rotation=0)
    ax.set(xlabel="epoch", ylabel="epoch", title=title)
    return ax
