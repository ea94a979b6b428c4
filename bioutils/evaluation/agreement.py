"""How well annotators agree: on spans, on tokens, on labels and on links, beside what chance alone would give.

Span F1 treats one annotator as the truth and does not depend on which (Hripcsak & Rothschild 2005, JAMIA 12:296): where most of
a text is unmarked it is the measure, as chance agreement tends to zero. Cohen's κ (1960) and Krippendorff's α (2011) correct for
chance on tokens and on labels. Categories and labels are read from the data.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bioutils.corpora.records import Document, Link, Span, one_task
from bioutils.corpora.units import UNIT
from bioutils.errors import DataError, UsageError, expected

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
WORD = re.compile(r"\S+")


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


def _shares(one: Span, other: Span) -> bool:
    return any(a < d and c < b for a, b in one.pieces for c, d in other.pieces)


def _exact(one: Document, other: Document, category: str) -> list[tuple[Span, Span]]:
    """The pairs of spans with one category and the same places, each span in one pair, those with equal labels first."""
    labels, left = (labels_of(one), labels_of(other)), {}
    for span in other.spans:
        left.setdefault(_place(span), []).append(span)
    pairs: dict[str, tuple[Span, Span]] = {}
    for equal in (True, False):
        for span in _of(one, category):
            there = left.get(_place(span), []) if span.id not in pairs else []
            found = next((s for s in there if not equal or labels[1][s.id] == labels[0][span.id]), None)
            if found:
                pairs[span.id] = (span, found)
                there.remove(found)
    return list(pairs.values())


def _place(span: Span) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The category and where it stands, whichever piece was marked first."""
    return span.type, tuple(sorted(span.pieces))


def _of(document: Document, category: str) -> list[Span]:
    return [span for span in document.spans if category in (ALL, span.type)]


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
    exact = [_exact(one, other, category) for one, other in pairs]
    sizes = np.array([(len(_of(one, category)), len(_of(other, category))) for one, other in pairs])
    hits = np.array([len(found) for found in exact])
    times = np.random.default_rng(seed).multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=n_bootstrap)
    drawn = _ratio(2 * times @ hits, times @ sizes.sum(1))
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if sizes.sum() else (np.nan, np.nan)
    touched = sum(
        sum(any(a.type == b.type and _shares(a, b) for b in there) for a in here)
        for one, other in pairs
        for here, there in ((_of(one, category), _of(other, category)), (_of(other, category), _of(one, category)))
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
                for span in _of(document, category):
                    found = places.setdefault((number, *_place(span)), [None] * len(row))
                    found[annotator] = sorted([*(found[annotator] or []), labels[span.id]])
        shared = [
            [None if labels is None else str(labels) for labels in values]
            for values in places.values()
            if sum(labels is not None for labels in values) > 1
        ]
        rows.append((category, alpha(answers), alpha(shared), len(shared)))
    return pd.DataFrame(rows, columns=["category", "token_alpha", "label_alpha", "n_places"])


def _agreed_ends(one: Document, other: Document) -> tuple[list[tuple[Link, tuple]], list[tuple[Link, tuple]]]:
    """Each document's links between spans that both have; with each, what it joins in which roles, comparable across the two."""
    found, same = ([], []), _exact(one, other, ALL)
    for side, document in enumerate((one, other)):
        number = {pair[side].id: k for k, pair in enumerate(same)}
        for link in document.links:
            if link.members and all(target in number for _, target in link.members):
                key = (link.type, frozenset((role, number[target]) for role, target in link.members))
                found[side].append((link, key))
    return found


def link_disagreements(copies: Copies) -> "pd.DataFrame":
    """Every link that one of a pair has and the other has not, though both marked its ends.

    ``text_id, annotator, other, type, link`` (its id), ``members`` (role and text of each), ``start, end`` (of the stretch from
    its first to its last member).
    """
    import pandas as pd

    rows = []
    for row in copies.documents:
        for i, j in combinations(range(len(row)), 2):
            found = _agreed_ends(row[i], row[j])
            for side, document in enumerate((row[i], row[j])):
                names = (copies.annotators[i], copies.annotators[j])[:: -1 if side else 1]
                left = Counter(key for _, key in found[1 - side])
                for link, key in found[side]:
                    left[key] -= 1
                    if left[key] >= 0:
                        continue
                    ends = [(role, document.span(target)) for role, target in link.members]
                    rows.append((
                        document.group or document.id, *names, link.type, link.id, "; ".join(f"{r}: {s.text}" for r, s in ends),
                        min(s.start for _, s in ends), max(s.end for _, s in ends),
                    ))  # fmt: skip
    columns = ["text_id", "annotator", "other", "type", "link", "members", "start", "end"]
    return pd.DataFrame(rows, columns=columns).sort_values(["text_id", "start", "end", "annotator"], ignore_index=True)


def link_table(copies: Copies) -> "pd.DataFrame":
    """A row a pair of annotators: ``n_first, n_second`` links; those whose ends both marked alike (``agreed_first,
    agreed_second``); and among these ``f1``, of links that join the same ends in the same roles. NaN where there are none."""
    import pandas as pd

    rows = []
    for i, j in combinations(range(len(copies.annotators)), 2):
        numbers, hits = Counter(), 0
        for row in copies.documents:
            found = _agreed_ends(row[i], row[j])
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


def disagreements(copies: Copies) -> "pd.DataFrame":
    """Every span that not both of a pair have.

    ``text_id, annotator, other, category, label, other_label, start, end, text, kind``, of which ``kind`` is "label" (same places
    and category, other values, which are ``other_label``; told once, for the first annotator), "extra" (same places and
    category, marked more often than by the other), "category" (same places, another category), "borders" (same category, a
    character shared), or "alone" (nothing of the other's is there).
    """
    import pandas as pd

    rows = []
    for row in copies.documents:
        for i, j in combinations(range(len(row)), 2):
            labels = labels_of(row[i]), labels_of(row[j])
            pairs = _exact(row[i], row[j], ALL)
            for side, (here, there) in enumerate(((row[i], row[j]), (row[j], row[i]))):
                names = (copies.annotators[i], copies.annotators[j])[:: -1 if side else 1]
                matched = {pair[side].id: pair[1 - side] for pair in pairs}
                taken = {span.id for span in matched.values()}
                # A span of the other's that has its equal here is no other reading of this one.
                free = {_place(span)[1] for span in there.spans if span.id not in taken}
                places = {_place(span) for span in there.spans}
                for span in here.spans:
                    value, theirs = labels[side][span.id], ()
                    if span.id in matched:
                        theirs = labels[1 - side][matched[span.id].id]
                        if side or theirs == value:
                            continue
                        kind = "label"
                    elif _place(span) in places:
                        kind = "extra"
                    elif _place(span)[1] in free:
                        kind = "category"
                    else:
                        shared = any(s.type == span.type and _shares(s, span) for s in there.spans)
                        kind = "borders" if shared else "alone"
                    shown = [", ".join(f"{name} {v}" for name, v in values) for values in (value, theirs)]
                    rows.append(
                        (here.group or here.id, *names, span.type, *shown, span.start, span.end, span.text, kind)
                    )
    columns = ["text_id", "annotator", "other", "category", "label", "other_label", "start", "end", "text", "kind"]
    return pd.DataFrame(rows, columns=columns).sort_values(["text_id", "start", "end", "annotator"], ignore_index=True)


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
