"""Figures of training: the learning-rate range test, scores by number of examples, cost against score."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bioutils.plots.style import BLUE, GREY, PALETTE, VERMILLION, axes_or_new, filled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def range_test_curve(
    table: "pd.DataFrame",
    suggestion: float | None = None,
    *,
    title: str = "How fast may this model learn?",
    ax: "Axes | None" = None,
) -> "Axes":
    """Loss by learning rate, as it came and smoothed, with the rate of steepest fall marked.

    ``table``: a row a step, ``learning_rate, loss, smoothed``.
    """
    filled("table", table["loss"])
    ax = axes_or_new(ax, 7, 3.6)
    ax.plot(table["learning_rate"], table["loss"], color=GREY, linewidth=0.8, alpha=0.6, label="loss of each batch")
    ax.plot(table["learning_rate"], table["smoothed"], color=BLUE, linewidth=2, label="smoothed")
    if suggestion is not None:
        at = np.interp(suggestion, table["learning_rate"], table["smoothed"])
        ax.axvline(suggestion, color=VERMILLION, linestyle=":", linewidth=1.2)
        ax.plot(suggestion, at, "D", color=VERMILLION, markersize=8, label=f"steepest fall: {suggestion:.1e}")
    low, high = table["smoothed"].min(), table["smoothed"].iloc[0]
    ax.set_ylim(
        max(0, low - 0.3 * (high - low)), high + 0.8 * max(high - low, 0.1)
    )  # the last, wild losses run out of it
    ax.set_xscale("log")
    ax.set(xlabel="learning rate", ylabel="cross-entropy (nats)", title=title)
    ax.grid(axis="y")
    ax.legend(loc="upper left")
    return ax


def scores_by_size(
    table: "pd.DataFrame",
    *,
    metric: str = "accuracy",
    title: str = "How many examples does each way need?",
    ax: "Axes | None" = None,
) -> "Axes":
    """A line a model over the number of training examples (logarithmic), with its 95 % interval as a band.

    ``table``: a row a model and size, ``model, n_train, <metric>, <metric>_low, <metric>_high``.
    """
    filled("table", table["n_train"])
    ax = axes_or_new(ax, 8, 4)
    for (model, rows), marker, colour in zip(table.groupby("model", sort=False), "osD^vP*X", PALETTE, strict=False):
        rows = rows.sort_values("n_train")
        ax.plot(rows["n_train"], rows[metric], marker=marker, color=colour, label=model)
        ax.fill_between(rows["n_train"], rows[f"{metric}_low"], rows[f"{metric}_high"], color=colour, alpha=0.12)
    sizes = sorted(table["n_train"].unique())
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{n:,}" for n in sizes], minor=False)
    ax.minorticks_off()
    ax.set(xlabel="training examples", ylabel=f"{metric.replace('_', ' ')} on the test rows", title=title)
    ax.grid(axis="y")
    ax.legend(loc="lower right")
    return ax


def cost_against_score(
    reports: "Mapping[str, Mapping[str, float]]",
    seconds: Mapping[str, float],
    *,
    metric: str = "accuracy",
    title: str = "What does a better score cost?",
    ax: "Axes | None" = None,
) -> "Axes":
    """A point a model: training seconds (logarithmic) against its score, with the 95 % interval."""
    filled("reports", list(reports))
    ax = axes_or_new(ax, 8, 4)
    for i, (model, report) in enumerate(reports.items()):
        value, low, high = (report[metric + end] for end in ("", "_low", "_high"))
        colour = PALETTE[i % len(PALETTE)]
        ax.errorbar(seconds[model], value, yerr=[[max(0, value - low)], [max(0, high - value)]], fmt="osD^vP*X"[i % 8],
                    color=colour, capsize=3, label=model)  # fmt: skip
    ax.set_xscale("log")
    ax.set(
        xlabel="seconds of training on this machine", ylabel=f"{metric.replace('_', ' ')} on the test rows", title=title
    )
    ax.grid()
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
