"""Figures of pre-training: its course, one sentence judged token by token, words in pieces."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.plots.style import BLACK, BLUE, GREY, PALETTE, VERMILLION, axes_or_new, filled, new_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def pretraining_curves(
    history: "pd.DataFrame", *, title: str = "What have the two networks learned?", axes: "Sequence[Axes] | None" = None
) -> "Sequence[Axes]":
    """Two panels over tokens read, on held-back text: what the generator fills in rightly, and how well the discriminator tells
    replaced tokens from others (AUC; 0.5 is chance) beside its accuracy and that of calling every token original.

    ``history``: a row a look, as ``pretrain`` returns it; a warm start is shaded.
    """
    filled("history", history["step"])
    left, right = new_axes(13, 3.8, 2) if axes is None else axes
    millions = history["tokens"] / 1e6
    left.plot(millions, history["generator_accuracy"], "o-", color=BLUE, markersize=4)
    left.set(xlabel="tokens read (millions)", ylabel="masked tokens filled in rightly", title="Generator")
    detects = history.get("train_detection_loss", history["detection_auc"]).notna()  # in a warm start it does not yet
    after = millions[detects]
    right.plot(after, history["detection_auc"][detects], "o-", color=VERMILLION, markersize=4, label="AUC")
    right.plot(after, history["detection_accuracy"][detects], "s-", color=BLUE, markersize=4, label="accuracy")
    right.plot(millions, 1 - history["base_rate"], "--", color=GREY, label="accuracy of calling all original")
    right.axhline(0.5, color=BLACK, linewidth=0.8, linestyle=":", label="AUC of chance")
    right.set(
        xlabel="tokens read (millions)", ylabel="score on held-back text", title="Discriminator", ylim=(0.4, 1.02)
    )
    if "train_filling_loss" in history:
        end = millions[history["train_filling_loss"].notna()].max()
        right.axvspan(0, end, color=GREY, alpha=0.15, linewidth=0, label="warm start: fills in")
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    for ax in (left, right):
        ax.grid(axis="y")
    left.set_ylim(bottom=0)
    left.figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return left, right


def judged_tokens(
    table: "pd.DataFrame", *, title: str = "Which tokens were replaced?", width: int = 12, ax: "Axes | None" = None
) -> "Axes":
    """A sentence's tokens as a reader meets them, each on the shade of the probability that it was replaced.

    Replaced tokens have a frame, and below them stands what was there. ``table``: a row a token, ``original, filled, replaced,
    probability``; ``width``: tokens a line.
    """
    filled("table", table["original"])
    n_lines = -(-len(table) // width)
    ax = axes_or_new(ax, 12, 0.9 * n_lines + 1)
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.patches import Rectangle

    colours = colormaps["Oranges"]
    for i, row in enumerate(table.itertuples(index=False)):
        x, y = i % width, -(i // width)
        frame = {"edgecolor": BLACK, "linewidth": 1.8} if row.replaced else {"edgecolor": "white", "linewidth": 1}
        ax.add_patch(Rectangle((x + 0.03, y - 0.36), 0.94, 0.72, facecolor=colours(0.85 * row.probability), **frame))
        size = min(9.0, 85 / max(8, len(row.filled)))
        above = 0.1 if row.replaced else 0.0
        ax.text(x + 0.5, y + above, row.filled, ha="center", va="center", fontsize=size)
        if row.replaced:
            below = min(7.0, 75 / max(8, len(row.original) + 2))
            ax.text(x + 0.5, y - 0.2, f"was {row.original}", ha="center", va="center", fontsize=below, style="italic")
    ax.set(xlim=(0, min(width, len(table))), ylim=(-n_lines + 0.5, 0.5), title=title)
    ax.axis("off")
    scale = ScalarMappable(cmap=colours)
    scale.set_clim(0, 1 / 0.85)
    bar = ax.figure.colorbar(scale, ax=ax, fraction=0.02, pad=0.01, boundaries=np.linspace(0, 1, 50))
    bar.set_label("probability of replaced")
    bar.set_ticks([0, 0.5, 1])
    return ax


def pieces_bars(
    pieces: Mapping[str, Mapping[str, int]],
    *,
    title: str = "Into how many pieces is a word cut?",
    ax: "Axes | None" = None,
) -> "Axes":
    """A group of bars a word, one a vocabulary: the number of pieces. ``pieces``: vocabulary → word → pieces."""
    filled("pieces", list(pieces))
    words = list(next(iter(pieces.values())))
    ax = axes_or_new(ax, 8, 0.42 * len(words) + 1)
    height = 0.8 / len(pieces)
    for k, (vocabulary, counts) in enumerate(pieces.items()):
        places = np.arange(len(words)) - 0.4 + height * (k + 0.5)
        bars = ax.barh(places, [counts[word] for word in words], height, color=PALETTE[k], label=vocabulary)
        ax.bar_label(bars, padding=3, fontsize=8)
    ax.set_yticks(range(len(words)), words)
    ax.invert_yaxis()
    ax.set(xlabel="pieces", title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.grid(axis="x")
    return ax


def downstream_points(
    table: "pd.DataFrame", *, title: str = "What is each encoder worth?", ax: "Axes | None" = None
) -> "Axes":
    """A group a corpus, in it a point an encoder: the mean of its trials, a line from the lowest to the highest, the number at
    the right. ``table``: a row a cell, ``corpus, metric, encoder, mean, lowest, highest`` and perhaps ``train``, how many
    examples were trained on where not all; cells may be missing."""
    filled("table", table["corpus"])
    table = table.assign(train=table["train"].fillna(0) if "train" in table else 0)
    keys = ["corpus", "metric", "train"]
    tasks = table[keys].drop_duplicates().itertuples(index=False)
    encoders = list(dict.fromkeys(table["encoder"]))
    ax = axes_or_new(ax, 8, 1.2 + 0.32 * len(table))
    places, names, y = [], [], 0.0
    for corpus, metric, train in tasks:
        rows = table[(table[keys] == (corpus, metric, train)).all(axis=1)]
        places.append(y + (len(rows) - 1) / 2)
        names.append(f"{corpus}{f', {train:,.0f} examples' if train else ''}\n{metric}")
        for row in rows.itertuples():
            k = encoders.index(row.encoder)
            label = row.encoder if row.encoder not in ax.get_legend_handles_labels()[1] else None
            ax.plot([row.lowest, row.highest], [y, y], color=PALETTE[k], linewidth=2)
            ax.plot(row.mean, y, "osD^vP*X"[k % 8], color=PALETTE[k], label=label)
            ax.annotate(
                f"{row.mean:.3f}", (row.highest, y), (8, 0), textcoords="offset points", va="center", fontsize=8
            )
            y += 1
        y += 0.7
    ax.set_yticks(places, names)
    ax.set(xlabel="score on the test part", title=title, ylim=(y - 1.2, -0.5))
    ax.margins(x=0.12)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.grid(axis="x")
    return ax
