import numpy as np
import pytest

from bioutils.annotation_inputs import mark
from bioutils.corpora.records import Document, Span
from bioutils.errors import UsageError
from bioutils.pair_inputs import BETWEEN, CONSTRUCTIONS, link_labels, link_pairs, n_marks, no_pairs, unit_marks

UNITS = ["siRNA", "of", "p53", ",", "in", "HeLa", "-", "cells", ",", "fell", "."]


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_links_between_units_against_a_loop_over_pairs(annotated, construction):
    marked = mark(annotated)
    labels = link_labels([marked], construction)
    units, _, _, found = link_pairs(marked, construction, labels)
    assert units.tolist() == [0, 1, 2, 5, 6, 7, 9]
    assert np.array_equal(found, found.transpose(1, 0, 2))
    in_link = set(marked.spans[0]) | set(marked.spans[2])
    for i, a in enumerate(units):
        for j, b in enumerate(units):
            tags = [k for k, s in enumerate(marked.spans) if a in s and b in s]
            linked = a in in_link and b in in_link
            values = {f"tag {value}" for k in tags for value in marked.values[k].values()}
            expected = {
                "link_only": {"link"} if linked else set(),
                "link_same_tag_only": {"tag"} if tags else set(),
                "link_all": {"link or tag"} if linked or tags else set(),
                "link_same_tag_and_link": ({"tag"} if tags else set()) | ({"link"} if linked else set()),
                "link_same_tag_only_split": values,
                "link_same_tag_and_link_split": values | ({"link"} if linked else set()),
            }[construction]
            assert {labels[k] for k in np.flatnonzero(found[i, j])} == expected


def test_a_document_without_marks():
    units, _, _, found = link_pairs(mark(Document("e", "Nothing here.")), "link_only", ("link",))
    assert units.shape == (0,)
    assert found.shape == (0, 0, 1)
    with pytest.raises(UsageError, match="construction"):
        link_labels([], "link_some")


def test_what_is_marked_around_a_unit():
    text = "Loss of p53. Cells grew. Now p21 fell in cells."
    spans = [("A", "GENE", (8, 11)), ("B", "CONTEXT", (13, 18)), ("C", "GENE", (29, 32)), ("D", "CONTEXT", (41, 46))]
    marked = mark(Document("d", text, tuple(Span(i, t, (p,), text[slice(*p)]) for i, t, p in spans)))
    units = np.concatenate(marked.spans)
    found = unit_marks(marked, units, ["GENE", "CONTEXT", "EFFECT"])
    assert found.shape == (4, n_marks(3))
    assert found[:, :3].tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]]  # its own categories
    assert found[:, 3:6].tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0]]  # those of its sentence
    assert np.allclose(found[2, 6:9], [np.log(2), np.log(2), 0])
    share, whole, most, many, where, near, as_many, later, last = found[:, 9:18].T
    assert np.allclose(share, [1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert whole.tolist() == [0, 0, 0, 0]  # no sentence has an effect too
    assert most.tolist() == [0, 0, 1, 1]
    assert np.allclose(many, np.log([2, 2, 3, 3]))
    assert np.allclose(where, [1 / 3, 2 / 3, 1, 1])
    assert np.allclose(near, [1 / 3, 1 / 2, 1, 1])
    assert np.allclose(np.expm1(as_many), [3, 3, 1, 1])
    assert np.allclose(np.expm1(later), [2, 1, 0, 0])
    assert last.tolist() == [0, 0, 1, 1]
    assert found[:, 18:].tolist() == [[1, 1, 0]] * 4  # those of the document
    between = link_pairs(marked, "link_only", ("link",)).between
    assert [BETWEEN[k] for k in between[0]] == [
        "in one tag",
        "in neighbouring sentences",
        "farther apart",
        "farther apart",
    ]
    assert BETWEEN[between[2, 3]] == "in one sentence"
    assert unit_marks(mark(Document("e", "")), np.zeros(0, int), ["GENE"]).shape == (0, n_marks(1))
    nothing = no_pairs(link_pairs(marked, "link_only", ("link",), ["GENE"]))
    assert [x.shape for x in nothing] == [(0,), (0, n_marks(1)), (0, 0), (0, 0, 1)]
