import numpy as np
import pytest

from bioutils import entity_exploration as look
from bioutils.corpora.conll import Sentence
from bioutils.encoders import load_tokenizer

TRAIN = [
    Sentence(("IL-2", "gene", "and", "IL-2", "."), ("B-DNA", "I-DNA", "O", "B-protein", "O")),
    Sentence(("T", "cells", "need", "il-2"), ("B-cell", "I-cell", "O", "O")),
    Sentence(("the", "IL-2", "gene"), ("O", "B-RNA", "I-RNA")),
]
TEST = [
    Sentence(
        ("t", "cells", "and", "B", "cells", "bind", "IL-2"),
        ("B-cell", "I-cell", "O", "B-cell", "I-cell", "O", "B-protein"),
    )
]


def test_entities_and_tags_by_hand():
    table = look.entity_table(TRAIN)
    assert table[["sentence", "start", "end", "type", "text", "words"]].to_numpy().tolist()[:2] == [
        [0, 0, 2, "DNA", "IL-2 gene", 2], [0, 3, 4, "protein", "IL-2", 1],
    ]  # fmt: skip
    counts = look.tag_counts({"train": TRAIN, "test": TEST}, ["O", "B-cell", "I-cell"])
    assert counts.to_numpy().tolist() == [[5, 2], [1, 2], [1, 2]]
    assert look.entity_table([]).empty


def test_names_that_mean_several_things():
    table = look.ambiguous_names(TRAIN)
    assert table.to_numpy().tolist() == [["il-2 gene", "DNA, RNA", 2, 0], ["il-2", "protein", 1, 1]]


def test_recall_of_seen_and_unseen_names():
    entities = look.entity_table(TEST)
    seen = look.seen_names(look.entity_table(TRAIN), entities)
    assert seen.tolist() == [True, False, True]
    predicted = [["B-cell", "I-cell", "O", "B-cell", "O", "O", "B-protein"]]
    table = look.recall_by_name(entities, predicted, seen).set_index(["type", "names"])
    assert table.loc[("cell", "seen"), "recall"] == 1
    assert table.loc[("cell", "unseen"), "recall"] == 0
    assert table.loc[("all", "seen")].tolist() == [2, 1]
    assert table["entities"].sum() == 2 * len(entities)


def test_pieces_of_names(model_dir):
    entities = look.entity_table(TEST)
    table = look.pieces_a_name(entities, {"tiny": load_tokenizer(str(model_dir))})
    assert table["tiny"].tolist() == [2, 2, 3]
    assert np.isclose(table["words"].mean(), 5 / 3)


@pytest.mark.parametrize("part", [TRAIN, TEST])
def test_nothing_is_counted_twice(part):
    assert len(look.entity_table(part)) == sum(tag.startswith("B-") for s in part for tag in s.tags)
