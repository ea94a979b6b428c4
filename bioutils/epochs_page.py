"""One page on which vectors move: a slider over epochs, a choice of maps, the text under the pointer. Needs no network."""

from collections.abc import Mapping, Sequence

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.pages import render, script_json
from bioutils.plots.style import colours_of, readable


def epochs_page(
    maps: Mapping[str, np.ndarray],
    *,
    labels: Sequence[int] | np.ndarray,
    predictions: np.ndarray,
    names: Sequence[str],
    titles: Sequence[str],
    texts: Sequence[str],
    title: str = "Sentence vectors, epoch by epoch",
) -> str:
    """The page, HTML. ``maps``: name → points (epochs, texts, 2); ``predictions``: the classes answered (epochs, texts).

    ``titles`` and ``texts`` are shown under the pointer, as text: nothing in them can become markup. Raises UsageError where
    the shapes do not fit.
    """
    if not maps:
        raise UsageError("Expected maps to hold one or more, found none.")
    epochs, n = np.asarray(predictions).shape
    for name, points in maps.items():
        if np.shape(points) != (epochs, n, 2):
            raise UsageError(expected(name, f"of shape ({epochs}, {n}, 2)", np.shape(points)))
    for name, values in (("labels", labels), ("titles", titles), ("texts", texts)):
        if len(values) != n:
            raise UsageError(expected(name, f"{n}, one a text", len(values)))
    data = {
        "maps": {name: _unit(points) for name, points in maps.items()},
        "labels": [int(label) for label in labels],
        "predictions": np.asarray(predictions).astype(int).tolist(),
        "names": [readable(name) for name in names],
        "colours": colours_of(names),
        "titles": list(titles),
        "texts": list(texts),
    }
    # Inside a script only "<" could end it.
    script = script_json(data)
    return render("epochs.html.j2", title=title, data=script, maps=list(maps), epochs=epochs, n=n)


def _unit(points: np.ndarray) -> list:
    """Points in [0, 1]², one scale for both axes and all epochs, four digits: a page of kilobytes and not megabytes."""
    flat = np.asarray(points, dtype=float).reshape(-1, 2)
    low, span = flat.min(0), np.ptp(flat, axis=0).max() or 1.0
    centred = (np.asarray(points, dtype=float) - low - np.ptp(flat, axis=0) / 2) / span + 0.5
    return np.round(centred, 4).tolist()
