"""Figures of what a corpus holds: counts, shares, lengths, words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.plots.style import (
    BLACK,
    BLUE,
    GREY,
    PALETTE,
    SKY,
    VERMILLION,
    YELLOW,
    axes_or_new,
    colours_of,
    filled,
    readable,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def counts_bar(
    counts: "Mapping[str, int] | pd.Series", *, title: str = "", unit: str = "terms", ax: "Axes | None" = None
) -> "Axes":
    """One bar a class, in the order given, labelled with its count and its share of all."""
    names, values = list(counts.keys()), filled("counts", [counts[name] for name in counts.keys()])
    ax = axes_or_new(ax, 7, 0.9 + 0.45 * len(names))
    bars = ax.barh([readable(name) for name in names], values, color=colours_of(names), height=0.7)
    ax.bar_label(bars, [f"{n:,} ({n / max(1, values.sum()):.1%})" for n in values], padding=4)
    ax.invert_yaxis()  # the first class on top
    ax.set(xlabel=f"number of {unit}", title=title, xlim=(0, 1.3 * max(1, values.max())))  # room for the labels
    ax.xaxis.set_major_formatter("{x:,.0f}")
    return ax


def aspect_pie(shares: "Mapping[str, float] | pd.Series", *, title: str = "", ax: "Axes | None" = None) -> "Axes":
    """Shares (mean probabilities or counts; any sum above 0) as a pie, each slice named with its per cent."""
    names, values = list(shares.keys()), filled("shares", [shares[name] for name in shares.keys()])
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
    counts, groups = filled("counts", counts), np.asarray(groups, dtype=str)
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
        flierprops={"marker": ".", "markersize": 4, "markeredgecolor": "none", "markerfacecolor": GREY, "alpha": 0.5},
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
    things: str = "definitions",
    bins: int = 60,
    ax: "Axes | None" = None,
) -> "Axes":
    """A histogram with its density curve (Gaussian kernel, Scott's rule) in the same units, mean and quartiles marked."""
    from scipy.stats import gaussian_kde

    lengths = filled("lengths", lengths)
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
    ax.set(xlabel=unit, ylabel=things, title=title)
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
    lengths = filled("lengths", lengths)
    cut, lost = (lengths > max_length).mean(), np.clip(lengths - max_length, 0, None).sum() / lengths.sum()
    ax = axes_or_new(ax, 7, 3.6)
    # Bins of whole tokens, one of whose edges is the limit itself, so that no bar stands on both sides of it.
    width = max(1, -(-int(lengths.max()) // bins))
    first = max_length + 0.5 - width * -(-max_length // width)
    edges = np.arange(first, max(lengths.max(), max_length) + width + 0.5, width)
    kept = f"kept whole: {1 - cut:.1%} of texts"
    beyond = f"cut: {cut:.1%} of texts, {lost:.1%} of all tokens lost"
    look = {"edgecolor": "white", "linewidth": 0.3}
    ax.hist(lengths[lengths <= max_length], bins=edges, color=BLUE, label=kept, **look)
    ax.hist(lengths[lengths > max_length], bins=edges, color=VERMILLION, label=beyond, **look)
    ax.axvline(max_length + 0.5, color=BLACK, linestyle="--", linewidth=1.2, label=f"max_length {max_length}")
    ax.set(xlabel="tokens in a text, special tokens included", ylabel="texts", title=title)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.legend(loc="upper right", frameon=True, edgecolor="none", framealpha=0.9)  # the limit may pass behind it
    return ax
