"""Figures of relation corpora: words by class, distances between entities, lengths, nearness of corpora."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bioutils.plots.style import axes_or_new, colours_of, filled, new_axes, readable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def word_bars(words: "Mapping[str, pd.Series]", *, title: str = "", columns: int = 4) -> "np.ndarray":
    """The most frequent words of each class as bars, a panel a class, each on its own scale."""
    import matplotlib.pyplot as plt

    from bioutils.plots.style import use_style

    use_style()
    names = list(words)
    columns = min(columns, len(filled("words", names)))
    rows = -(-len(names) // columns)
    longest = max(len(found) for found in words.values())
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.9 * columns, rows * (0.9 + 0.18 * longest)), layout="constrained", squeeze=False
    )
    for ax, name, colour in zip(grid.flat, names, colours_of(names), strict=False):
        found = words[name]
        ax.barh(list(found.index), found.to_numpy(), color=colour, height=0.75)
        ax.invert_yaxis()
        ax.tick_params(axis="y", labelsize=8, length=0)
        ax.set_title(readable(name), fontsize=10)
    for ax in grid.flat[len(names) :]:
        ax.set_visible(False)
    figure.supxlabel("occurrences", fontsize=9)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return grid


def length_lines(
    table: "pd.DataFrame", *, title: str = "How many tokens does a sentence become?", ax: "Axes | None" = None
) -> "Axes":
    """Mean tokens against words, a line a vocabulary with a band of one standard deviation; dotted: one token a word."""
    ax = axes_or_new(ax, 6.5, 4)
    width = max(1, int(table["words"].max()) // 25)
    bins = table["words"] // width * width + width / 2
    names = [name for name in table.columns if name != "words"]
    for name, colour in zip(names, colours_of(names), strict=True):
        found = table[name].groupby(bins)
        mean, spread = found.mean(), found.std().fillna(0)
        ratio = table[name].sum() / max(1, table["words"].sum())
        ax.plot(mean.index, mean, color=colour, label=f"{name} ({ratio:.2f} tokens a word)")
        ax.fill_between(mean.index, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    most = float(table["words"].max())
    ax.plot([0, most], [0, most], color="black", linestyle=":", linewidth=1, label="one token a word")
    ax.set(xlabel="words in a sentence", ylabel="tokens", title=title, xlim=(0, most), ylim=(0, None))
    ax.legend()
    return ax


def distance_heatmaps(tables: "Mapping[str, pd.DataFrame]", *, titles: Mapping[str, str] | None = None) -> "np.ndarray":
    """Corpus × corpus tables of distances side by side, dark where near, the numbers in the cells."""
    import seaborn as sns

    size = len(next(iter(tables.values())))
    axes = new_axes(len(tables) * (1.9 + 0.62 * size), 1.5 + 0.6 * size, columns=len(tables))
    for ax, (kind, table) in zip(axes, tables.items(), strict=True):
        sns.heatmap(
            table, annot=True, fmt=".2f", cmap="Blues_r", square=True, ax=ax, cbar=False, annot_kws={"fontsize": 9}
        )
        ax.tick_params(length=0)
        ax.tick_params(axis="x", rotation=30)
        ax.tick_params(axis="y", rotation=0)
        ax.set(xlabel="", ylabel="", title=(titles or {}).get(kind, kind))
    return axes
