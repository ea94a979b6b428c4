"""Figures of many runs: their spread, their curves, and what they agree in missing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError
from bioutils.plots.style import GREY, PALETTE, axes_or_new, colours_of, readable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FEW = 30  # repeats up to which each is drawn as a point


def score_boxes(
    groups: Mapping[str, np.ndarray], columns: Sequence[str], *, title: str = "How far do repeats spread?"
) -> "Axes":
    """A box a group and score over its repeats (repeats, columns): median, quartiles, whiskers to 1.5 quartile ranges, points."""
    if not groups:
        raise UsageError("Expected groups to hold one or more, found none.")
    n, k = len(groups), len(columns)
    ax = axes_or_new(None, max(5.0, 2.2 + 0.9 * n * k**0.5), 4.2)
    colours = colours_of(columns)
    width = 0.8 / k
    rng = np.random.default_rng(0)
    for i, scores in enumerate(groups.values()):
        for j in range(k):
            x = i + (j - (k - 1) / 2) * width
            ax.boxplot(
                scores[:, j], positions=[x], widths=0.8 * width, showfliers=len(scores) > FEW, patch_artist=True,
                boxprops={"facecolor": colours[j], "alpha": 0.35, "edgecolor": colours[j]},
                medianprops={"color": "black"}, whiskerprops={"color": colours[j]}, capprops={"color": colours[j]},
            )  # fmt: skip
            if len(scores) <= FEW:
                ax.scatter(
                    x + rng.uniform(-0.15, 0.15, len(scores)) * width, scores[:, j], s=12, color=colours[j], zorder=3
                )
    for column, colour in zip(columns, colours, strict=True):
        ax.plot([], [], color=colour, linewidth=6, alpha=0.5, label=readable(column))
    ax.set_xticks(
        range(n), [_short(name) for name in groups], rotation=0 if n < 4 else 20, ha="center" if n < 4 else "right"
    )
    ax.set(ylabel="score", title=title)
    ax.grid(axis="y", alpha=0.4)
    ax.legend(frameon=False, ncols=k, loc="lower center", bbox_to_anchor=(0.5, -0.42 if n >= 4 else -0.3))
    return ax


def _short(name: str) -> str:
    """A tag in lines: ``CNN_seg_minilm_pgxcorpus_ep5_lr3e-05 (macro)`` is long for an axis."""
    return name.replace("_ep", "\nep").replace(" (", "\n(")


def run_curves(
    histories: "Mapping[str, pd.DataFrame]",
    column: str,
    *,
    title: str = "How do the runs learn?",
    ax: "Axes | None" = None,
) -> "Axes":
    """A curve a run of ``column`` over epochs: the mean over its folds and repeats, the range of these as a band."""
    ax = axes_or_new(ax, 7.5, 4.2)
    for (name, history), colour in zip(histories.items(), colours_of(histories), strict=True):
        by_epoch = history.groupby("epoch")[column]
        mean, low, high = by_epoch.mean(), by_epoch.min(), by_epoch.max()
        ax.plot(mean.index, mean, color=colour, label=_short(name).replace("\n", " "))
        ax.fill_between(mean.index, low, high, color=colour, alpha=0.15, linewidth=0)
    ax.set(xlabel="epoch", ylabel=readable(column), title=title)
    ax.legend(frameon=False)
    return ax


def missed_by(
    n_wrong: Sequence[int], n_runs: int, *, title: str = "Which examples are missed, and by how many?"
) -> "Axes":
    """How many examples are wrong in 0, 1, … all runs."""
    counts = np.bincount(np.asarray(n_wrong), minlength=n_runs + 1)
    ax = axes_or_new(None, 6.5, 3.6)
    colours = [GREY] * n_runs + [PALETTE[1]]
    bars = ax.bar(range(n_runs + 1), counts, color=colours)
    ax.bar_label(bars, [f"{c:,}" for c in counts], padding=2, fontsize=9)
    ax.set_xticks(range(n_runs + 1))
    ax.margins(y=0.12)
    ax.set(xlabel="answers that are wrong", ylabel="examples", title=title)
    return ax
