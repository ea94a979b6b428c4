import os
from pathlib import Path

import numpy as np
import pytest

from bioutils.annotation_inputs import (
    labels_in,
    mark,
    runs,
    single,
    span_labels,
    tag_array,
    tags_of,
)  # fmt: skip
from bioutils.corpora.mae import read_mae
from bioutils.corpora.records import Document
from bioutils.errors import UsageError

UNITS = ["siRNA", "of", "p53", ",", "in", "HeLa", "-", "cells", ",", "fell", "."]


def test_units_words_and_spans(annotated):
    marked = mark(annotated)
    assert marked.units == UNITS
    assert marked.words.tolist() == [0, 1, 2, 2, 3, 4, 4, 4, 4, 5, 5]
    assert [units.tolist() for units in marked.spans] == [[0, 1, 2], [2], [5, 6, 7], [9]]
    assert marked.values[1] == {"kind": "suppressor", "role": "target"}
    assert mark(Document("e", "")).places.shape == (0, 2)
    assert mark(Document("d", "Loss of p53. It grew. It fell.")).sentences.tolist() == [1] * 4 + [2] * 3 + [3] * 3


def test_layers(annotated):
    marked = mark(annotated)
    assert span_labels(marked, "category") == ["ACTION", "GENE", "CONTEXT", "CONTEXT"]
    assert span_labels(marked, "CONTEXT") == ["", "", "cells", "odd"]
    assert span_labels(marked, "GENE.role") == ["", "target", "", ""]
    with pytest.raises(UsageError, match=r"one attribute.*GENE\.kind"):
        span_labels(marked, "GENE")
    assert labels_in([marked], "category") == ("CONTEXT", "ACTION", "GENE")  # by units: 4, 3, 1
    with pytest.raises(UsageError, match="one with labels"):
        labels_in([marked], "NOTHING")


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("none", ["ACTION", "ACTION", "ACTION"]), ("BIO", ["B-", "I-", "I-"]), ("BIOES", ["B-", "I-", "E-"])],
)
def test_tags_on_units(annotated, scheme, expected):
    marked, labels = mark(annotated), ("CONTEXT", "ACTION", "GENE")
    tags = tags_of(labels, scheme)
    assert len(tags) == 3 * {"none": 1, "BIO": 2, "BIOES": 4}[scheme]
    found = tag_array(marked, "category", labels, scheme)
    names = [[tags[i] for i in np.flatnonzero(row)] for row in found]
    assert [name.endswith("ACTION") and name.startswith(e) for (name, *_), e in zip(names, expected, strict=False)]
    alone = {"none": "GENE", "BIO": "B-GENE", "BIOES": "S-GENE"}[scheme]
    assert names[2] == [expected[2] if scheme == "none" else f"{expected[2]}ACTION", alone]  # two on one unit
    assert names[3] == []
    answers = single(found)
    assert answers[2] == 1 + tags.index(names[2][0])  # the more frequent label
    spans = [(s.start, s.end, s.type) for s in runs(answers, labels, scheme)]
    assert spans == [(0, 3, "ACTION"), (5, 8, "CONTEXT"), (9, 10, "CONTEXT")]
    with pytest.raises(UsageError, match="scheme"):
        tags_of(labels, "IOB1")


@pytest.mark.skipif("BIOUTILS_DATA" not in os.environ, reason="BIOUTILS_DATA is not set")
def test_the_real_annotations_have_the_earlier_systems_labels():
    archive = Path(os.environ["BIOUTILS_DATA"]) / "fgen" / "mae-xml.tar.gz"
    marked = [mark(d) for d in read_mae(archive, under="/V2 Marked")]
    assert len(marked) == 414 + 163
    layers = ("category", "PERTURBING_ACTION", "CONTEXT", "EFFECT", "PHENOTYPE")
    found = {layer: len(labels_in(marked, layer)) for layer in layers}
    # Its definitions have 7, 12, 6 and 32 values; one of the actions ("-"), contexts and phenotypes stands nowhere.
    assert found == {"category": 4, "PERTURBING_ACTION": 6, "CONTEXT": 11, "EFFECT": 6, "PHENOTYPE": 31}
