import numpy as np
import pytest

from bioutils.annotation_inputs import mark
from bioutils.corpora.records import Document, Link, Remark, Span
from bioutils.evaluation.annotations import (
    Counts,
    Entity,
    by_word,
    gold_entities,
    joint_counts,
    mean_f1,
    of_labels,
    span_counts,
    word_counts,
)
from bioutils.pair_inputs import pairs_of


def test_scores_of_counts():
    scores = Counts(3, 1, 2, 2).scores
    assert scores["precision"] == pytest.approx(3 / 4)
    assert scores["recall"] == pytest.approx(3 / 5)
    assert scores["f1"] == pytest.approx(6 / 9)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert Counts(0, 0, 0, 0).scores == {"precision": 0, "recall": 0, "f1": 0, "accuracy": 0}
    assert Counts(1, 2, 3, 4) + Counts(1, 1, 1, 1) == Counts(2, 3, 4, 5)
    assert mean_f1({"a": {"f1": 0.5}, "b": {"f1": 1.0}}) == 0.75


def test_a_word_takes_the_first_label_of_its_units():
    words = np.array([0, 0, 0, 2, 2])  # word 1 has no unit
    assert by_word(np.array([0, 2, 1, 0, 3]), words).tolist() == [2, 0, 3]
    many = by_word(np.array([[1, 0], [0, 1], [0, 0], [0, 0], [1, 0]], dtype=bool), words)
    assert many.tolist() == [[True, True], [False, False], [True, False]]
    assert by_word(np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_letters_are_left_away():
    assert of_labels(np.array([0, 1, 2, 3, 4]), 2, "BIO").tolist() == [0, 1, 1, 2, 2]
    assert of_labels(np.array([0, 1, 2]), 2).tolist() == [0, 1, 2]


def test_words_spans_and_pairs_counted():
    gold, found = np.array([1, 1, 0, 2, 2, 0]), np.array([1, 1, 1, 2, 1, 0])
    assert word_counts(gold, found) == Counts(right=3, found_wrongly=2, missed=1, wrong=2)  # a mistaken label is both
    assert span_counts(gold, found, ["a", "b"]) == Counts(0, 3, 2, 5)
    assert span_counts(gold, gold, ["a", "b"]) == Counts(2, 0, 0, 0)
    gold, found = np.zeros((3, 3, 1), bool), np.zeros((3, 3, 1), bool)
    gold[0, 1] = gold[1, 0] = gold[2, 2] = found[0, 1] = found[0, 2] = True
    assert word_counts(pairs_of(gold), pairs_of(found)) == Counts(
        1, 1, 0, 1
    )  # the diagonal and what is below do not count


def test_a_link_counts_only_when_its_ends_do():
    a, b, c = (Entity(i, i + 1, "X", v) for i, v in enumerate("xyz"))
    wrong = c._replace(value="other")
    gold = ([a, b, c], [frozenset({a, b, c})])
    found = joint_counts(gold, ([a, b, wrong], [frozenset({a, b, wrong})]))
    assert found["entities"] == Counts(2, 1, 1, 2)
    assert found["pairs"] == Counts(1, 2, 2, 4)  # a and b are joined rightly
    assert found["links"] == Counts(0, 1, 1, 2)
    assert all(counts.scores["f1"] == 1 for counts in joint_counts(gold, gold).values())


def test_gold_entities_at_the_borders_of_units():
    spans = (Span("P0", "ACTION", ((0, 3),), "siR"), Span("C0", "CONTEXT", ((9, 14),), "cells"))
    links = (Link("L", "LINKING", (("a", "P0"), ("c", "C0"))), Link("M", "LINKING", (("a", "P0"),)))
    document = Document("d", "siRNA in cells", spans, (), links, (Remark("1", "kind", "C0", "in vitro"),))
    entities, found = gold_entities(mark(document), {"CONTEXT": "kind"})
    assert entities == [Entity(0, 5, "ACTION"), Entity(9, 14, "CONTEXT", "in vitro")]
    assert found == [frozenset(entities)]  # a link of one joins nothing
    blank = Document("d", "siRNA in cells", (*spans, Span("B0", "CONTEXT", ((5, 6),), " ")), (), links)
    assert len(gold_entities(mark(blank), {})[0]) == 2
