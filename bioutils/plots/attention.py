"""Figures of attention and of attribution."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.plots.style import BLUE, GREY, PALETTE, VERMILLION, axes_or_new, filled, new_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def attention_heatmap(
    weights: np.ndarray, tokens: Sequence[str], *, title: str = "Which token looks at which?", ax: "Axes | None" = None
) -> "Axes":
    """A square a pair of tokens: row, the token that looks; column, the one it looks at; dark, much."""
    weights = np.asarray(weights)
    n = len(tokens)
    if weights.shape != (n, n):
        raise UsageError(expected("weights", f"of shape ({n}, {n})", weights.shape))
    size = 2.2 + 0.27 * n
    ax = axes_or_new(ax, size + 1, size)
    image = ax.imshow(weights, cmap="Blues", vmin=0)
    ax.set_xticks(range(n), tokens, rotation=60, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(n), tokens)
    ax.tick_params(length=0, labelsize=9)
    ax.set(xlabel="looked at", ylabel="looks", title=title)
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, label="share of the row", shrink=0.7)
    return ax


def entropy_heatmaps(
    entropies: Mapping[str, np.ndarray], *, title: str = "Which heads look at one token, which at all?"
) -> "np.ndarray":
    """Axes side by side, one a model: layers × heads, dark where a head spreads its attention, light where it points."""
    filled("entropies", list(entropies))
    layers, heads = next(iter(entropies.values())).shape
    axes = new_axes(1.2 + len(entropies) * (1.2 + 0.36 * heads), 1.6 + 0.36 * layers, columns=len(entropies))
    for ax, (name, entropy) in zip(axes, entropies.items(), strict=True):
        image = ax.imshow(entropy, cmap="Blues", vmin=0, vmax=1)
        ax.set_xticks(range(entropy.shape[1]))
        ax.set_yticks(range(entropy.shape[0]))
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set(xlabel="head", ylabel="layer")
        ax.set_title(name, fontweight="normal")
    axes[0].figure.colorbar(image, ax=list(axes), label="entropy (share of its maximum)", shrink=0.8)
    axes[0].figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return axes


def attends_to_lines(
    tables: "Mapping[str, pd.DataFrame]", *, title: str = "What do the heads look at, layer by layer?"
) -> "np.ndarray":
    """Axes side by side, one a model: mean share over the heads by layer, a line a target (``attention.attends_to``)."""
    filled("tables", list(tables))
    axes = new_axes(4.6 * len(tables), 3.6, columns=len(tables))
    top = max(t.groupby(["layer", "target"])["share"].mean().max() for t in tables.values())
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        means = table.groupby(["target", "layer"], sort=False)["share"].mean()
        for target, colour, marker in zip(means.index.unique("target"), PALETTE, "osD^vP*X", strict=False):
            line = means[target]
            ax.plot(line.index, line.to_numpy(), marker=marker, color=colour, label=target)
        ax.set(xlabel="layer", ylim=(0, 1.08 * top))
        ax.set_xticks(sorted(table["layer"].unique()))
        ax.yaxis.set_major_formatter("{x:.0%}")
        ax.grid(axis="y")
        ax.set_title(name, fontweight="normal")
    axes[0].set_ylabel("share of the attention")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes[0].figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return axes


def attribution_bars(
    words: Sequence[str],
    scores: Mapping[str, Sequence[float]],
    *,
    title: str = "Which words argue for the answer?",
) -> "np.ndarray":
    """Axes side by side sharing their words (top to bottom): a bar a word, blue for the class, red against it."""
    filled("words", words)
    axes = new_axes(1.5 + 3.1 * len(scores), 1.3 + 0.26 * len(words), columns=len(scores))
    for ax, (name, values) in zip(axes, scores.items(), strict=True):
        values = np.asarray(values, dtype=float)
        if values.shape != (len(words),):
            raise UsageError(expected(name, f"{len(words)} scores, one a word", values.shape))
        ax.barh(range(len(words)), values, color=np.where(values >= 0, BLUE, VERMILLION), height=0.7)
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.set_yticks(range(len(words)), words if ax is axes[0] else [])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(words) - 0.5, -0.5)
        ax.set_xlabel(name)
    axes[0].set_title(title)
    return axes
