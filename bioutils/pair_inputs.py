"""Pairs of marked units as a link head sees them: which are to be joined, and what is marked around them.

A *construction* says which pairs are to be joined (the earlier system's link heads).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bioutils.annotation_inputs import Marked
from bioutils.errors import UsageError, expected

CONSTRUCTIONS = {
    "link_only": "both are in one link",
    "link_same_tag_only": "both are in one tag",
    "link_all": "in one link or in one tag, as one label",
    "link_same_tag_and_link": "two labels: in one tag, in one link",
    "link_same_tag_only_split": "in one tag, a label a value of the tag",
    "link_same_tag_and_link_split": "in one link, and in one tag, a label a value of the tag",
}
BETWEEN = "in one sentence", "in neighbouring sentences", "farther apart", "in one tag"


class Pairs(NamedTuple):
    """What a link head is asked of a text: the ``units`` (n,) that are marked at all; ``marks`` (n, k): what is marked around
    each; ``between`` (n, n): numbers in ``BETWEEN``; and which labels join each two, boolean (n, n, labels), symmetric."""

    units: np.ndarray
    marks: np.ndarray
    between: np.ndarray
    joined: np.ndarray


def link_labels(documents: Sequence[Marked], construction: str) -> tuple[str, ...]:
    """The outputs of a link head. Raises UsageError for an unknown construction."""
    if construction not in CONSTRUCTIONS:
        raise UsageError(expected("construction", "a known one", construction, available=CONSTRUCTIONS))
    split = tuple(f"tag {value}" for value in _values(documents)) if construction.endswith("split") else ("tag",)
    return {
        "link_only": ("link",), "link_same_tag_only": ("tag",), "link_all": ("link or tag",),
        "link_same_tag_and_link": ("tag", "link"), "link_same_tag_only_split": split,
        "link_same_tag_and_link_split": (*split, "link"),
    }[construction]  # fmt: skip


def _values(documents: Sequence[Marked]) -> list[str]:
    return sorted({value for marked in documents for values in marked.values for value in values.values() if value})


def link_pairs(marked: Marked, construction: str, labels: Sequence[str], categories: Sequence[str] = ()) -> Pairs:
    """The pairs of a text under a construction; with ``categories``, what is marked of these around each unit.

    A unit is joined with itself; who scores pairs takes those above the diagonal.
    """
    units = np.unique(np.concatenate([np.zeros(0, dtype=int), *marked.spans]))
    number = {label: i for i, label in enumerate(labels)}
    place = {
        span.id: np.searchsorted(units, found) for span, found in zip(marked.document.spans, marked.spans, strict=True)
    }
    found = np.zeros((len(units), len(units), len(labels)), dtype=bool)
    tag, link = "link_same_tag" in construction or construction == "link_all", "only" not in construction
    if tag:
        for span, values in zip(marked.document.spans, marked.values, strict=True):
            names = [f"tag {v}" for v in values.values()] if construction.endswith("split") else ["tag"]
            for name in ["link or tag"] if construction == "link_all" else names:
                if name in number:
                    found[np.ix_(place[span.id], place[span.id], [number[name]])] = True
    if link or construction == "link_only":
        name = number["link or tag" if construction == "link_all" else "link"]
        for members in marked.document.links:
            joined = np.concatenate(
                [place[target] for _, target in members.members if target in place] or [np.zeros(0, int)]
            )
            found[np.ix_(joined, joined, [name])] = True
    marks = unit_marks(marked, units, categories) if categories else np.zeros((len(units), 0), dtype=np.float32)
    return Pairs(units, marks, _between(marked, units, place.values()), found)


def no_pairs(pairs: Pairs) -> Pairs:
    """Pairs of nothing, with the same labels."""
    return Pairs(pairs.units[:0], pairs.marks[:0], pairs.between[:0, :0], pairs.joined[:0, :0])


def pairs_of(found: np.ndarray) -> np.ndarray:
    """The pairs above the diagonal of (n, n, labels), booleans (pairs, labels)."""
    return found[np.triu_indices(len(found), 1)].astype(bool)


def n_marks(n_categories: int) -> int:
    """How many numbers ``unit_marks`` gives of a unit."""
    return 4 * n_categories + 9


def unit_marks(marked: Marked, units: np.ndarray, categories: Sequence[str]) -> np.ndarray:
    """What is marked at and around units, (units, 4 · categories + 9), float32.

    Of the unit: its categories. Of its sentence: the categories in it, the logarithm of their tags, their share of all
    categories, whether these are all, whether no sentence has more, the logarithm of its marked units, where it stands in the
    text, how near to its end, how many sentences have as many categories, how many later ones, whether it is the last of these.
    Of the document: its categories.
    """
    number = {category: i for i, category in enumerate(categories)}
    own = np.zeros((len(units), len(categories)))
    names, of_unit, sizes = np.unique(marked.sentences[units], return_inverse=True, return_counts=True)
    tags = np.zeros((len(names), len(categories)))
    for span, found in zip(marked.document.spans, marked.spans, strict=True):
        if span.type in number:
            own[np.searchsorted(units, found), number[span.type]] = 1
            tags[np.searchsorted(names, np.unique(marked.sentences[found])), number[span.type]] += 1
    if not len(units):
        return np.zeros((0, n_marks(len(categories))), dtype=np.float32)
    there, last = tags > 0, marked.sentences.max()
    many = there.sum(1)
    as_many = np.array([(many >= n).sum() for n in many])
    later = np.array([(many[i + 1 :] >= n).sum() for i, n in enumerate(many)])
    sentence = np.column_stack([
        there, np.log1p(tags), many / len(categories), many == len(categories), many == many.max(), np.log1p(sizes),
        names / last, 1 / (1 + last - names), np.log1p(as_many), np.log1p(later), later == 0,
    ])  # fmt: skip
    document = np.repeat(there.any(0)[None], len(units), axis=0)
    return np.hstack([own, sentence[of_unit], document]).astype(np.float32)


def _between(marked: Marked, units: np.ndarray, tags: Iterable[np.ndarray]) -> np.ndarray:
    sentences = marked.sentences[units]
    found = np.minimum(np.abs(sentences[:, None] - sentences[None]), BETWEEN.index("farther apart"))
    for places in tags:
        found[np.ix_(places, places)] = BETWEEN.index("in one tag")
    return found
