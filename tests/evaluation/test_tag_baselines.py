import pytest

from bioutils.errors import UsageError
from bioutils.evaluation.spans import evaluate_spans
from bioutils.evaluation.tag_baselines import FeatureCRF, Gazetteer, features, shape

WORDS = [["The", "IL-2", "gene", "and", "IL-2"], ["T", "cells", "and", "IL-2", "gene"], ["and", "T", "cells"]]
TAGS = [
    ["O", "B-DNA", "I-DNA", "O", "B-protein"],
    ["B-cell", "I-cell", "O", "B-DNA", "I-DNA"],
    ["O", "B-cell", "I-cell"],
]


def test_the_longest_known_name_wins():
    gazetteer = Gazetteer(WORDS, TAGS)
    assert gazetteer.predict([["il-2", "Gene", ",", "T", "cells", "T"], ["new"], []]) == [
        ["B-DNA", "I-DNA", "O", "B-cell", "I-cell", "O"], ["O"], [],
    ]  # fmt: skip


def test_names_that_are_mostly_no_entities_are_dropped():
    """IL-2 alone is a protein once of three times, as it stands."""
    assert ("il-2",) not in Gazetteer(WORDS, TAGS).names
    assert Gazetteer([["a", "b"], ["a"]], [["B-x", "O"], ["O"]]).names == {("a",): "x"}  # half of the times will do


def test_a_feature_crf_learns_forms_and_neighbours():
    words = [["the", f"Gene-{i}", "was", "seen"] for i in range(30)] + [["the", "gene", "was", "seen"]] * 10
    tags = [["O", "B-g", "O", "O"]] * 30 + [["O"] * 4] * 10
    model = FeatureCRF(words, tags)
    found = model.predict([["the", "Locus-7", "was", "seen"], ["the", "gene", "was", "seen"]])
    assert found == [["O", "B-g", "O", "O"], ["O"] * 4]
    assert evaluate_spans(tags, model.predict(words)).metrics["micro_f1"] == 1


def test_features_of_a_word():
    row = features(["IL-2", "gene"])[0]
    assert {"shape=A-0", "-1:outside", "1:gene", "ends=l-2", "pair=il-2 gene after"} <= set(row)
    assert shape("") == ""


@pytest.mark.parametrize("kind", [Gazetteer, FeatureCRF])
def test_nothing_to_learn_from(kind):
    with pytest.raises(UsageError, match="sentences"):
        kind([], [])
