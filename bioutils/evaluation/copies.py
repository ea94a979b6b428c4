"""The same texts by several annotators, set side by side: what they share and which of their spans and links are the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bioutils.corpora.records import Document, Link, Span, one_task
from bioutils.corpora.units import UNIT
from bioutils.errors import DataError, UsageError, expected

ALL = "all"


@dataclass(frozen=True)
class Copies:
    """The same texts by several annotators: ``documents`` a text, in their order. ``alone``: texts that not all have, by name."""

    annotators: tuple[str, ...]
    documents: tuple[tuple[Document, ...], ...]
    alone: dict[str, int]

    @property
    def categories(self) -> list[str]:
        """Of all annotators; one that a single annotator used is among them."""
        return sorted({span.type for copies in self.documents for document in copies for span in document.spans})


def align(copies: Mapping[str, Iterable[Document]]) -> Copies:
    """The texts (by ``group``) that every annotator has.

    Raises UsageError for fewer than two annotators, no common text, and documents of several tasks (``records.one_task``);
    DataError where an annotator has two copies of a text, and where copies of a text differ: offsets would mean different words.
    """
    if len(copies) < 2:
        raise UsageError(expected("annotators", "two or more", list(copies)))
    copies = {name: list(documents) for name, documents in copies.items()}
    one_task(copies)
    by_group = {name: _by_text(name, documents) for name, documents in copies.items()}
    common = sorted(set.intersection(*(set(found) for found in by_group.values())))
    if not common:
        examples = {name: sorted(found)[:3] for name, found in by_group.items()}
        raise UsageError(f"No text was annotated by all of {list(copies)}: {examples}. Name folders of the same texts.")
    rows = tuple(tuple(found[group] for found in by_group.values()) for group in common)
    different = [group for group, row in zip(common, rows, strict=True) if len({d.text for d in row}) > 1]
    if different:
        raise DataError(
            f"The annotators' texts differ in {len(different)} of {len(common)}: {different[:5]}. Compare copies of one text."
        )
    return Copies(tuple(copies), rows, {name: len(found) - len(common) for name, found in by_group.items()})


def _by_text(annotator: str, documents: Iterable[Document]) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for document in documents:
        text = document.group or document.id
        if text in found:
            twice = f"{found[text].id} and {document.id}"
            raise DataError(f"Expected {annotator} to have one copy of the text {text}, found {twice}. Leave one out.")
        found[text] = document
    return found


def not_used_by_all(copies: Copies) -> dict[str, tuple[str, ...]]:
    """Category or ``CATEGORY.attribute`` → the annotators who use it, where some do not: of these, no score can be above 0."""
    users: dict[tuple[str, str], set[str]] = {}
    for row in copies.documents:
        for annotator, document in zip(copies.annotators, row, strict=True):
            labels = labels_of(document)
            for span in document.spans:
                for attribute in ("", *(name for name, _ in labels[span.id])):
                    users.setdefault((span.type, attribute), set()).add(annotator)
    found, n = {}, len(copies.annotators)
    for (category, attribute), by in sorted(users.items()):
        # Of a category that not all use, the attributes need no mention.
        if len(by) < n and (not attribute or len(users[category, ""]) == n):
            name = f"{category}.{attribute}" if attribute else category
            found[name] = tuple(a for a in copies.annotators if a in by)
    return found


def labels_of(document: Document) -> dict[str, tuple[tuple[str, str], ...]]:
    """The values of each span, by its id: its remarks as (name, value), sorted."""
    found: dict[str, list[tuple[str, str]]] = {span.id: [] for span in document.spans}
    for remark in document.remarks:
        if remark.target in found:
            found[remark.target].append((remark.type, remark.value))
    return {name: tuple(sorted(values)) for name, values in found.items()}


def token_categories(document: Document) -> list[frozenset[str]]:
    """The categories on each token (a run of letters and digits, or a single sign), none where it is outside of all."""
    tokens = [match.span() for match in UNIT.finditer(document.text)]
    found: list[set[str]] = [set() for _ in tokens]
    for span in document.spans:
        for start, end in span.pieces:
            for place, (first, last) in enumerate(tokens):
                if first < end and start < last:
                    found[place].add(span.type)
    return [frozenset(categories) for categories in found]


def shares(one: Span, other: Span) -> bool:
    """Whether both have a character in common."""
    return any(a < d and c < b for a, b in one.pieces for c, d in other.pieces)


def same_spans(one: Document, other: Document, category: str) -> list[tuple[Span, Span]]:
    """The pairs of spans with one category and the same places, each span in one pair, those with equal labels first."""
    labels, left = (labels_of(one), labels_of(other)), {}
    for span in other.spans:
        left.setdefault(place_of(span), []).append(span)
    pairs: dict[str, tuple[Span, Span]] = {}
    for equal in (True, False):
        for span in of_category(one, category):
            there = left.get(place_of(span), []) if span.id not in pairs else []
            found = next((s for s in there if not equal or labels[1][s.id] == labels[0][span.id]), None)
            if found:
                pairs[span.id] = (span, found)
                there.remove(found)
    return list(pairs.values())


def place_of(span: Span) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The category and where it stands, whichever piece was marked first."""
    return span.type, tuple(sorted(span.pieces))


def of_category(document: Document, category: str) -> list[Span]:
    """The spans of a category, or of ALL."""
    return [span for span in document.spans if category in (ALL, span.type)]


def links_between_same(one: Document, other: Document) -> tuple[list[tuple[Link, tuple]], list[tuple[Link, tuple]]]:
    """Each document's links between spans that both have; with each, what it joins in which roles, comparable across the two."""
    found, same = ([], []), same_spans(one, other, ALL)
    for side, document in enumerate((one, other)):
        number = {pair[side].id: k for k, pair in enumerate(same)}
        for link in document.links:
            if link.members and all(target in number for _, target in link.members):
                key = (link.type, frozenset((role, number[target]) for role, target in link.members))
                found[side].append((link, key))
    return found
