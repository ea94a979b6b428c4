"""Figures of counts, lengths and scores: data in, Axes out; ``runs`` saves them.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any colour vision tell apart.
matplotlib and its friends are imported when something is drawn, so that the command line starts fast.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    import pandas as pd
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
MOST_NAMED_BARS = 60  # more bars than this get no names: they would not be legible


@cache
def use_style() -> None:
    """Sets the house style, once a process. Every figure here does so; call it before drawing figures of your own."""
    import matplotlib.pyplot as plt
    from cycler import cycler

    plt.rcParams.update({**STYLE, "axes.prop_cycle": cycler(color=PALETTE)})


def axes_or_new(ax: "Axes | None", width: float, height: float) -> "Axes":
    """``ax``, or the only Axes of a new figure of that size (inches), whose layout makes room for all labels."""
    return new_axes(width, height)[0] if ax is None else ax


def new_axes(width: float, height: float, columns: int = 1) -> "np.ndarray":
    """The Axes, side by side, of a new figure of that size (inches) in the house style."""
    import matplotlib.pyplot as plt

    use_style()
    return plt.subplots(1, columns, figsize=(width, height), layout="constrained", squeeze=False)[1][0]


def readable(name: str) -> str:
    """A label's name as a person writes it.

    >>> readable("biological_process"), readable("macro_f1")
    ('biological process', 'macro F1')
    """
    return name.replace("_", " ").replace("f1", "F1")


def colours_of(names: Iterable[str]) -> list[str]:
    """A colour a name: an aspect's own, for others the palette's in turn."""
    return [ASPECT_COLOURS.get(name, PALETTE[i % len(PALETTE)]) for i, name in enumerate(names)]


def _filled(name: str, values: Iterable) -> np.ndarray:
    values = np.asarray(values)
    if values.size == 0:
        raise UsageError(expected(name, "at least one value", "none", remedy="Look at what was filtered out before."))
    return values


def counts_bar(
    counts: "Mapping[str, int] | pd.Series", *, title: str = "", unit: str = "terms", ax: "Axes | None" = None
) -> "Axes":
    """One bar a class, in the order given, labelled with its count and its share of all."""
    names, values = list(counts.keys()), _filled("counts", [counts[name] for name in counts.keys()])
    ax = axes_or_new(ax, 7, 0.9 + 0.45 * len(names))
    bars = ax.barh([readable(name) for name in names], values, color=colours_of(names), height=0.7)
    ax.bar_label(bars, [f"{n:,} ({n / max(1, values.sum()):.1%})" for n in values], padding=4)
    ax.invert_yaxis()  # the first class on top
    ax.set(xlabel=f"number of {unit}", title=title, xlim=(0, 1.3 * max(1, values.max())))  # room for the labels
    ax.xaxis.set_major_formatter("{x:,.0f}")
    return ax


def aspect_pie(shares: "Mapping[str, float] | pd.Series", *, title: str = "", ax: "Axes | None" = None) -> "Axes":
    """Shares (mean probabilities or counts; any sum above 0) as a pie, each slice named with its per cent."""
    names, values = list(shares.keys()), _filled("shares", [shares[name] for name in shares.keys()])
    if not (np.isfinite(values).all() and values.min() >= 0 and values.sum() > 0):
        raise UsageError(expected("shares", "numbers from 0 up, not all 0", values.tolist()))
    ax = axes_or_new(ax, 6, 4)
    labels = [f"{readable(name)}\n{share:.1%}" for name, share in zip(names, values / values.sum(), strict=True)]
    edges = {"edgecolor": "white", "linewidth": 2}
    ax.pie(values, labels=labels, colors=colours_of(names), startangle=90, counterclock=False, wedgeprops=edges)
    ax.set(title=title, aspect="equal")
    return ax


def word_count_boxes(
    counts: Sequence[int],
    groups: Sequence[str],
    *,
    title: str = "",
    unit: str = "words in a definition",
    ax: "Axes | None" = None,
) -> "Axes":
    """A box a group, named with its number of rows: quartiles, whiskers of 1.5 × their distance, outliers as faint dots.

    ``counts`` and ``groups`` are of equal length, a row each. The median is written beside its line.
    """
    counts, groups = _filled("counts", counts), np.asarray(groups, dtype=str)
    names = sorted(set(groups.tolist()))
    parts = [counts[groups == name] for name in names]
    ax = axes_or_new(ax, 7, 1 + 0.75 * len(names))
    labels = [f"{readable(name)}\n(n = {len(part):,})" for name, part in zip(names, parts, strict=True)]
    drawn = ax.boxplot(
        parts,
        orientation="horizontal",
        tick_labels=labels,
        widths=0.55,
        patch_artist=True,
        medianprops={"color": BLACK, "linewidth": 1.5},
        flierprops={
            "marker": "o",
            "markersize": 2.5,
            "markeredgecolor": "none",
            "markerfacecolor": GREY,
            "alpha": 0.25,
        },
    )
    for box, colour in zip(drawn["boxes"], colours_of(names), strict=True):
        box.set(facecolor=colour, alpha=0.75)
    for i, part in enumerate(parts, 1):
        below = {"xytext": (0, -2), "textcoords": "offset points", "ha": "center", "va": "top", "fontsize": 9}
        ax.annotate(f"{np.median(part):g}", (np.median(part), i + 0.28), **below)
    ax.grid(axis="x")
    ax.set(xlabel=unit, title=title, ylim=(len(names) + 0.65, 0.5))  # the first group on top
    return ax


def length_histogram(
    lengths: Sequence[int],
    *,
    title: str = "",
    unit: str = "characters in a definition",
    bins: int = 60,
    ax: "Axes | None" = None,
) -> "Axes":
    """A histogram with its density curve (Gaussian kernel, Scott's rule) in the same units, mean and quartiles marked."""
    from scipy.stats import gaussian_kde

    lengths = _filled("lengths", lengths)
    ax = axes_or_new(ax, 7, 3.6)
    _, edges, _ = ax.hist(lengths, bins=bins, color=SKY, edgecolor="white", linewidth=0.3)
    if lengths.std() > 0:
        grid = np.linspace(lengths.min(), lengths.max(), 400)
        per_bin = len(lengths) * (edges[1] - edges[0])  # a density integrates to 1, the bars to rows × bin width
        ax.plot(grid, gaussian_kde(lengths)(grid) * per_bin, color=BLUE, linewidth=1.8, label="density")
    low, middle, high = np.quantile(lengths, [0.25, 0.5, 0.75])
    ax.axvspan(low, high, color=GREY, alpha=0.12, linewidth=0, label=f"middle half, {low:.0f} to {high:.0f}")
    ax.axvline(middle, color=BLACK, linewidth=1.2, label=f"median {middle:.0f}")
    ax.axvline(lengths.mean(), color=VERMILLION, linewidth=1.2, linestyle="--", label=f"mean {lengths.mean():.0f}")
    ax.set(xlabel=unit, ylabel="definitions", title=title)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.legend()
    return ax


def word_cloud(
    texts: Iterable[str],
    *,
    seed: int,
    drop: Iterable[str] = (),
    colour: str | None = None,
    title: str = "",
    ax: "Axes | None" = None,
) -> "Axes":
    """The commonest words of all ``texts``, each as large as it is frequent; the same seed places them alike.

    Every text is read whole (a Series' own ``to_string`` would cut each at 50 characters and add row numbers).
    English stop words and the words in ``drop`` are left out. ``colour``: one for all words, else the palette's.
    Raises UsageError when no word is left.
    """
    from wordcloud import STOPWORDS, WordCloud

    inks = [colour] if colour else [c for c in PALETTE if c != YELLOW]
    cloud = WordCloud(
        width=800,
        height=800,
        background_color="white",
        min_font_size=10,
        min_word_length=3,  # no lone letters of L-alanine and the like; DNA and ATP stay
        collocations=False,  # else "binding" stands there once alone and once in each of its pairs
        stopwords=STOPWORDS | {word.lower() for word in drop},
        color_func=lambda *_, random_state, **__: random_state.choice(inks),
        random_state=seed,
    )
    try:
        cloud.generate(" ".join(texts))
    except ValueError:  # the library's own, for want of words
        raise UsageError(expected("texts", "some words that are not dropped", "none")) from None
    ax = axes_or_new(ax, 6, 6)
    ax.imshow(cloud, interpolation="bilinear")
    ax.set(title=title)
    ax.axis("off")
    return ax


def token_lengths(
    lengths: Sequence[int], *, max_length: int, title: str = "", bins: int = 60, ax: "Axes | None" = None
) -> "Axes":
    """Tokens a text before cutting, against ``max_length``: what lies beyond it in another colour, its share in the legend."""
    lengths = _filled("lengths", lengths)
    cut, lost = (lengths > max_length).mean(), np.clip(lengths - max_length, 0, None).sum() / lengths.sum()
    ax = axes_or_new(ax, 7, 3.6)
    # Bins of whole tokens, one of whose edges is the limit itself, so that no bar stands on both sides of it.
    width = max(1, -(-int(lengths.max()) // bins))
    first = max_length + 0.5 - width * -(-max_length // width)
    edges = np.arange(first, max(lengths.max(), max_length) + width + 0.5, width)
    kept = f"kept whole: {1 - cut:.1%} of texts"
    beyond = f"cut: {cut:.1%} of texts, {lost:.1%} of all tokens lost"
    ax.hist([lengths[lengths <= max_length], lengths[lengths > max_length]], bins=edges, stacked=True,
            color=[BLUE, VERMILLION], label=[kept, beyond], edgecolor="white", linewidth=0.3)  # fmt: skip
    ax.axvline(max_length + 0.5, color=BLACK, linestyle="--", linewidth=1.2, label=f"max_length {max_length}")
    ax.set(xlabel="tokens in a text, special tokens included", ylabel="texts", title=title)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.legend()
    return ax


def confusion_heatmap(
    confusion: np.ndarray, names: Sequence[str], *, title: str = "Which classes are confused?", ax: "Axes | None" = None
) -> "Axes":
    """Counts (true × predicted) in cells shaded by their share of the row, so that a rare class shows as well as a common one."""
    confusion = np.asarray(confusion)
    n = len(names)
    if confusion.shape != (n, n):
        raise UsageError(expected("confusion", f"of shape ({n}, {n})", confusion.shape))
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)  # (true, predicted), rows sum to 1
    ax = axes_or_new(ax, 2.4 + 1.15 * n, 1.3 + 1.0 * n)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(confusion):
        ink = "white" if shares[row, column] > 0.55 else BLACK
        ax.text(column, row, f"{count:,}\n{shares[row, column]:.1%}", ha="center", va="center", color=ink)
    labels = [fill(readable(name), 12) for name in names]
    ax.set_xticks(range(n), labels)
    ax.set_yticks(range(n), labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="predicted", ylabel="true", title=title)
    ax.figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
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

    _filled("history", history["epoch"])
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
    ax: "Axes | None" = None,
) -> "Axes":
    """Scores as points with their 95 % intervals: a group a metric, in it a point a model, numbers at the right.

    ``reports``: model → metrics, with ``<metric>``, ``<metric>_low`` and ``<metric>_high`` for each of ``metrics``.
    """
    models = list(reports)
    _filled("reports", models)
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
    ax.set(xlabel="score on the test rows, with its 95 % interval", title=title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=2)
    return ax


def stacked_aspect_bars(
    table: "pd.DataFrame",
    aspects: Sequence[str],
    *,
    title: str = "What do the abstracts speak of?",
    ax: "Axes | None" = None,
) -> "Axes":
    """A bar a row of ``table`` (columns ``id`` and the aspects, which sum to 1), ordered by main aspect and its share."""
    _filled("table", table["id"])
    values = table[list(aspects)].to_numpy(dtype=float)  # (abstracts, aspects)
    order = np.lexsort((-values.max(1), values.argmax(1)))
    n, values = len(values), values[order]
    ax = axes_or_new(ax, 8, 1.4 + 0.19 * n if n <= MOST_NAMED_BARS else 6)
    left = np.zeros(n)
    for column, (aspect, colour) in enumerate(zip(aspects, colours_of(aspects), strict=True)):
        height = 0.82 if n <= MOST_NAMED_BARS else 1.0
        ax.barh(range(n), values[:, column], left=left, height=height, color=colour, label=readable(aspect))
        left += values[:, column]
    ax.set_yticks(range(n), table["id"].to_numpy()[order]) if n <= MOST_NAMED_BARS else ax.set_yticks([])
    ax.tick_params(axis="y", labelsize=8, length=0)
    ax.set(
        xlim=(0, 1), ylim=(n - 0.5, -0.5), xlabel="mean probability over the sentences", ylabel=f"abstracts (n = {n:,})"
    )
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.set_title(title, pad=26)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(aspects), borderaxespad=0.2)
    return ax
