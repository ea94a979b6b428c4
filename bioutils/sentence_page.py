"""Abstracts to read, each sentence on the colour of its aspect: one page that needs nothing but a browser."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.pages import render
from bioutils.plots.style import colours_of, readable

if TYPE_CHECKING:
    import pandas as pd


def sentence_page(
    abstracts: "pd.DataFrame",
    sentences: "pd.DataFrame",
    names: Sequence[str],
    *,
    threshold: float = 0.0,
    title: str = "Sentences by GO aspect",
) -> str:
    """The page, HTML: a paragraph an abstract, a sentence darker the surer its answer, grey below ``threshold``.

    ``abstracts`` and ``sentences`` are the tables of score_abstracts and score_sentences; pointing at a sentence shows its
    probabilities. All text is escaped.
    """
    names, colours = list(names), colours_of(names)
    groups = dict(iter(sentences.groupby("id", sort=False)))
    shown = []
    for row in abstracts.to_dict("records"):
        means = np.array([row[name] for name in names], dtype=float)
        if row["id"] not in groups or np.isnan(means).any():
            continue
        rows = groups[row["id"]].to_dict("records")
        shown.append(
            {
                "id": row["id"],
                "title": row["title"],
                "tip": _numbers(names, means),
                "shares": [(round(100 * mean, 1), colour) for mean, colour in zip(means, colours, strict=True)],
                "sentences": [_sentence(r, names, colours, threshold) for r in rows],
            }
        )
    note = "The darker, the surer. Point at a sentence to see its three probabilities."
    if threshold > 0:
        note += f" Grey: its largest probability is below {threshold:.3f}, so no answer is given."
    legend = [(readable(name), colour) for name, colour in zip(names, colours, strict=True)]
    return render("sentences.html.j2", title=title, note=note, colours=legend, abstracts=shown)


def _numbers(names: Sequence[str], values: Sequence[float] | np.ndarray) -> str:
    return ", ".join(f"{readable(name)} {value:.1%}" for name, value in zip(names, values, strict=True))


def _sentence(row: dict, names: Sequence[str], colours: Sequence[str], threshold: float) -> dict[str, str]:
    values = [row[name] for name in names]
    best = int(np.argmax(values))
    # Opacity from a third of the scale on: at 1/3 the model knows nothing, and the colour should say so.
    strength = max(0.0, (values[best] - 1 / 3) * 1.5)
    colour = f"{colours[best]}{int(30 + 110 * strength):02X}" if values[best] >= threshold else ""
    return {"text": row["sentence"], "tip": _numbers(names, values), "colour": colour}
