"""Figures of what a model did: its training, its scores, its mistakes, and what it says of abstracts."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.plots.style import (
    BLUE,
    GREY,
    PALETTE,
    VERMILLION,
    axes_or_new,
    colours_of,
    filled,
    new_axes,
    readable,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_NAMED_BARS = 60  # more bars than this get no names: they would not be legible


def confusion_heatmap(
    confusion: np.ndarray, names: Sequence[str], *, title: str = "Which classes are confused?", ax: "Axes | None" = None
) -> "Axes":
    """Counts (true × predicted) in cells shaded by their share of the row, so that a rare class shows as well as a common one."""
    import seaborn as sns

    confusion = np.asarray(confusion)
    n = len(names)
    if confusion.shape != (n, n):
        raise UsageError(expected("confusion", f"of shape ({n}, {n})", confusion.shape))
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)  # (true, predicted), rows sum to 1
    ax = axes_or_new(ax, 2.4 + 1.15 * n, 1.3 + 1.0 * n)
    cells = [
        [f"{count:,}\n{share:.1%}" for count, share in zip(*rows, strict=True)]
        for rows in zip(confusion, shares, strict=True)
    ]
    labels = [fill(readable(name), 12) for name in names]
    bar = {"label": "share of the true class", "shrink": 0.8}
    sns.heatmap(
        shares, annot=cells, fmt="", cmap="Blues", vmin=0, vmax=1, square=True, ax=ax, cbar_kws=bar,
        xticklabels=labels, yticklabels=labels,
    )  # fmt: skip
    ax.tick_params(length=0, rotation=0)
    ax.set(xlabel="predicted", ylabel="true", title=title)
    return ax


def learning_curves(
    history: "pd.DataFrame",
    *,
    best_epoch: int | None = None,
    title: str = "Does the model learn, and when does it stop?",
) -> "np.ndarray":
    """Two Axes: losses by epoch, and validation macro-F1 by epoch, the epoch that was kept marked.

    ``history`` has a row an epoch: ``epoch, train_loss, validation_loss, validation_macro_f1``.
    """
    from matplotlib.ticker import MaxNLocator

    filled("history", history["epoch"])
    loss, score = axes = new_axes(9, 3.4, columns=2)
    loss.plot(history["epoch"], history["train_loss"], "o-", color=BLUE, label="training")
    loss.plot(history["epoch"], history["validation_loss"], "s--", color=VERMILLION, label="validation")
    score.plot(history["epoch"], history["validation_macro_f1"], "s--", color=VERMILLION, label="validation")
    loss.set(ylabel="cross-entropy (nats)", ylim=(0, None))
    score.set(ylabel="macro-F1")
    for ax in axes:
        if best_epoch is not None:
            ax.axvline(best_epoch, color=GREY, linestyle=":", label=f"kept: epoch {best_epoch}")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(axis="y")
        ax.set_xlabel("epoch")
        ax.legend()
    loss.set_title(title)
    return axes


def interval_bars(
    reports: "Mapping[str, Mapping[str, float]]",
    *,
    metrics: Sequence[str] = ("accuracy", "macro_f1"),
    title: str = "Is one model better than the other?",
    span: str = "its 95 % interval",
    ax: "Axes | None" = None,
) -> "Axes":
    """Scores as points with their 95 % intervals: a group a metric, in it a point a model, numbers at the right.

    ``span``: what the intervals are, where they are no confidence intervals.

    ``reports``: model → metrics, with ``<metric>``, ``<metric>_low`` and ``<metric>_high`` for each of ``metrics``.
    """
    models = list(reports)
    filled("reports", models)
    ax = axes_or_new(ax, 8, 1.1 + 0.32 * len(metrics) * (len(models) + 0.6))
    step = 1 / (len(models) + 1)
    for j, (model, marker) in enumerate(zip(models, "osD^vP*X" * len(models), strict=False)):
        values, lows, highs = (
            np.array([reports[model][metric + end] for metric in metrics]) for end in ("", "_low", "_high")
        )
        y = np.arange(len(metrics)) + (j - (len(models) - 1) / 2) * step
        error = np.clip([values - lows, highs - values], 0, None)
        ax.errorbar(values, y, xerr=error, fmt=marker, color=PALETTE[j % len(PALETTE)], capsize=4, label=model)
        for position, numbers in zip(y, zip(values, lows, highs, strict=True), strict=True):
            text = "{:.3f} [{:.3f}, {:.3f}]".format(*numbers)
            ax.text(1.02, position, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)
    ax.set_yticks(range(len(metrics)), [readable(metric) for metric in metrics])
    ax.set_ylim(len(metrics) - 0.5, -0.5)  # the first metric on top
    ax.grid(axis="x")
    ax.set(xlabel=f"score on the test rows, with {span}", title=title)
    below = -0.75 / ax.figure.get_figheight()  # three quarters of an inch, whatever the figure's height
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, below), ncols=2)
    return ax


def stacked_aspect_bars(
    table: "pd.DataFrame",
    aspects: Sequence[str],
    *,
    title: str = "What do the abstracts speak of?",
    ax: "Axes | None" = None,
) -> "Axes":
    """A bar a row of ``table`` (columns ``id`` and the aspects, which sum to 1), ordered by main aspect and its share."""
    filled("table", table["id"])
    values = table[list(aspects)].to_numpy(dtype=float)  # (abstracts, aspects)
    order = np.lexsort((-values.max(1), values.argmax(1)))
    n, values, named = len(values), values[order], len(values) <= MOST_NAMED_BARS
    ax = axes_or_new(ax, 8, 1.4 + 0.19 * n if named else 6)
    ends = values.cumsum(1)
    for column, (aspect, colour) in enumerate(zip(aspects, colours_of(aspects), strict=True)):
        size, start = values[:, column], ends[:, column] - values[:, column]
        ax.barh(range(n), size, left=start, height=0.82 if named else 1, color=colour, label=readable(aspect))
    ax.set_yticks(range(n) if named else [], table["id"].to_numpy()[order] if named else [])
    ax.tick_params(axis="y", labelsize=8, length=0)
    ax.set(xlim=(0, 1), ylim=(n - 0.5, -0.5))  # the first on top
    ax.set(xlabel="mean probability over the sentences", ylabel=f"abstracts (n = {n:,})")
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.set_title(title, pad=26)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(aspects), borderaxespad=0.2)
    return ax
