"""How well annotators agree: on spans, on tokens, on labels and on links, beside what chance alone would give.

Span F1 treats one annotator as the truth and does not depend on which (Hripcsak & Rothschild 2005, JAMIA 12:296): where most of
a text is unmarked it is the measure, as chance agreement tends to zero. Cohen's κ (1960) and Krippendorff's α (2011) correct for
chance on tokens and on labels. Categories and labels are read from the data.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bioutils.corpora.records import Document
from bioutils.evaluation.copies import (
    ALL,
    Copies,
    labels_of,
    links_between_same,
    of_category,
    place_of,
    same_spans,
    shares,
    token_categories,
)

if TYPE_CHECKING:
    import pandas as pd

WORD = re.compile(r"\S+")


def pair_table(copies: Copies, *, n_bootstrap: int = 1000, seed: int = 0) -> "pd.DataFrame":
    """A row a pair of annotators and category, "all" last: ``first, second, category, n_first, n_second``; ``exact_f1`` (places
    and category equal) with its 95 % interval over texts, ``overlap_f1`` (a character shared), ``token_f1``; ``token_kappa``;
    over spans with equal places ``labels_equal`` and ``label_kappa``. NaN where there is nothing to agree on."""
    import pandas as pd

    rows = []
    for i, j in combinations(range(len(copies.annotators)), 2):
        pairs = [(row[i], row[j]) for row in copies.documents]
        tokens = [(token_categories(one), token_categories(other)) for one, other in pairs]
        for category in [*copies.categories, ALL]:
            scores = _pair(pairs, tokens, category, n_bootstrap, seed)
            rows.append({"first": copies.annotators[i], "second": copies.annotators[j], "category": category} | scores)
    return pd.DataFrame(rows)


def _pair(pairs, tokens, category: str, n_bootstrap: int, seed: int) -> dict[str, float]:
    exact = [same_spans(one, other, category) for one, other in pairs]
    marked = [(of_category(one, category), of_category(other, category)) for one, other in pairs]
    sizes = np.array([(len(ours), len(theirs)) for ours, theirs in marked])
    hits = np.array([len(found) for found in exact])
    times = np.random.default_rng(seed).multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=n_bootstrap)
    drawn = _ratio(2 * times @ hits, times @ sizes.sum(1))
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if sizes.sum() else (np.nan, np.nan)
    touched = sum(
        sum(any(a.type == b.type and shares(a, b) for b in there) for a in here)
        for ours, theirs in marked
        for here, there in ((ours, theirs), (theirs, ours))
    )
    both = one_side = 0
    first, second = [], []
    for ours, theirs in tokens:
        for a, b in zip(ours, theirs, strict=True):
            if category != ALL:
                a, b = a & {category}, b & {category}
            both += 2 * len(a & b)
            one_side += len(a) + len(b)
            first.append("+".join(sorted(a)))
            second.append("+".join(sorted(b)))
    labels = [(labels_of(one), labels_of(other)) for one, other in pairs]
    matched = [
        (mine[a.id], theirs[b.id]) for (mine, theirs), found in zip(labels, exact, strict=True) for a, b in found
    ]
    return {
        "n_first": int(sizes[:, 0].sum()), "n_second": int(sizes[:, 1].sum()),
        "exact_f1": float(_ratio(2 * hits.sum(), sizes.sum())), "exact_f1_low": float(low), "exact_f1_high": float(high),
        "overlap_f1": float(_ratio(touched, sizes.sum())), "token_f1": float(_ratio(both, one_side)),
        "token_kappa": kappa(first, second), "labels_equal": float(_ratio(sum(a == b for a, b in matched), len(matched))),
        "label_kappa": kappa([str(a) for a, _ in matched], [str(b) for _, b in matched]),
    }  # fmt: skip


def _ratio(part, whole):
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """Cohen's κ of two annotators' answers to the same questions: 1 is full agreement, 0 what chance would give, below 0 less.

    NaN where there is no question, or where both gave one and the same answer throughout: chance would agree as well.

    >>> kappa(list("aabb"), list("aabb")), kappa(list("aabb"), list("abab"))
    (1.0, 0.0)
    """
    if not len(first):
        return float("nan")
    answers = sorted(set(first) | set(second))
    number = {answer: i for i, answer in enumerate(answers)}
    table = np.zeros((len(answers), len(answers)))
    np.add.at(table, ([number[a] for a in first], [number[b] for b in second]), 1)
    table /= table.sum()
    chance = float(table.sum(0) @ table.sum(1))
    return float((np.trace(table) - chance) / (1 - chance)) if chance < 1 else float("nan")


def alpha(answers: Sequence[Sequence[str | None]]) -> float:
    """Krippendorff's α for names (nominal data): a row a question, an answer an annotator, None where one gave none.

    As ``kappa`` reads, for any number of annotators. NaN where nothing can be compared or nothing varies.

    >>> round(alpha([["a", "a"], ["b", "b"], ["a", "b"], ["b", "b"]]), 3)
    0.533
    """
    counts = [Counter(answer for answer in row if answer is not None) for row in answers]
    counts = [row for row in counts if row.total() > 1]  # a single answer says nothing of agreement
    names = sorted({name for row in counts for name in row})
    table = np.array([[row[name] for name in names] for row in counts], dtype=float).reshape(len(counts), len(names))
    total, sizes = table.sum(), table.sum(1)
    if total <= 1 or len(names) < 2:
        return float("nan")
    observed = ((sizes**2 - (table**2).sum(1)) / (sizes - 1)).sum() / total
    chance = (total**2 - (table.sum(0) ** 2).sum()) / (total * (total - 1))
    return float(1 - observed / chance)


def alpha_table(copies: Copies) -> "pd.DataFrame":
    """A row a category, "all" last: ``category, token_alpha`` over all annotators, ``label_alpha`` over the places that two or
    more of them marked alike, and ``n_places`` of these."""
    import pandas as pd

    tokens = [list(zip(*map(token_categories, row), strict=True)) for row in copies.documents]
    rows = []
    for category in [*copies.categories, ALL]:
        answers = [
            ["+".join(sorted(a if category == ALL else a & {category})) for a in token]
            for text in tokens
            for token in text
        ]
        places: dict[tuple, list[list | None]] = {}
        for number, row in enumerate(copies.documents):
            for annotator, document in enumerate(row):
                labels = labels_of(document)
                for span in of_category(document, category):
                    found = places.setdefault((number, *place_of(span)), [None] * len(row))
                    found[annotator] = sorted([*(found[annotator] or []), labels[span.id]])
        shared = [
            [None if labels is None else str(labels) for labels in values]
            for values in places.values()
            if sum(labels is not None for labels in values) > 1
        ]
        rows.append((category, alpha(answers), alpha(shared), len(shared)))
    return pd.DataFrame(rows, columns=["category", "token_alpha", "label_alpha", "n_places"])


def link_table(copies: Copies) -> "pd.DataFrame":
    """A row a pair of annotators: ``n_first, n_second`` links; those whose ends both marked alike (``agreed_first,
    agreed_second``); and among these ``f1``, of links that join the same ends in the same roles. NaN where there are none."""
    import pandas as pd

    rows = []
    for i, j in combinations(range(len(copies.annotators)), 2):
        numbers, hits = Counter(), 0
        for row in copies.documents:
            found = links_between_same(row[i], row[j])
            for side, document in enumerate((row[i], row[j])):
                numbers["n", side] += len(document.links)
                numbers["agreed", side] += len(found[side])
            hits += (Counter(key for _, key in found[0]) & Counter(key for _, key in found[1])).total()
        agreed = numbers["agreed", 0] + numbers["agreed", 1]
        rows.append((
            copies.annotators[i], copies.annotators[j], numbers["n", 0], numbers["n", 1], numbers["agreed", 0],
            numbers["agreed", 1], float(_ratio(2 * hits, agreed)),
        ))  # fmt: skip
    columns = ["first", "second", "n_first", "n_second", "agreed_first", "agreed_second", "f1"]
    return pd.DataFrame(rows, columns=columns)


def word_score(one: Document, other: Document) -> tuple[float, int]:
    """The earlier tool's score of a text: over the words that either tagged, matching values ÷ values that could match, summed,
    and the number of these words. A word is what stands between blanks; a value counts as often as a span brings it."""
    sides = []
    for document in (one, other):
        labels = labels_of(document)
        words = [match.span() for match in WORD.finditer(document.text)]
        found: list[Counter] = [Counter() for _ in words]
        for span in document.spans:
            for place, (first, last) in enumerate(words):
                if any(first < end and start < last for start, end in span.pieces):
                    found[place].update((span.type, *value) for value in labels[span.id])
        sides.append(found)
    score, n = 0.0, 0
    for mine, theirs in zip(*sides, strict=True):
        if either := (mine | theirs).total():
            score += (mine & theirs).total() / either
            n += 1
    return score, n
