"""Annotated documents as targets of heads: units of the text, and labels on them.

A *layer* is what a head learns: ``category`` (the tags' categories), a category (its values) or ``CATEGORY.attribute`` where it
has several.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bioutils.corpora.records import Document, values_of
from bioutils.corpora.tags import TokenSpan, to_spans
from bioutils.corpora.units import unit_places
from bioutils.errors import UsageError, expected
from bioutils.text import sentences

CATEGORY = "category"
SCHEMES = {"none": "", "BIO": "IOB2", "BIOES": "IOBES"}  # here → in corpora.tags; none: the label alone on every unit
WORD = re.compile(r"\S+")


class Marked(NamedTuple):
    """A document in units. ``places`` (units, 2): offsets; ``words`` (units,): the number of the word between white space that
    each is part of; ``sentences`` (units,): that of its sentence; ``spans``: of each span of the document the numbers of its
    units; ``values``: its attributes."""

    document: Document
    places: np.ndarray
    words: np.ndarray
    sentences: np.ndarray
    spans: list[np.ndarray]
    values: list[dict[str, str]]

    @property
    def units(self) -> list[str]:
        """The units' texts."""
        return [self.document.text[start:end] for start, end in self.places]


def mark(document: Document) -> Marked:
    """The units of a document's text and the spans on them; a span that begins or ends inside a unit covers it."""
    text = document.text
    places = np.array(unit_places(text), dtype=int).reshape(-1, 2)
    starts = np.array([match.start() for match in WORD.finditer(text)], dtype=int)
    words = np.searchsorted(starts, places[:, 0], side="right") - 1
    begins = np.array([sentence.start for sentence in sentences(text)], dtype=int)
    of_sentence = np.searchsorted(begins, places[:, 0], side="right")
    spans = [
        np.unique(np.concatenate([np.flatnonzero((places[:, 0] < end) & (places[:, 1] > start)) for start, end in s.pieces]))
        for s in document.spans
    ]  # fmt: skip
    values = values_of(document)
    return Marked(document, places, words, of_sentence, spans, [values.get(span.id, {}) for span in document.spans])


def span_labels(marked: Marked, layer: str) -> list[str]:
    """The label of each span in a layer; "" where it has none. Raises UsageError for a category with several attributes."""
    if layer == CATEGORY:
        return [span.type for span in marked.document.spans]
    category, _, attribute = layer.partition(".")
    found = []
    for span, values in zip(marked.document.spans, marked.values, strict=True):
        if span.type != category:
            found.append("")
        elif attribute:
            found.append(values.get(attribute, ""))
        elif len(values) > 1:
            known = [f"{category}.{name}" for name in values]
            raise UsageError(expected("layer", "one attribute of the category", layer, available=known))
        else:
            found.append(next(iter(values.values()), ""))
    return found


def labels_in(documents: Sequence[Marked], layer: str, *, known: Sequence[str] = ()) -> tuple[str, ...]:
    """The labels of a layer: those ``known`` as they are, then the others, the most frequent (by units) first, ties by name.

    Raises UsageError where there is none.
    """
    counts: Counter[str] = Counter()
    for marked in documents:
        for label, units in zip(span_labels(marked, layer), marked.spans, strict=True):
            if label:
                counts[label] += len(units)
    if not counts and not known:
        categories = sorted({span.type for marked in documents for span in marked.document.spans})
        raise UsageError(expected("layer", "one with labels", layer, available=[CATEGORY, *categories]))
    others = sorted(counts.keys() - set(known), key=lambda label: (-counts[label], label))
    return (*known, *others)


def tags_of(labels: Sequence[str], scheme: str) -> tuple[str, ...]:
    """The outputs of a head for labels: as they are without a scheme, else one a letter. Raises UsageError for another scheme."""
    if scheme not in SCHEMES:
        raise UsageError(expected("scheme", "a known one", scheme, available=SCHEMES))
    letters = {"none": ("",), "BIO": ("B-", "I-"), "BIOES": ("B-", "I-", "E-", "S-")}[scheme]
    return tuple(letter + label for label in labels for letter in letters)


def tag_array(marked: Marked, layer: str, labels: Sequence[str], scheme: str = "none") -> np.ndarray:
    """Which tags are on each unit, boolean (units, tags in ``tags_of``'s order); a label that is not among ``labels`` is none."""
    tags = {tag: i for i, tag in enumerate(tags_of(labels, scheme))}
    found = np.zeros((len(marked.places), len(tags)), dtype=bool)
    for label, units in zip(span_labels(marked, layer), marked.spans, strict=True):
        if label not in labels:
            continue
        for run in np.split(units, np.flatnonzero(np.diff(units) > 1) + 1):
            for place, unit in enumerate(run):
                found[unit, tags[_letter(scheme, place, len(run)) + label]] = True
    return found


def _letter(scheme: str, place: int, n: int) -> str:
    if scheme == "none":
        return ""
    if scheme == "BIOES" and (n == 1 or place == n - 1):
        return "S-" if n == 1 else "E-"
    return "B-" if place == 0 else "I-"


def single(found: np.ndarray) -> np.ndarray:
    """One label a unit, (units,): 0 for none, else 1 + the first, which is the most frequent, of those that are on it."""
    return np.where(found.any(1), 1 + found.argmax(1), 0)


def runs(answers: np.ndarray, labels: Sequence[str], scheme: str = "none") -> list[TokenSpan]:
    """The spans in one label a unit (0 for none): without a scheme, units of one label that stand together."""
    if scheme != "none":
        names = ["O", *tags_of(labels, scheme)]
        return to_spans([names[i] for i in answers], SCHEMES[scheme])
    edges = [0, *(np.flatnonzero(np.diff(answers)) + 1), len(answers)]
    return [
        TokenSpan(int(a), int(b), labels[answers[a] - 1])
        for a, b in zip(edges, edges[1:], strict=False)
        if a < b and answers[a]
    ]
