"""Scores of heads on annotated documents: by word, by exact span, by pair of marked units, and of tags and links together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bioutils.annotation_inputs import Marked, runs, tags_of


class Counts(NamedTuple):
    """What was found rightly, found wrongly, and missed; ``wrong``: cases that are not right, each once."""

    right: int
    found_wrongly: int
    missed: int
    wrong: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def scores(self) -> dict[str, float]:
        """Precision, recall and F1, 0 where nothing was found or there was nothing; and ``accuracy``, right ÷ (right + wrong), of
        what is marked or was found: the earlier system's, a Jaccard index."""
        precision = self.right / max(1, self.right + self.found_wrongly)
        recall = self.right / max(1, self.right + self.missed)
        f1 = 2 * self.right / max(1, 2 * self.right + self.found_wrongly + self.missed)
        accuracy = self.right / max(1, self.right + self.wrong)
        return {"precision": precision, "recall": recall, "f1": f1, "accuracy": accuracy}


NOTHING = Counts(0, 0, 0, 0)


def of_labels(answers: np.ndarray, n_labels: int, scheme: str = "none") -> np.ndarray:
    """Numbers of tags (0 for none) as numbers of labels: without their letters."""
    n_letters = len(tags_of(("x",), scheme))
    return np.where(answers > 0, 1 + (answers - 1) // n_letters, 0)


def by_word(answers: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The label of each word, of one label a unit: the first of its units' that is any; of (units, labels) those of any unit."""
    n = int(words[-1]) + 1 if len(words) else 0
    if answers.ndim == 2:
        found = np.zeros((n, answers.shape[1]), dtype=bool)
        np.logical_or.at(found, words, answers)
        return found
    found = np.zeros(n, dtype=int)
    marked = np.flatnonzero(answers)[::-1]  # backwards: the first stays
    found[words[marked]] = answers[marked]
    return found


def word_counts(gold: np.ndarray, predicted: np.ndarray) -> Counts:
    """Of one label a word (0 for none), or of several (words, labels). Words that neither marks do not count."""
    if gold.ndim == 2:
        right, extra, missed = (gold & predicted).sum(), (predicted & ~gold).sum(), (gold & ~predicted).sum()
        return Counts(int(right), int(extra), int(missed), int(extra + missed))
    wrong = gold != predicted
    right = int((~wrong & (gold > 0)).sum())
    return Counts(right, int((wrong & (predicted > 0)).sum()), int((wrong & (gold > 0)).sum()), int(wrong.sum()))


def span_counts(gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str], scheme: str = "none") -> Counts:
    """Of spans with equal borders and label, of one label a unit on either side."""
    there, found = (Counter(runs(answers, labels, scheme)) for answers in (gold, predicted))
    right = (there & found).total()
    extra, missed = found.total() - right, there.total() - right
    return Counts(right, extra, missed, extra + missed)


def label_counts(gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> list[Counts]:
    """As ``word_counts``, label by label."""
    if gold.ndim == 1:
        gold, predicted = (answers[:, None] == np.arange(1, n_labels + 1) for answers in (gold, predicted))
    right, extra, missed = ((gold & predicted).sum(0), (predicted & ~gold).sum(0), (gold & ~predicted).sum(0))
    return [Counts(int(r), int(e), int(m), int(e + m)) for r, e, m in zip(right, extra, missed, strict=True)]


class Entity(NamedTuple):
    """A mention: where it begins and ends in the text, its category, its value."""

    start: int
    end: int
    category: str
    value: str = ""


def joint_counts(
    gold: tuple[Sequence[Entity], Sequence[frozenset[Entity]]],
    predicted: tuple[Sequence[Entity], Sequence[frozenset[Entity]]],
) -> dict[str, Counts]:
    """Entities (borders, category and value right), pairs (both ends right, and joined) and whole links (all ends right)."""

    def pairs(links: Sequence[frozenset[Entity]]) -> set[frozenset[Entity]]:
        return {frozenset((a, b)) for link in links for a in link for b in link if a != b}

    found = {}
    for name, there, here in (
        ("entities", set(gold[0]), set(predicted[0])),
        ("pairs", pairs(gold[1]), pairs(predicted[1])),
        ("links", set(gold[1]), set(predicted[1])),
    ):
        right = len(there & here)
        found[name] = Counts(right, len(here) - right, len(there) - right, len(here) + len(there) - 2 * right)
    return found


def mean_f1(scores: Mapping[str, Mapping[str, float]]) -> float:
    """The mean of the heads' F1."""
    return float(np.mean([score["f1"] for score in scores.values()]))


def gold_entities(marked: Marked, value_of: Mapping[str, str]) -> tuple[list[Entity], list[frozenset[Entity]]]:
    """The entities and links of a document's annotation, at the borders of units. ``value_of``: category → the attribute that is
    its value."""
    named = {}
    for span, units, values in zip(marked.document.spans, marked.spans, marked.values, strict=True):
        if not len(units):  # white space alone: readers refuse it, but documents are also made by hand
            continue
        start, end = int(marked.places[units[0], 0]), int(marked.places[units[-1], 1])
        named[span.id] = Entity(start, end, span.type, values.get(value_of.get(span.type, ""), ""))
    links = [frozenset(named[t] for _, t in link.members if t in named) for link in marked.document.links]
    return list(named.values()), [link for link in links if len(link) > 1]
